"""A node that works for one at a time, and a job's figures as people see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.cli.job_done import in_figures, span
from karl.jobs import keys
from karl.jobs.alone import MARGIN, Alone
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import Workers

Ask = Callable[..., str]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_worker_of_a_node_has_it_until_it_gives_it_back(redis: Redis) -> None:
    clock = Clock()
    a, b, elsewhere = (
        Alone(redis, node, owner, 60, clock) for node, owner in (("n", "a"), ("n", "b"), ("m", "c"))
    )
    assert (a.take(), b.take(), elsewhere.take()) == (None, "a", None)
    assert (a.trusted(), b.trusted()) == (True, False)
    b.release()  # what is not ours stays
    assert (b.take(), a.take()) == ("a", None)
    a.release()
    assert (a.trusted(), b.take(), a.take()) == (False, None, "b")
    assert 0 < redis.ttl(keys.alone_key("n")) <= 60


def test_it_is_not_trusted_to_its_end_and_one_that_was_lost_is_seen_at_the_next_look(redis: Redis) -> None:
    clock = Clock()
    a = Alone(redis, "n", "a", 60, clock)
    a.take()
    clock.now = 60 * (1 - MARGIN) - 0.1
    assert a.trusted()
    clock.now += 0.2
    assert not a.trusted()
    assert a.take() is None  # nobody else came: it goes on
    assert a.trusted()
    redis.set(keys.alone_key("n"), "other")
    assert a.take() == "other"
    assert not a.trusted()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "release", "gone"])), max_size=20
    )
)
def test_whatever_is_done_never_do_two_trust_that_they_have_it(
    redis: Redis, steps: list[tuple[str, str]]
) -> None:
    redis.flushall()
    clock = Clock()
    each = {name: Alone(redis, "n", name, 60, clock) for name in "abc"}
    for name, what in steps:
        if what == "gone":  # the server's life of it is over, and so is ours
            redis.delete(keys.alone_key("n"))
            clock.now += 60
        else:
            getattr(each[name], what)()
        assert sum(one.trusted() for one in each.values()) <= 1


def test_figures_of_a_job_are_shown_with_what_they_are(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "train", note="a")
    figures = {
        "loss": 1.2345678,
        "seconds_left": 4000,
        "run": "\x1b[31m",
        "resumed": 0,
        "curve": [[1, 2, None]],
    }
    meta = {"done": 5, "total": 10, "where": "training", "progress": figures}
    redis.hset(keys.job_key(name), mapping={"meta": json.dumps(meta), "status": "started"})
    url = workers._environ()["KARL_REDIS_URL"]
    shown = karl(workers.data_dir, "jobs", "show", name, KARL_REDIS_URL=url).output
    assert "5 of 10 training" in shown
    assert "loss 1.235, 1 h 7 min left" in shown
    assert "\x1b" not in shown
    whole = json.loads(karl(workers.data_dir, "jobs", "show", name, "--json", KARL_REDIS_URL=url).stdout)
    assert whole["meta"]["progress"]["loss"] == 1.2345678


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (299, "299 s"), (300, "5 min"), (3599, "1 h 0 min")]
)
def test_a_span_is_said_in_units_that_people_use(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.none())
    )
)
def test_whatever_stands_where_figures_should_be_one_line_is_said(figures: dict[str, object]) -> None:
    assert "\n" not in in_figures({name.replace("\n", ""): value for name, value in figures.items()})


def test_beside_default_a_worker_of_train_is_started_on_the_node_that_trains(
    workers: Workers, redis: Redis, tmp_path: Path
) -> None:
    def also(node: str) -> list[bytes]:
        names = redis.smembers(keys.workers_key("default"))
        found = {name: redis.hget(name, "also") or b"" for name in names}
        return [told for name, told in found.items() if f"worker:{node}:".encode() in name]

    for node, wanted in (("here", b"embed,train"), ("other", b"embed")):
        folder = str(tmp_path / node)
        more = {"KARL_GPU_NODE": "here", "KARL_NODE": node, "KARL_DATA_DIR": folder}
        workers.start("default", "--also", "embed", **more)
        wait_until(lambda node=node: also(node), f"the worker of {node} says so")  # type: ignore[misc]
        assert also(node) == [wanted]

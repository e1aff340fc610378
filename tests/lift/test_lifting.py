"""An evaluation by a real worker, with a tiny model: what it records, and what it does not do twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.errors import Refused
from karl.jobs import asking, gate, listing, table
from karl.jobs.table import Lift
from karl.learning.lift import differs
from karl.schema.learning import EvaluationBody, TrainingBody
from karl.settings import Settings, read_settings
from karl.stream import bundles, keys
from tests.cli.running import KARL, environ
from tests.conftest import wait_until
from tests.lift.conftest import sessions, write_rows
from workers import adapter_files, lifting

ASKED = {
    "export": "e" * 64, "model": "tiny", "iters": 4, "batch": 2, "layers": -1, "learning_rate": 0.01,
    "max_tokens": 256, "seeds": [3, 4], "seed": 3, "arms": ["advantage", "random"], "items": 12, "person": "me@here",
}  # fmt: skip


def settings_of(data_dir: Path, redis_url: str) -> Settings:
    return read_settings(
        {"KARL_DATA_DIR": str(data_dir), "KARL_REDIS_URL": redis_url, "KARL_NODE": "trainer"}
    )


def told(redis: Redis) -> list[tuple[str, Any]]:
    """Records about learning that wait for the ledger, oldest first."""
    stream = keys.records_key(keys.partition_of("learning"))
    kinds = {"evaluation": EvaluationBody, "training": TrainingBody}
    entries = [dict(zip(given[::2], given[1::2], strict=True)) for _, given in redis.xrange(stream)]
    return [
        (one[b"k"].decode(), msgspec.json.decode(one[b"b"], type=kinds[one[b"k"].decode()]))
        for one in entries
    ]


class Node:
    """A worker of the queue `train`, started and killed."""

    def __init__(self, data_dir: Path, redis_url: str) -> None:
        self._data_dir = data_dir
        self._variables = {
            **os.environ, **environ(data_dir, KARL_REDIS_URL=redis_url, KARL_NODE="trainer", KARL_GPU_NODE="trainer",
                                    KARL_LEASE_TTL_S="1"), "MLX_DISABLE_COMPILE": "1",
        }  # fmt: skip
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        with (self._data_dir / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [KARL, "worker", "jobs", "train"],
                env={name: value for name, value in self._variables.items() if value is not None},
                stderr=log,
            )
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def node(data_dir: Path, redis_url: str) -> Iterator[Node]:
    made = Node(data_dir, redis_url)
    yield made
    made.end()


def results(data_dir: Path) -> list[Path]:
    return sorted(data_dir.glob("runs/lift-*/results/*.json"))


@pytest.mark.usefixtures("all_draws")
def test_a_worker_killed_in_the_middle_goes_on_and_records_what_was_judged(
    redis: Redis, redis_url: str, data_dir: Path, bundle: str, node: Node
) -> None:
    job = table.find("lift")
    asked = gate.Asked(job, table.checked(job, {**ASKED, "data": bundle}))
    made = asking.enqueue(redis, asked)
    first = node.start()
    wait_until(lambda: len(results(data_dir)) >= 2, "an arm was judged", 90)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in results(data_dir)}
    node.start()
    wait_until(lambda: listing.one(redis, made.id)[0].status == "finished", "the job is done", 110)
    assert {path: path.stat().st_mtime_ns for path in results(data_dir) if path in before} == before
    body = msgspec.convert(listing.one(redis, made.id)[1].result, EvaluationBody)
    assert [kind for kind, _ in told(redis)] == ["training", "evaluation"]
    training, recorded = (one for _, one in told(redis))
    assert recorded == body
    _looks_right(body)
    assert not list(data_dir.glob("runs/lift-*/**/*.jsonl")), "rows stay on the node no longer than needed"
    assert (body.job, body.person, body.node) == (made.id, "me@here", "trainer")
    _is_kept(settings_of(data_dir, redis_url), redis, body, training)
    _is_judged_as_it_is(settings_of(data_dir, redis_url), redis, bundle, body, training.adapter)


def _looks_right(body: EvaluationBody) -> None:
    assert {arm.name: [run.seed for run in arm.runs] for arm in body.arms} == {
        "base": [0], "advantage": [3, 4], "random": [3, 4], "bigram": [0], "majority": [0],
    }  # fmt: skip
    assert (body.items, body.sessions) == (12, (2,) * 6)
    assert set(body.guard) == {"base", "advantage", "random"}
    assert body.verdict == "no lift"
    assert "2 seeds are too few" in body.why
    assert differs(body) == []
    by_name = {arm.name: arm.runs[0] for arm in body.arms}
    assert by_name["advantage"].rows == by_name["random"].rows == 40
    assert 0 < by_name["advantage"].ess <= 40 == by_name["random"].ess
    assert all(len(run.nll) == 6 for arm in body.arms[:3] for run in arm.runs)


def _is_kept(settings: Settings, redis: Redis, body: EvaluationBody, training: TrainingBody) -> None:
    """The adapter of the advantage arm with the recipe's seed is there, here and for others."""
    runs = {run.seed: run for arm in body.arms if arm.name == "advantage" for run in arm.runs}
    adapter = runs[3].adapter
    assert adapter
    assert not runs[4].adapter
    assert (training.adapter, training.export, training.recipe.seed) == (adapter, "e" * 64, 3)
    assert adapter_files.id_of(adapter_files.files_of(settings.adapters / adapter)) == adapter
    other = read_settings({"KARL_DATA_DIR": str(settings.data_dir.parent / "elsewhere")})
    assert adapter_files.folder_of(other, redis, adapter).is_dir()


def _is_judged_as_it_is(
    settings: Settings, redis: Redis, bundle: str, body: EvaluationBody, adapter: str
) -> None:
    """Named, an adapter is not trained again: what it gets right is what it got right."""
    one = {**ASKED, "data": bundle, "seeds": [3], "arms": ["advantage"], "share": 1.0, "adapter": adapter}
    asked = table.checked(table.find("lift"), one)
    assert isinstance(asked, Lift)
    again = msgspec.convert(lifting.job(asked, settings, lambda *_: None).result, EvaluationBody)
    judged, before = (
        next(arm.runs[0] for arm in given.arms if arm.name == "advantage") for given in (again, body)
    )
    assert (judged.adapter, judged.tools, judged.targets) == (adapter, before.tools, before.targets)
    assert judged.nll == before.nll
    assert judged.rows == 80
    assert [kind for kind, _ in told(redis)] == ["training", "evaluation", "evaluation"]


@pytest.fixture
def asked(bundle: str) -> Lift:
    found = table.checked(table.find("lift"), {**ASKED, "data": bundle})
    assert isinstance(found, Lift)
    return found


def test_held_out_sessions_that_are_trained_with_are_refused(
    redis: Redis, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    files = {
        "train.jsonl": write_rows(tmp_path / "t", sessions(0, 20)),
        "valid.jsonl": write_rows(tmp_path / "v", sessions(20, 2)),
        "heldout.jsonl": write_rows(tmp_path / "h", sessions(19, 6)),
    }
    asked = table.checked(table.find("lift"), {**ASKED, "data": bundles.put(redis, files, 60)})
    assert isinstance(asked, Lift)
    with pytest.raises(Refused, match="trained with"):
        lifting.job(asked, settings_of(data_dir, redis_url), lambda *_: None)


def test_without_a_held_out_step_nothing_is_judged(
    redis: Redis, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    failed = [
        msgspec.structs.replace(one, karl=msgspec.structs.replace(one.karl, failed=True))
        for one in sessions(30, 2)
    ]
    files = {
        "train.jsonl": write_rows(tmp_path / "t", sessions(0, 20)),
        "valid.jsonl": write_rows(tmp_path / "v", []),
        "heldout.jsonl": write_rows(tmp_path / "h", failed),
    }
    asked = table.checked(table.find("lift"), {**ASKED, "data": bundles.put(redis, files, 60)})
    assert isinstance(asked, Lift)
    with pytest.raises(Refused, match="hold out more"):
        lifting.job(asked, settings_of(data_dir, redis_url), lambda *_: None)


def test_another_person_or_label_is_the_same_evaluation_and_anything_else_another(asked: Lift) -> None:
    model = "ab" * 32
    same = msgspec.structs.replace(asked, person="you@there", label="tried")
    assert lifting.id_of(same, model) == lifting.id_of(asked, model)
    assert lifting.id_of(asked, "cd" * 32) != lifting.id_of(asked, model)  # a model of the same name
    for name, value in {"iters": 5, "seeds": (3,), "share": 0.4, "items": 13, "data": "f" * 64}.items():
        other = msgspec.structs.replace(asked, **{name: value})
        assert lifting.id_of(other, model) != lifting.id_of(asked, model)

"""Prompts of the ledger become vectors in the store, by way of jobs on any machine: each once, none lost."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from karl.encoders.store import key_of
from karl.errors import Unreadable
from karl.jobs import batches, gate, keys
from karl.settings import Settings, read_settings
from karl.stream import parcels
from karl.stream.keys import TEXTS, VECTORS, parcel_key
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.encoders.conftest import Service
from tests.jobs.conftest import Workers, state
from tests.views.ledgers import trajectory, write
from workers import embedding
from workers.encoder import encoder_of

Ask = Callable[..., str]


@pytest.fixture
def service() -> Iterator[Service]:
    """An encoder's service; the vector of a text is made of its length."""
    found = Service()
    found.answer = lambda body: (200, {"embedding": [float(len(body["text"])), 1.0, 2.0]})
    yield found
    found.close()


@pytest.fixture
def settings(workers: Workers, redis_url: str, service: Service) -> Settings:
    """Settings of a machine that has a ledger of 30 prompts, one of them there twice, and one typed command."""
    texts = [f"Do part {'x' * number}" for number in range(29)]
    drafts = [trajectory("s", turn, prompt=text) for turn, text in enumerate([*texts, texts[3], "/clear"])]
    write(workers.data_dir / "ledger", drafts)
    given = {"KARL_EMBED_URL": service.url, "KARL_EMBED_DIM": "3", "KARL_EMBED_ENCODER": "http"}
    workers.given = given
    assert karl(workers.data_dir, "rebuild").exit_code == 0
    return read_settings(
        {"KARL_DATA_DIR": str(workers.data_dir), "KARL_NODE": "here", "KARL_REDIS_URL": redis_url, **given}
    )


def asked_for(settings: Settings, redis: Redis, size: int = 8) -> list[embedding.Asked]:
    """Ask for what is missing, in small batches."""
    encoder = encoder_of(settings, "http")
    cut = embedding.missing(settings, encoder, embedding.prompts(settings), size)
    made = [embedding.ask(redis, redis, batch) for batch in cut]
    encoder.close()  # type: ignore[attr-defined]
    return made


def elsewhere(workers: Workers, rounds: int = 1) -> None:
    """Work on another machine, which keeps what it makes to itself."""
    workers.work(rounds=rounds, KARL_DATA_DIR=str(workers.data_dir / "elsewhere"))


def lacking(settings: Settings) -> int:
    """The prompts whose vectors the store lacks."""
    encoder = encoder_of(settings, "http")
    wanted = [key_of("http", encoder.version, one.text) for one in embedding.prompts(settings)]
    encoder.close()  # type: ignore[attr-defined]
    return len(set(wanted) - set(embedding.store_of(settings).get(wanted, 3)))


def test_each_prompt_is_in_one_batch_once_and_typed_commands_are_none(
    settings: Settings, redis: Redis
) -> None:
    asked_for(settings, redis)
    jobs = [gate.asked(redis.hgetall(keys.job_key(name.decode())), "embed").arguments
            for name in redis.lrange(keys.queue_key("embed"), 0, -1)]  # fmt: skip
    texts = [text for job in jobs for text in batches.read_texts(parcels.get(redis, job.parcel))]  # type: ignore[attr-defined]
    assert sorted(texts, key=len) == sorted({f"Do part {'x' * n}".strip() for n in range(29)}, key=len)
    assert all(one.to_seq < two.from_seq for one, two in itertools.pairwise(jobs))  # type: ignore[attr-defined]


def test_the_same_batches_asked_for_twice_are_the_same_jobs(settings: Settings, redis: Redis) -> None:
    first, again = asked_for(settings, redis), asked_for(settings, redis)
    assert [one.job for one in first] == [one.job for one in again]
    assert ({one.new for one in first}, {one.new for one in again}) == ({True}, {False})
    assert redis.llen(keys.queue_key("embed")) == len(first) == 4


def test_done_batches_are_collected_into_the_store_and_asked_for_no_more(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    jobs = asked_for(settings, redis)
    elsewhere(workers, 2)
    done = embedding.collect(settings, redis)
    assert (done.vectors, done.parcels, done.lost) == (16, 2, 0)
    assert embedding.collect(settings, redis).parcels == 0
    assert asked_for(settings, redis) == [one._replace(new=False) for one in jobs[2:]]
    elsewhere(workers, 2)
    embedding.collect(settings, redis)
    assert (lacking(settings), asked_for(settings, redis)) == (0, [])


def test_new_prompts_make_new_batches_and_leave_those_that_are_on_their_way(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    before = asked_for(settings, redis)
    write(settings.ledger, [trajectory("t", turn, prompt=f"And then {turn}") for turn in range(9)])
    assert karl(workers.data_dir, "rebuild").exit_code == 0
    after = asked_for(settings, redis)
    assert [one.job for one in after[:3]] == [one.job for one in before[:3]]
    assert [one.new for one in after] == [False, False, False, True, True]


def test_a_parcel_that_is_gone_or_harmed_is_left_out_and_told(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    asked_for(settings, redis)
    elsewhere(workers, 4)
    found = [json.loads(fields[b"d"])["parcel"] for _, fields in redis.xrevrange(VECTORS)]
    redis.delete(parcel_key(found[0]))
    redis.append(parcel_key(found[1]), b"x")
    redis.xadd(VECTORS, {"d": b"no JSON"})
    assert embedding.collect(settings, redis).lost == 3
    assert lacking(settings) > 0
    assert len(asked_for(settings, redis)) == 2  # what was lost is asked for anew
    elsewhere(workers, 2)
    embedding.collect(settings, redis)
    assert lacking(settings) == 0


def test_an_erasure_takes_all_texts_that_wait_out_of_redis_and_they_can_be_asked_for_again(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    jobs = asked_for(settings, redis)
    assert embedding.forget(redis) == len(jobs)
    assert list(redis.scan_iter("karl:parcel:*")) == []
    assert (redis.exists(TEXTS), embedding.forget(redis)) == (0, 0)
    elsewhere(workers)
    assert state(redis, jobs[0].job) == "failed"
    asked_for(settings, redis)
    elsewhere(workers, 4)
    embedding.collect(settings, redis)
    assert lacking(settings) == 0


def test_a_batch_whose_texts_are_gone_fails_with_the_reason(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    (job, *_) = asked_for(settings, redis)
    for key in redis.scan_iter("karl:parcel:*"):
        redis.delete(key)
    elsewhere(workers)
    assert state(redis, job.job) == "failed"


def test_a_service_that_is_silent_for_a_while_is_asked_again_later(
    settings: Settings, redis: Redis, workers: Workers, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job, *_) = asked_for(settings, redis)
    service.answer = lambda _body: (500, {})
    elsewhere(workers)
    assert state(redis, job.job) == "scheduled"


def test_a_machine_without_the_encoder_leaves_the_batch_to_others(
    settings: Settings, redis: Redis, workers: Workers
) -> None:
    (job, *_) = asked_for(settings, redis)
    workers.given = {}
    elsewhere(workers)
    assert state(redis, job.job) == "scheduled"


def test_two_machines_share_the_work_one_killed_in_a_batch_and_one_silent_for_long(
    settings: Settings, redis: Redis, workers: Workers, service: Service
) -> None:
    go = threading.Event()
    reached = threading.Semaphore(0)

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        reached.release()
        go.wait(30)
        return 200, {"embedding": [float(len(body["text"])), 1.0, 2.0]}

    service.answer = answer
    jobs = [one.job for one in asked_for(settings, redis)]
    folders = [workers.data_dir / name for name in ("one", "two", "three")]
    first, second = (
        workers.start("embed", KARL_DATA_DIR=str(folder), KARL_NODE=folder.name) for folder in folders[:2]
    )
    for _ in range(2):
        assert reached.acquire(timeout=30), "both are in the middle of a batch"
    first.kill()
    second.send_signal(
        signal.SIGSTOP
    )  # as one whose network is gone: it says nothing for longer than its lease
    workers.start("embed", KARL_DATA_DIR=str(folders[2]), KARL_NODE="three")
    go.set()
    wait_until(lambda: {state(redis, name) for name in jobs} == {"finished"}, "every batch is done")
    second.send_signal(signal.SIGCONT)
    log = workers.data_dir / "worker1.log"
    wait_until(lambda: "belongs to another worker" in log.read_text(), "what comes late changes nothing")
    embedding.collect(settings, redis)
    assert lacking(settings) == 0
    assert {state(redis, name) for name in jobs} == {"finished"}
    encoder = encoder_of(settings, "http")
    for one in embedding.prompts(settings):
        key = key_of("http", encoder.version, one.text)
        row = np.array([len(one.text), 1.0, 2.0], dtype=np.float32)
        assert embedding.store_of(settings).get([key], 3)[key] == pytest.approx(
            row / np.linalg.norm(row), rel=1e-5
        )
    encoder.close()  # type: ignore[attr-defined]


def test_the_command_waits_for_the_vectors_and_says_how_many(
    settings: Settings, redis_url: str, workers: Workers
) -> None:
    waits = karl(workers.data_dir, "routing", "embed", KARL_REDIS_URL=redis_url, **workers.given)
    assert "29 prompts without a vector, 1 jobs (1 new)" in waits.output
    workers.start("embed")
    done = karl(
        workers.data_dir, "routing", "embed", "--wait", "--json", KARL_REDIS_URL=redis_url, **workers.given
    )
    assert (done.exit_code, lacking(settings)) == (0, 0)
    (report,) = json.loads(done.stdout)
    assert (report["prompts"], report["new"], report["failed"]) == (29, 0, [])
    again = karl(workers.data_dir, "routing", "embed", "--wait", KARL_REDIS_URL=redis_url, **workers.given)
    assert "0 prompts without a vector" in again.output


def test_an_encoder_that_is_faster_than_a_look_up_is_sent_nothing(
    settings: Settings, redis_url: str, workers: Workers
) -> None:
    told = karl(workers.data_dir, "routing", "embed", "--encoder", "static", KARL_REDIS_URL=redis_url)
    assert (told.exit_code, "sooner than they could be sent" in told.output) == (0, True)


def test_more_batches_than_may_be_on_their_way_wait_in_the_ledger(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "WAITING_MAX", 2)
    monkeypatch.setattr(embedding, "missing", _small)
    encoder = encoder_of(settings, "http")
    done = embedding.embed_all(settings, redis, redis, encoder, None, wait=None)
    encoder.close()  # type: ignore[attr-defined]
    assert (done.batches, done.left, redis.llen(keys.queue_key("embed"))) == (2, 13, 2)


_missing = embedding.missing


def _small(*given: Any) -> Any:
    return _missing(*given, size=8)


FLOATS = st.floats(-1e6, 1e6, width=32)


@given(st.integers(1, 5), st.data())
def test_vectors_come_back_from_their_bytes_as_they_were(dim: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(FLOATS, min_size=dim, max_size=dim), min_size=1, max_size=8))
    made = batches.Made(
        batches.About("e", "1", dim, len(rows), 3, 9),
        [bytes([n]) * 32 for n in range(len(rows))],
        np.array(rows, dtype=np.float32),
    )
    found = batches.read_vectors(batches.pack_vectors(made))
    assert (found.about, found.keys) == (made.about, made.keys)
    assert np.array_equal(found.vectors, made.vectors)


@given(st.lists(st.text(), max_size=20))
def test_texts_come_back_from_their_bytes(texts: list[str]) -> None:
    assert batches.read_texts(batches.pack_texts(texts)) == texts


@given(st.binary(max_size=200))
def test_bytes_that_are_no_batch_are_refused_whole(data: bytes) -> None:
    for read in (batches.read_texts, batches.read_vectors):
        try:
            read(data)
        except Unreadable:
            continue
        assert read is batches.read_texts
        assert isinstance(json.loads(data), list)


def test_a_batch_cut_short_or_with_numbers_that_are_none_is_refused() -> None:
    about = batches.About("e", "1", 2, 1, 0, 0)
    whole = batches.pack_vectors(batches.Made(about, [b"k" * 32], np.array([[1, 2]], dtype=np.float32)))
    none = batches.pack_vectors(batches.Made(about, [b"k" * 32], np.array([[1, np.nan]], dtype=np.float32)))
    for harm in (whole[:-1], whole + b"x", none, b"", b"{}\n"):
        with pytest.raises(Unreadable):
            batches.read_vectors(harm)

"""The ledger worker: takes over, stands by, and writes each record once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from karl.errors import LeaseLost
from karl.ledger.verify import verify
from karl.process import wake_on
from karl.stream import dead_letters, keys
from tests.conftest import wait_until
from tests.workers.conftest import Feed, Line
from workers.ledger import LedgerWorker
from workers.loop import run

MakeFeed = Callable[..., Feed]


def test_a_second_worker_stands_by_and_takes_over_at_a_clean_stop(line: Line, feed: MakeFeed) -> None:
    feed().turn()
    line.drain(line.sessions())
    standby = line.ledger_worker(lease_ttl_s=0.2)
    standby.run_once(line.stop)
    assert standby._writer is None
    line.ledger.close()
    standby.run_once(line.stop)
    assert standby._writer is not None
    standby.close()
    report = verify(line.folder)
    assert report.ok


def test_a_writer_without_records_keeps_a_short_lease(line: Line) -> None:
    worker = line.ledger_worker(lease_ttl_s=1.5)
    for _ in range(6):
        worker.run_once(line.stop)
    assert worker._lease.trusted()
    assert worker._lease.term == 1
    worker.close()


def test_what_was_written_but_not_trimmed_is_not_written_again(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    feed().turn()
    worker = line.sessions()
    worker.run_once(line.stop)
    worker._settle()
    line.ledger._redis = _NoTrim(redis)  # type: ignore[assignment]
    with pytest.raises(RedisConnectionError):
        line.ledger.run_once(line.stop)
    line.ledger.forget()
    line.ledger._redis = redis
    redis.delete(keys.LEDGER_LEASE)
    assert line.waiting() == 1
    heir = line.ledger = line.ledger_worker()
    heir.run_once(line.stop)
    feed("s-2").turn()
    line.drain(worker)
    assert len(line.records("trajectory")) == 2
    assert verify(line.folder).ok


def test_a_writer_that_is_told_to_stop_waits_for_no_more_records(line: Line, redis: Redis) -> None:
    stop = threading.Event()
    line.ledger._block_ms = 18_000
    running = threading.Thread(target=run, args=(line.ledger, stop))
    wake_on(stop, line.ledger.wake)
    running.start()
    wait_until(lambda: any(c["cmd"] == "xread" for c in redis.client_list()), "it waits for records")
    stop.set()
    running.join(9)
    assert not running.is_alive()
    assert redis.get(keys.LEDGER_LEASE) is None


class _NoTrim:
    """A client whose connection breaks at the trim."""

    def __init__(self, inner: Redis) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def eval(self, script: str, *args: object) -> object:
        if "XTRIM" in script:
            raise RedisConnectionError("gone")
        return self._inner.eval(script, *args)  # type: ignore[arg-type]


def test_a_worker_whose_lease_was_taken_writes_nothing_more(line: Line, feed: MakeFeed, redis: Redis) -> None:
    worker = line.sessions()
    feed().turn()
    line.drain(worker)
    redis.set(keys.LEDGER_LEASE, "somebody#99")
    line.ledger._renewal_due = lambda: True
    feed("s-2").turn()
    worker.run_once(line.stop)
    worker._settle()
    with pytest.raises(LeaseLost, match="somebody#99"):
        line.ledger.run_once(line.stop)
    assert len(line.records("trajectory")) == 1
    assert line.waiting() == 1


def test_records_of_a_server_that_lost_its_data_are_not_taken_for_old_ones(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    feed().turn()
    line.drain(line.sessions())
    line.ledger.forget()
    redis.flushall()
    # A clock that stands far behind: the server would number from its own time, so we force a low id.
    heir: LedgerWorker = line.ledger_worker()
    heir.run_once(line.stop)
    line.ledger = heir
    partition = keys.partition_of("s-1")
    last = redis.xinfo_stream(keys.records_key(partition))["last-generated-id"]
    assert last == heir._writer.watermarks[partition].encode()  # type: ignore[union-attr]


def test_an_entry_that_no_worker_of_ours_made_goes_to_the_dead_letters_and_the_rest_is_written(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    redis.xadd(keys.records_key(keys.partition_of("s-1")), {"odd": "entry"})
    redis.xadd(keys.records_key(keys.partition_of("s-1")), {"k": "events", "b": "not json"})
    feed().turn()
    line.drain(line.sessions())
    assert len(line.records("trajectory")) == 1
    letters = list(dead_letters.read(redis))
    assert [letter.data for letter in letters] == [b"", b"not json"]
    assert all(letter.where == "ledger" and letter.reason for letter in letters)
    assert verify(line.folder).ok

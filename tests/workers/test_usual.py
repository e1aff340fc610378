"""What is usual for an agent: counted by every worker, and used by all when they score."""

from __future__ import annotations

from collections.abc import Callable

from karl.reward.usual import TURNS_MIN
from karl.stream import keys
from karl.stream.basis import read_bases
from tests.workers.conftest import Feed, Line

MakeFeed = Callable[..., Feed]


def test_turns_of_two_workers_make_what_is_usual_and_the_next_worker_scores_by_it(
    line: Line, feed: MakeFeed
) -> None:
    agent = ""
    for name in ("one", "two"):
        one = feed(name)
        for _ in range(TURNS_MIN):
            one.turn(calls=2)
        agent = one.sent[0].agent
        worker = line.sessions(version="2")
        line.drain(worker)
        worker.close()
    usual = read_bases(line.redis)[agent].usual
    assert usual is not None
    assert usual.n == 2 * TURNS_MIN

    last = feed("three")
    last.turn(calls=2)
    line.drain(line.sessions(version="2"))
    scores = [record["score"] for record in line.records() if record["kind"] == "trajectory"]
    assert "r_economy" not in scores[0]["components"]  # nothing was usual yet
    assert 0 < scores[-1]["components"]["r_economy"] < 1  # as long as all others


def test_a_worker_that_dies_leaves_turns_uncounted_and_none_counted_twice(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn(calls=1)
    line.drain(line.sessions(version="2"))  # it never comes to telling
    assert not line.redis.exists(keys.USUAL)
    second = line.sessions(version="2")
    line.drain(second)
    second.close()
    assert not line.redis.exists(keys.USUAL)


def test_turns_that_were_not_handed_on_are_counted_when_they_are(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn(calls=1)
    worker = line.sessions(version="2")
    worker._balance()
    worker._follow_leases()
    worker._work = worker._fold(worker._read(0))
    assert any(leaving.records for leaving in worker._work.values())
    worker.forget()  # as after an error: all of it is read and composed again
    line.drain(worker)
    worker.close()
    (basis,) = read_bases(line.redis).values()
    assert basis.usual is not None
    assert basis.usual.n == 1

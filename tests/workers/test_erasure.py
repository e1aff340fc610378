"""Erasing sessions from a line that runs: nothing of them is left, and nothing else is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import LineDown, NotFound, Refused
from karl.ledger.erase import Wanted, unfinished
from karl.ledger.verify import verify
from karl.reward.score import DEFAULT_VERSION
from karl.schema.routing import ExemplarBody, ShadowBody
from karl.settings import Settings
from karl.stream import dead_letters, keys
from karl.views.detail import detail
from karl.views.queries import Filter, Views
from karl.views.rebuild import compare
from karl.views.routing import Routed
from tests.workers.conftest import Feed, Line
from workers import erasure
from workers.erasure import Eraser, ErasureReport
from workers.records import Outgoing, send
from workers.sessions import SessionsWorker
from workers.views import ViewsWorker

MakeFeed = Callable[..., Feed]
SECRET = "the plan that nobody shall read"


class Moving:
    """A line that moves a step each time that somebody waits for it."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self.line = line
        self.settings = settings
        self.sessions: SessionsWorker = line.sessions()
        self.views = ViewsWorker(settings.views, settings.ledger, settings.reward_version)

    def step(self, _seconds: float = 0) -> None:
        self.sessions.run_once(self.line.stop)
        self.sessions._settle()
        if self.line.waiting():
            self.line.ledger.run_once(self.line.stop)
        self.views.run_once(self.line.stop)

    def eraser(self, *sessions: str, before_ms: int | None = None) -> Eraser:
        wanted = Wanted(frozenset(sessions), before_ms)
        return Eraser(self.line.redis, self.settings, wanted, by="me@here", reason="law", wait=self.step)

    def shown(self) -> list[str]:
        with Views(self.settings.views) as views:
            return sorted(row.session for row in views.walk(Filter()))


@pytest.fixture
def moving(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moving:
    monkeypatch.setattr("workers.views.WAIT_MIN_S", 0.0)
    monkeypatch.setattr("workers.views.WAIT_MAX_S", 0.0)
    settings = Settings(data_dir=tmp_path, node="n1")
    made = Moving(Line(redis, settings.ledger), settings)
    made.line.ledger._block_ms = 1
    yield made
    made.line.ledger.forget()
    made.views.close()


def everything(tmp_path: Path, redis: Redis) -> bytes:
    """All that the ledger, the views and Redis hold."""
    files = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    held = b"".join(
        redis.dump(name) or b"" for name in redis.scan_iter("*") if redis.type(name) in {b"string", b"stream"}
    )
    return files + held


def fill(moving: Moving, feed: MakeFeed) -> None:
    mine, yours = feed("mine"), feed("yours")
    for one in (mine, yours):
        one.turn(text=f"Make it work: {SECRET if one is mine else 'for all'}")
        one.turn(text="And the tests")
    moving.step()
    moving.step()


def test_a_session_is_gone_from_ledger_streams_and_views_and_the_others_are_whole(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path
) -> None:
    fill(moving, feed)
    assert SECRET.encode() in everything(tmp_path, redis)
    report = moving.eraser("mine").run()
    assert report.records >= 3
    assert (report.sessions, report.views, report.append_only_file) == (["mine"], True, True)
    assert SECRET.encode() not in everything(tmp_path, redis)
    assert moving.shown() == ["yours", "yours"]
    found = verify(moving.settings.ledger)
    assert (found.ok, found.findings) == (True, [])
    assert compare(moving.settings.views, moving.settings.ledger, DEFAULT_VERSION).equal
    (record,) = moving.line.records("erasure")
    assert (record["by"], record["reason"], record["sessions"]) == ("me@here", "law", ["mine"])
    assert redis.get(keys.session_key(keys.partition_of("mine"), "mine")) is None


def test_predictions_and_exemplars_made_of_a_sessions_prompts_go_with_it(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path
) -> None:
    fill(moving, feed)
    with Views(moving.settings.views) as views:
        turns = {row.session: row.id for row in views.walk()}
    made = [
        ShadowBody("ev1", "mine", "f", "n1", "claude-code", "p", 1, 2, "live", regex=SECRET),
        ExemplarBody("ex1", "ship", SECRET, "ann", 1, of=turns["mine"]),
        ExemplarBody("ex2", "ship", "get it out", "ann", 1, of=turns["yours"]),
    ]
    kinds = {ShadowBody: "shadow", ExemplarBody: "exemplar"}
    send(redis, [Outgoing(kinds[type(body)], "routing", body) for body in made], moving.step)
    moving.step()
    moving.step()
    assert len(moving.line.records("exemplar")) == 2
    moving.eraser("mine").run()
    assert SECRET.encode() not in everything(tmp_path, redis)
    with Routed(moving.settings.views) as views:
        assert [row.id for row in views.exemplars()] == ["ex2"]
        assert list(views.shadows()) == []
    assert compare(moving.settings.views, moving.settings.ledger, DEFAULT_VERSION).equal


def test_an_open_turn_is_closed_and_erased_too(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path
) -> None:
    fill(moving, feed)
    feed("mine").prompt(f"Once more: {SECRET}")
    moving.eraser("mine").run()
    assert SECRET.encode() not in everything(tmp_path, redis)
    assert moving.line.kept(moving.sessions) == 0


def test_a_file_read_again_brings_nothing_back(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path
) -> None:
    fill(moving, feed)
    again = feed("mine")
    moving.eraser("mine").run()
    again.turn(text=f"Make it work: {SECRET}")  # the same ids: the very same facts
    moving.step()
    moving.step()
    assert moving.shown() == ["yours", "yours"]


def test_everything_before_a_time_goes_and_what_is_younger_stays(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path
) -> None:
    old, young = feed("old"), Feed(redis, "young", start_ms=1_770_000_000_000)
    old.turn(text=SECRET)
    young.turn()
    moving.step()
    moving.step()
    report = moving.eraser(before_ms=1_765_000_000_000).run()
    assert report.sessions == ["old"]
    assert SECRET.encode() not in everything(tmp_path, redis)
    assert moving.shown() == ["young"]
    assert moving.eraser(before_ms=1_765_000_000_000).run() == ErasureReport()


def test_dead_letters_that_tell_of_a_session_are_deleted(
    moving: Moving, feed: MakeFeed, redis: Redis
) -> None:
    fill(moving, feed)
    pipe = redis.pipeline()
    dead_letters.bury(pipe, b'{"session_id":"mine", broken', "no JSON", "ship", "n1")
    dead_letters.bury(pipe, b'{"session_id":"yours", broken', "no JSON", "ship", "n1")
    pipe.execute()
    assert moving.eraser("mine").run().dead_letters == 1
    assert [letter.data[15:20] for letter in dead_letters.read(redis)] == [b"yours"]


def test_an_erasure_that_was_broken_off_is_resumed(
    moving: Moving, feed: MakeFeed, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(moving, feed)
    with monkeypatch.context() as broken:
        broken.setattr(erasure, "blank", _power_cut)
        with pytest.raises(KeyboardInterrupt):
            moving.eraser("mine").run()
    assert len(unfinished(moving.settings.ledger)) == 1
    report = moving.eraser().resume()
    assert (report.sessions, report.views) == (["mine"], True)
    assert unfinished(moving.settings.ledger) == []
    assert SECRET.encode() not in everything(tmp_path, redis)
    assert moving.eraser().resume() == ErasureReport()


def _power_cut(*_: object) -> int:
    raise KeyboardInterrupt


def test_views_that_come_past_an_erased_record_are_made_anew(moving: Moving, feed: MakeFeed) -> None:
    fill(moving, feed)
    with Views(moving.settings.views) as views:
        name = next(row.id for row in views.walk(Filter()) if row.session == "mine")
    moving.eraser("mine").run()
    with Views(moving.settings.views) as views, pytest.raises(NotFound):
        detail(views, moving.settings.ledger, name)


def test_a_line_that_does_not_move_is_told_and_nothing_is_erased(
    moving: Moving, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(moving, feed)
    monkeypatch.setattr(erasure, "PATIENCE_S", 0.05)
    eraser = moving.eraser("mine")
    eraser._wait = lambda _seconds: None
    with pytest.raises(LineDown, match="karl doctor"):
        eraser.run()
    assert moving.shown() == ["mine", "mine", "yours", "yours"]


def test_where_there_is_no_ledger_it_is_refused(redis: Redis, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(Refused, match="where it is written"):
        Eraser(redis, settings, Wanted(frozenset({"s"}))).run()


def test_views_that_nobody_makes_anew_are_reported(
    moving: Moving, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(moving, feed)
    monkeypatch.setattr(erasure, "PATIENCE_S", 3)
    moving.views.close()
    moving.views.run_once = lambda _stop: None  # type: ignore[method-assign]
    assert moving.eraser("mine").run().views is False

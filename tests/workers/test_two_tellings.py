"""A session that hooks recorded and a transcript tells, through the workers into the views."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.reward.score import score
from karl.schema.event import TRANSCRIPT
from karl.views import store
from karl.views.detail import Detail, detail
from karl.views.queries import SessionRow, TrajectoryRow, Views
from karl.views.rebuild import Tail, begin, compare, rebuild
from tests.workers.conftest import Feed, Line

START_MS = 1_760_000_000_000


class Teller(Feed):
    """Puts what a transcript tells into the stream, at the hooks' times plus a little."""

    def tell(self, kind: str, at: int, **payload: Any) -> None:
        event = self.event(kind, **payload)
        self.sent[-1] = event = msgspec.structs.replace(
            event, id=f"t-{self.session}-{len(self.sent)}", source=TRANSCRIPT, time_ms=START_MS + at * 1000
        )
        self.push(event)

    def event(self, kind: str, **payload: Any) -> Any:
        push, self.push = self.push, lambda _event: None  # type: ignore[method-assign]
        made = super().event(kind, **payload)
        self.push = push  # type: ignore[method-assign]
        return made


@pytest.fixture
def folder(line: Line) -> Path:
    return line.folder.parent


def look(line: Line, path: Path) -> tuple[SessionRow, list[TrajectoryRow], list[Detail]]:
    """Follow the ledger in batches of one, then read; the views must equal a rebuild."""
    begin(path, "1")
    with closing(store.Store(path, "1", line.folder)) as opened:
        tail = Tail(line.folder, opened.position)
        before = tail.position
        while lines := tail.batch():
            opened.apply(lines, before)
            before = tail.position
        tail.close()
    assert compare(path, line.folder, "1").equal
    with Views(path) as views:
        (row,) = views.sessions()
        turns = views.turns(row.session)
        return row, turns, [detail(views, line.folder, turn.id) for turn in turns]


def usage(output: int) -> dict[str, int]:
    return {"input_tokens": 10, "output_tokens": output, "cache_read_tokens": 100, "cache_write_tokens": 7}


def told(teller: Teller) -> None:
    """The turn that `Feed.turn(2)` makes, with an invalid call that no hook saw."""
    teller.tell("UserPromptSubmit", 0, prompt="Make it work")
    teller.tell("AssistantMessage", 0, message_id="m1", usage=usage(1), model="m-9", text="Let me see.")
    for call, at in (("c1", 1), ("c3", 3)):
        named = {"tool_name": "Bash", "tool_input": {"command": "true"}, "tool_use_id": call}
        teller.tell("PreToolUse", at, **named)
        teller.tell("PostToolUse", at + 1, **named, tool_response="")
    teller.tell("AssistantMessage", 4, message_id="m1", usage=usage(5))
    named = {"tool_name": "Edit", "tool_input": {}, "tool_use_id": "invalid"}
    teller.tell("PreToolUse", 4, **named)
    teller.tell("PostToolUseFailure", 4, **named, error="<tool_use_error>no such file</tool_use_error>")
    teller.tell("AssistantMessage", 4, message_id="m2", usage=usage(2))
    teller.tell("ImportEnd", 5)


def test_the_transcript_fills_in_calls_tokens_and_model(
    line: Line, feed: Callable[..., Feed], folder: Path
) -> None:
    worker = line.sessions()
    feed().turn(2)
    line.drain(worker)
    told(Teller(line.redis, "s-1"))
    line.drain(worker)
    session, (turn,), (whole,) = look(line, folder / "views.sqlite")
    assert (session.turns, session.calls, session.failures) == (1, 3, 1)
    assert (session.tokens.input, session.tokens.output, session.tokens.cache_read) == (20, 7, 200)
    assert (session.tokens.cache_write, session.tokens.messages) == (14, 2)
    assert turn.tokens == session.tokens
    assert (turn.calls, turn.failures, turn.model) == (3, 1, "m-9")
    reading = whole.body.trajectory
    assert [call.call_id for call in reading.trajectory.events] == ["c1", "c3", "invalid"]
    assert reading.channel == "live"
    assert turn.reward == whole.score.reward == score(reading, version=whole.score.version).reward
    assert session.reward == turn.reward
    assert turn.events == len(whole.body.events)
    worker.close()


def test_a_transcript_imported_again_leaves_nothing_in_the_streams(
    line: Line, feed: Callable[..., Feed]
) -> None:
    worker = line.sessions()
    teller = Teller(line.redis, "s-1")
    told(teller)
    line.drain(worker)
    records = line.records()
    for event in teller.sent:
        teller.push(event)
    line.drain(worker)
    assert line.kept(worker) == 0
    assert line.records() == records
    worker.close()


@pytest.mark.parametrize("order", ["live first", "transcript first"])
def test_the_order_of_the_two_tellings_changes_no_count(
    line: Line, feed: Callable[..., Feed], folder: Path, order: str
) -> None:
    worker = line.sessions()
    tellings = [lambda: feed().turn(2), lambda: told(Teller(line.redis, "s-1"))]
    for say in tellings if order == "live first" else reversed(tellings):
        say()
        line.drain(worker)
    session, (turn,), _ = look(line, folder / "views.sqlite")
    assert (session.turns, turn.calls, turn.failures, turn.tokens.output) == (1, 3, 1, 7)
    worker.close()


def test_what_is_said_later_of_such_a_turn_counts_with_its_late_facts(
    line: Line, feed: Callable[..., Feed], folder: Path
) -> None:
    worker = line.sessions()
    hooks = feed()
    hooks.turn(2)
    line.drain(worker)
    told(Teller(line.redis, "s-1"))
    line.drain(worker)
    hooks.prompt("no, that is wrong, I meant the other one")
    line.drain(worker)
    _, (turn,), (whole,) = look(line, folder / "views.sqlite")
    assert turn.flags["correction_detected"] is True
    outcome = msgspec.structs.replace(whole.body.trajectory.outcome, **turn.known)
    known = msgspec.structs.replace(whole.body.trajectory, outcome=outcome)
    expected = score(known, version=whole.score.version, weights=whole.score.weights)
    assert turn.reward == whole.score.reward == expected.reward
    worker.close()


def test_late_facts_of_a_trajectory_that_is_not_there_are_counted(line: Line, folder: Path) -> None:
    worker = line.sessions()
    stray = {"session": "s-9", "fleet": "f", "node": "n", "agent": "a", "project": "", "time_ms": 5,
             "events": [], "of": "traj_0000000000000000"}  # fmt: skip
    line.redis.xadd("karl:{3}:records", {"k": "events", "b": json.dumps(stray)})
    line.drain(worker)
    rebuild(folder / "views.sqlite", line.folder, "1")
    with Views(folder / "views.sqlite") as views:
        assert views.counts().orphans == 1
    worker.close()


def test_what_the_doctor_sends_is_kept_and_shown_nowhere(line: Line, folder: Path) -> None:
    worker = line.sessions()
    Feed(line.redis, "karl-doctor-1").turn(1)
    line.drain(worker)
    rebuild(folder / "views.sqlite", line.folder, "1")
    with Views(folder / "views.sqlite") as views:
        assert views.sessions() == []
        assert (views.counts().probes, views.counts().trajectories) == (1, 0)
    assert len(line.records("trajectory")) == 1
    worker.close()

"""Ledgers for the tests of views and of the commands that read: small, made, and told by a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from karl.ledger.writer import Draft, Writer, newest_term
from karl.reward.score import rescore_outcome, score
from karl.schema.record import AnnotationBody, EventsBody, Score, ScoreBody, TrajectoryBody
from karl.schema.trajectory import Calls, Context, Outcome, Skill, Timing, ToolCall, Trajectory

START_MS = 1_790_000_000_000
MINUTE_MS = 60_000


def write(folder: Path, drafts: Sequence[Draft], *, segment_max_bytes: int = 1 << 20, batch: int = 7) -> None:
    """Append drafts under a new term, as a ledger worker that starts and ends."""
    writer = Writer.open(
        folder,
        term=newest_term(folder) + 1,
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        segment_max_bytes=segment_max_bytes,
        trusted=lambda: True,
    )
    for start in range(0, len(drafts), batch):
        writer.append(drafts[start : start + batch])
    writer.close()


def event(id_: str, session: str, kind: str = "PostToolUse") -> msgspec.Raw:
    return msgspec.Raw(
        msgspec.json.encode(
            {"id": id_, "kind": kind, "session": session, "payload": {"hook_event_name": kind}}
        )
    )


def calls(*names: str, failing: int = 0) -> list[ToolCall]:
    return [
        ToolCall(
            tool_name=name,
            key_params={"file_path": f"src/{number}.py"} if name != "Bash" else {"command": "pytest -q"},
            success=number >= failing,
            exit_code=(0 if number >= failing else 2) if name == "Bash" else None,
            duration_ms=12 + number,
            call_id=f"call-{number}",
            status="completed" if number >= failing else "failed",
        )
        for number, name in enumerate(names)
    ]


def reading(made: list[ToolCall], *, prompt: str = "make it work", **facts: Any) -> Trajectory:
    return Trajectory(
        domain=facts.get("domain", "api"),
        skill=Skill(name=facts.get("skill")),
        context=Context(prompt_text=prompt),
        trajectory=Calls(
            events=made,
            tool_sequence=[call.tool_name for call in made],
            total_tools=len(made),
            successes=sum(call.success is True for call in made),
            failures=sum(call.success is False for call in made),
        ),
        outcome=facts.get("outcome", Outcome()),
        timing=Timing(started_at=facts.get("started_at"), duration_s=4.5),
    )


def trajectory(session: str, turn: int, *, id_: str = "", reward: float | None = None, **facts: Any) -> Draft:
    """One closed turn with two events; `reward` replaces the score's."""
    body = facts.pop("reading", None) or reading(
        facts.pop("calls", calls("Read", "Edit", "Bash", failing=turn % 2)),
        **{k: facts.pop(k) for k in ("prompt", "domain", "skill", "outcome", "started_at") if k in facts},
    )
    made = score(body, version="1")
    if reward is not None:
        made = msgspec.structs.replace(made, reward=reward)
    where = {"fleet": "default", "node": "n1", "agent": "claude-code", "project": "shop"}
    values = {
        "turn": turn, "closed_by": "stop", "time_ms": START_MS + turn * MINUTE_MS, "agent_version": "2.1",
        "model": "some-model", **where, **facts,
    }  # fmt: skip
    name = id_ or f"traj_{session}_{turn}"
    events = [event(f"{name}-{n}", session) for n in range(2)]
    record = TrajectoryBody(
        id=name, session=session, trajectory=body, score=made, events=events, **values
    )  # fmt: skip
    return Draft("trajectory", msgspec.json.encode(record))


def events(session: str, number: int, *, ended: bool = False, **facts: Any) -> Draft:
    where = {"fleet": "default", "node": "n1", "agent": "claude-code", "project": "shop"}
    body = EventsBody(
        session=session,
        time_ms=facts.pop("time_ms", START_MS + 50 * MINUTE_MS),
        events=[event(f"late-{session}-{n}", session, "Notification") for n in range(number)],
        ended=ended,
        **{**where, **facts},
    )
    return Draft("events", msgspec.json.encode(body))


def annotation(about: Draft, outcome: Outcome, *, by: str = "ev1") -> Draft:
    """What the worker writes when a prompt says how the turn before it went."""
    known = msgspec.json.decode(about.body, type=TrajectoryBody)
    body = AnnotationBody(
        trajectory=known.id,
        session=known.session,
        by=by,
        detector="phrases-1",
        outcome=outcome,
        score=rescore_outcome(known.score, outcome),
        time_ms=known.time_ms + MINUTE_MS,
    )
    return Draft("annotation", msgspec.json.encode(body))


def rescore(about: Draft, reward: float, *, version: str = "1") -> Draft:
    known = msgspec.json.decode(about.body, type=TrajectoryBody)
    again = Score(version, reward, {"outcome": reward}, {}, known.score.weights)
    body = ScoreBody(trajectory=known.id, session=known.session, score=again, time_ms=known.time_ms)
    return Draft("score", msgspec.json.encode(body))


def story() -> list[Draft]:
    """A bit of everything: two sessions, a correction, a re-score, stragglers, a repetition."""
    first = trajectory("s-alpha", 0, prompt="add a login page\x1b[31m")
    second = trajectory("s-alpha", 1, domain="web")
    other = trajectory("s-beta", 0, node="n2", agent="codex", project="", domain="web")
    return [
        first,
        events("s-beta", 1, node="n2", agent="codex", project=""),
        annotation(first, Outcome(correction_detected=True, session_continued=True)),
        second,
        other,
        first,
        rescore(other, 0.25),
        events("s-alpha", 3, ended=True),
    ]

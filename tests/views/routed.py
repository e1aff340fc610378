"""Turns that used skills, and records of routing, for the tests of what the views tell of it."""

from __future__ import annotations

from typing import Any

import msgspec

from karl.ledger.writer import Draft
from karl.reward.score import rescore_outcome, score
from karl.schema.event import Event, encode_event
from karl.schema.record import AnnotationBody, EventsBody, TrajectoryBody
from karl.schema.routing import (
    ExemplarBody,
    RankedSkill,
    RouterBody,
    RoutingBody,
    Rule,
    ShadowBody,
    SkillEntry,
    SkillsBody,
)
from karl.schema.trajectory import Calls, Context, Outcome, ToolCall, Trajectory
from tests.views.ledgers import MINUTE_MS, START_MS

WHERE = {"fleet": "default", "node": "n1", "agent": "claude-code", "project": "shop"}


def fact(name: str, session: str, kind: str, **payload: Any) -> msgspec.Raw:
    """One event as the shipper writes it."""
    whole = {"session_id": session, "hook_event_name": kind, **payload}
    event = Event(
        id=name, kind=kind, session=session, payload=msgspec.Raw(msgspec.json.encode(whole)), time_ms=START_MS
    )
    return msgspec.Raw(encode_event(event))


def suggestion(name: str, session: str, skill: str, *, told: bool) -> msgspec.Raw:
    return fact(name, session, "SkillSuggested", skill=skill, chance=0.9, policy="d1", told=told)


def turn(
    session: str,
    number: int,
    *skills: str,
    prompt: str = "make it work",
    person: bool = True,
    ended: bool = True,
    reward: float | None = None,
    corrected: bool | None = None,
    more: list[msgspec.Raw] | None = None,
    **facts: Any,
) -> Draft:
    """A closed turn that called `skills`; its prompt's event is `ev-SESSION-NUMBER`."""
    calls = [ToolCall("Skill", {"skill": name}, success=True, status="completed") for name in skills]
    body = Trajectory(
        source="claude-code",
        context=Context(prompt_text=prompt, human_prompt=person),
        trajectory=Calls(events=calls, total_tools=len(calls), successes=len(calls)),
        outcome=Outcome(completed=ended or None, correction_detected=corrected),
    )
    made = score(body, version="1")
    record = TrajectoryBody(
        id=f"traj_{session}_{number}",
        session=session,
        turn=number,
        closed_by="stop",
        time_ms=START_MS + number * MINUTE_MS,
        trajectory=body,
        score=made if reward is None else msgspec.structs.replace(made, reward=reward),
        events=[
            fact(f"ev-{session}-{number}", session, "UserPromptSubmit", prompt=prompt),
            *(more or []),
            fact(f"end-{session}-{number}", session, "Stop"),
        ],
        **{**WHERE, **facts},
    )
    return Draft("trajectory", msgspec.json.encode(record))


def said(about: Draft, *, skill: str | None = None, corrected: bool | None = None, by: str = "a") -> Draft:
    """A person's word on a turn."""
    known = msgspec.json.decode(about.body, type=TrajectoryBody)
    outcome = Outcome(correction_detected=corrected)
    body = AnnotationBody(
        known.id, known.session, by, "person", outcome, rescore_outcome(known.score, outcome),
        START_MS, person="ann", skill=skill,
    )  # fmt: skip
    return Draft("annotation", msgspec.json.encode(body))


def late(about: Draft | None, session: str, *events: msgspec.Raw) -> Draft:
    """Facts that come outside of a turn's record, of a turn or of none."""
    of = msgspec.json.decode(about.body, type=TrajectoryBody).id if about else None
    body = EventsBody(session, time_ms=START_MS, events=list(events), of=of, **WHERE)
    return Draft("events", msgspec.json.encode(body))


def prediction(event: str, regex: str | None = None, *ranked: tuple[str, float], **facts: Any) -> Draft:
    body = ShadowBody(
        event=event,
        session=facts.pop("session", event.split("-")[1]),
        time_ms=facts.pop("time_ms", START_MS),
        made_ms=START_MS + 5,
        source=facts.pop("source", "live"),
        regex=regex,
        ranked=tuple(RankedSkill(*one) for one in ranked),
        takes=bool(ranked),
        **{**WHERE, **facts},
    )
    return Draft("shadow", msgspec.json.encode(body))


def place(name: str, *skills: str, node: str = "n1", time_ms: int = START_MS, **facts: Any) -> Draft:
    body = SkillsBody(
        id=f"sk-{name}-{'-'.join(skills)}",
        place=name,
        origin=facts.pop("origin", "user"),
        skills=tuple(SkillEntry(one, **facts) for one in skills),
        rules=tuple(Rule(one, rf"\b{one}\b") for one in skills),
        node=node,
        time_ms=time_ms,
    )
    return Draft("skills", msgspec.json.encode(body))


def exemplar(name: str, skill: str, text: str = "some words", **facts: Any) -> Draft:
    return Draft("exemplar", msgspec.json.encode(ExemplarBody(name, skill, text, "ann", START_MS, **facts)))


def router(name: str, **facts: Any) -> Draft:
    values = {
        "why": "bootstrap", "encoder": "static", "encoder_version": "1", "head": "centroid", "seed": 0,
        "skills": ("a", "b"), "counts": {"a": 3, "b": 4}, "sources": (), "measured": {}, "drift": {},
        "bytes": 9, "node": "n1", "time_ms": START_MS, **facts,
    }  # fmt: skip
    return Draft("router", msgspec.json.encode(RouterBody(id=name, **values)))


def decision(name: str, action: str = "use", **facts: Any) -> Draft:
    values = {"mode": "shadow", "router": "r1", "person": "ann", "node": "n1", "time_ms": START_MS, **facts}
    return Draft("routing", msgspec.json.encode(RoutingBody(id=name, action=action, **values)))

"""Real transcripts, told alone and together with the hooks that would have recorded the same sessions."""

from __future__ import annotations

import random
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from karl.schema.event import Event, encode_event, event_id
from karl.session.fold import Carry, Held, Limits, OpenSession, Strays, Turn
from karl.session.turn import normalize_turn
from producers.envelope import EnvelopeMaker
from producers.transcripts.claude import Claude
from producers.transcripts.told import Told

HOOKED = {
    "SessionStart", "UserPromptSubmit", "UserPromptExpansion", "PreToolUse", "PostToolUse",
    "PostToolUseFailure", "Stop", "SubagentStart", "SubagentStop",
}  # fmt: skip
#: What makes a call fail before any hook runs.
UNSEEN = ("tool_use_error", "doesn't want")
LOST = 0.3
MAKER = EnvelopeMaker(node="n")


class Sum(NamedTuple):
    calls: int
    names: int
    failures: int
    tokens: int


@pytest.fixture(scope="module")
def transcripts(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        wanted = [item for item in archive if item.name.split("/")[-3:][0].startswith("claude-code")]
        archive.extractall(folder, members=wanted, filter="data")
    return Claude().find(folder)


def told(path: Path) -> list[Event]:
    events = [
        MAKER.of(
            one.payload,
            name=event_id("told", one.payload["session_id"], one.key),
            agent="claude-code",
            source="transcript",
        )
        for one in Claude().read(path)
        if isinstance(one, Told)
    ]
    last = {event.session: event for event in events}
    return events + [MAKER.end_of_import(event) for event in last.values()]


def hooked(events: list[Event], chance: random.Random, *, prompt_ids: bool, losing: bool) -> list[Event]:
    """What hooks would have told of the same, a little later than it was written down."""
    made = []
    for event in events:
        payload = msgspec.json.decode(event.payload)
        unseen = any(sign in str(payload.get("error")) for sign in UNSEEN)
        lost = losing and event.kind == "PostToolUse" and chance.random() < LOST
        if event.kind not in HOOKED or unseen or lost:
            continue
        if not prompt_ids:
            payload.pop("prompt_id", None)
        later = None if event.time_ms is None else event.time_ms + chance.randint(0, 900)
        raw = msgspec.Raw(msgspec.json.encode(payload))
        made.append(
            msgspec.structs.replace(event, id=f"L{event.id}", source="hook", payload=raw, time_ms=later)
        )
    return made


def mixed(one: list[Event], two: list[Event], chance: random.Random) -> list[Event]:
    left = [one[::-1], two[::-1]]
    out = []
    while any(left):
        out.append(chance.choice([side for side in left if side]).pop())
    return out


def sums(events: list[Event]) -> dict[str, Sum]:
    """Fold events and add up what every turn holds, with what joined it late."""
    sessions: dict[str, OpenSession] = {}
    turns: dict[str, Turn] = {}
    late: dict[str, list[Held]] = defaultdict(list)
    limits = Limits(turn_max_events=1 << 40, turn_max_bytes=1 << 40)
    out = []
    for number, event in enumerate(events):
        if event.session not in sessions:
            sessions[event.session] = OpenSession(event.session, Carry(), {}, limits)
        out += sessions[event.session].add(Held(f"{number + 1}-0", encode_event(event), event), 0)
    for session in sessions.values():
        out += session.close("idle")
    for one in out:
        if isinstance(one, Turn):
            turns[one.id] = one
        elif isinstance(one, Strays) and one.of:
            late[one.of] += one.held
    read: dict[str, Sum] = dict.fromkeys(sessions, Sum(0, 0, 0, 0))
    for name, turn in turns.items():
        held = sorted((*turn.held, *late[name]), key=lambda item: item.event.time_ms or 0)
        made = normalize_turn(msgspec.structs.replace(turn, held=tuple(held)))
        calls = made.trajectory
        this = Sum(
            calls.total_tools, len({call.call_id for call in calls.events}), calls.failures, made.usage.total
        )
        read[turn.session] = Sum(*map(sum, zip(read[turn.session], this, strict=True)))
    return read


@pytest.mark.parametrize(
    ("prompt_ids", "losing"),
    [(True, False), (False, True)],
    ids=["every hook", "no prompt ids, lost results"],
)
def test_hooks_and_transcripts_of_real_sessions_count_the_same_in_any_order(
    transcripts: list[Path], prompt_ids: bool, losing: bool
) -> None:
    differing = []
    for path in transcripts:
        chance = random.Random(path.name)
        said = told(path)
        live = hooked(said, chance, prompt_ids=prompt_ids, losing=losing)
        alone = sums(said)
        for order in (live + said, said + live, mixed(live, said, chance)):
            if sums(order) != alone:
                differing.append(path.name)
    assert transcripts
    assert differing == []

"""Whether the demo's ledger tells the story that was played: one sentence for each thing that is not so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from karl.demo.hooks import Run
from karl.demo.report import Found
from karl.demo.story import Sessions
from karl.schema.trajectory import ToolCall
from karl.views.detail import Detail

#: Calls of the delegated session that start a subagent.
_SUBAGENTS = 3
_CHUNK = 1 << 20


def missing(found: Found, sent: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Compare what the agent sent with the ledger's events, one by one."""
    there = Counter((event.session, event.kind) for event in found.events)
    wanted = Counter((payload["session_id"], payload["hook_event_name"]) for payload in sent)
    for (session, kind), count in (wanted - there).items():
        yield f"{count} {kind} of session {session} are not in the ledger"
    for (session, kind), count in (there - wanted).items():
        yield f"{count} {kind} of session {session} are in the ledger, and nobody sent them"


def disturbing(runs: Sequence[Run]) -> Iterator[str]:
    """Look for runs of the hook that an agent would have noticed."""
    for run in runs:
        if run.code != 0 or run.printed:
            how = "took too long" if run.code is None else f"exited {run.code} and printed {run.printed!r}"
            yield f"the hook of a {run.event} {how}"


def leaks(places: Sequence[Path], secret: str) -> Iterator[str]:
    """Look for the secret in these files and in all files below these folders; it has to be in none."""
    needle = secret.encode()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and _holds(path, needle):
                yield f"the planted secret is in {path}"


def untold(found: Found, sessions: Sessions) -> Iterator[str]:
    """Look for each turn of the story, as the ledger has to tell it."""
    parts = (
        (_unfinished, sessions.unfinished, 1),
        (_corrected, sessions.corrected, 2),
        (_delegated, sessions.delegated, 1),
        (_interrupted, sessions.interrupted, 2),
    )
    for check, session, count in parts:
        turns = found.turns_of(session)
        if len(turns) == count:
            yield from check(turns)
        else:
            yield f"session {session} has {len(turns)} turns and not {count}"
    if not found.redactions:
        yield "nothing was redacted, and a secret was planted"
    if not found.verified.ok:
        yield f"the ledger has {found.verified.damages} damages; `karl verify` tells where"


def _unfinished(turns: Sequence[Detail]) -> Iterator[str]:
    if turns[0].body.closed_by != "idle":
        yield f"the unfinished turn was closed by {turns[0].body.closed_by} and not by its silence"


def _corrected(turns: Sequence[Detail]) -> Iterator[str]:
    for turn in turns:
        codes = [call.exit_code for call in _calls(turn) if "test_prices" in str(call.key_params)]
        codes = [code for code in codes if code is not None]
        if len(codes) < 2 or codes[0] == 0 or codes[-1] != 0:
            yield f"the tests of trajectory {turn.row.id} went {codes} and not from red to green"
    if turns[0].row.flags["correction_detected"] is not True or not turns[0].later:
        yield "the user's correction is not annotated"


def _delegated(turns: Sequence[Detail]) -> Iterator[str]:
    calls = _calls(turns[0])
    starters = {call.call_id for call in calls if call.tool_name in {"Agent", "Task"}}
    if len(starters) != _SUBAGENTS:
        yield f"{len(starters)} calls started a subagent and not {_SUBAGENTS}"
    parents = {call.parent_call for call in calls if call.agent_id}
    if parents != starters:
        yield "not every subagent's calls stand under the call that started it"


def _interrupted(turns: Sequence[Detail]) -> Iterator[str]:
    first, second = turns
    if first.body.closed_by != "prompt" or _calls(first)[-1].status != "interrupted_or_denied":
        yield "the call that the user cut off does not show as interrupted"
    if not any(call.exit_code == 2 and call.success is False for call in _calls(second)):
        yield "the command that failed does not show its exit code 2"


def _calls(turn: Detail) -> list[ToolCall]:
    return turn.body.trajectory.trajectory.events


def _holds(path: Path, needle: bytes) -> bool:
    """Search a file piece by piece, each with the end of the one before."""
    tail = b""
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            if needle in tail + piece:
                return True
            tail = piece[-len(needle) :]
    return False

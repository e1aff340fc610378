"""Many small sessions for the tests of data sets, told by what was asked and called in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.ledger.writer import Draft
from karl.reward.score import DEFAULT_VERSION
from karl.schema.event import Event, encode_event, event_id
from karl.schema.learning import HoldoutBody
from karl.views.rebuild import rebuild
from tests.export.telling import folded
from tests.views import ledgers

START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000


class Did(NamedTuple):
    """A call: the tool, what it was given, what came back, whether it failed."""

    tool: str
    given: dict[str, Any]
    answer: str = "fine"
    failed: bool = False


class Asked(NamedTuple):
    """A turn: the prompt, the calls, the last word."""

    prompt: str
    calls: Sequence[Did] = ()
    last: str = "Done."


RUN = Did("Bash", {"command": "pytest -q"}, "3 passed")
READ = Did("Read", {"file_path": "/w/shop/src/till.py"}, "def till(): ...")
EDIT = Did("Edit", {"file_path": "/w/shop/src/till.py", "old_string": "a", "new_string": "b"})
FAILED = Did(
    "Bash", {"command": "cd /w/shop && make all 2>&1 | tail"}, "Exit code 2\nmake: *** no rule", failed=True
)

#: Prompts that have nothing in common.
TOPICS = (
    "the currency converter rounds half cents upward and should round them to even",
    "please teach our mail sender how bounced addresses leave every list for good",
    "why do uploads above two gigabytes stop without any message near their end",
    "rename class Basket into Cart everywhere, tests and fixtures included, thanks",
    "make login survive when session storage answers slower than three seconds",
    "write documentation about webhook signatures, with one worked example in Go",
    "our nightly report counts refunds twice whenever daylight saving time begins",
    "drop support for Python 3.8 from packaging, workflows, plus type annotations",
    "search results ignore umlauts; users expect ue and ü being treated alike",
    "move image thumbnails onto background workers so pages render without waiting",
    "add pagination towards audit log endpoint using opaque cursors not offsets",
    "profile startup: importing plugins takes most seconds, load them when needed",
    "validate IBAN checksums before payment orders reach that banking gateway",
    "replace homemade retry loops by tenacity with jitter and bounded attempts",
    "cache exchange rates during one hour but never serve anything older than day",
    "export calendar events into ICS files which Outlook opens without complaints",
)


def session(name: str, turns: Sequence[Asked], *, at_ms: int, project: str = "shop") -> Iterator[bytes]:
    """Give a session's events, as an agent's hooks tell them."""
    number = 0

    def say(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        payload = {"session_id": name, "hook_event_name": kind, "cwd": f"/w/{project}", **fields}
        return encode_event(
            Event(
                id=event_id(name, str(number)), kind=kind, session=name, project=project,
                payload=msgspec.Raw(json.dumps(payload).encode()), time_ms=at_ms + number * 1000,
            )
        )  # fmt: skip

    for turn, asked in enumerate(turns):
        yield say("UserPromptSubmit", prompt=asked.prompt)
        for at, did in enumerate(asked.calls):
            call = {"tool_use_id": f"{name}-{turn}-{at}", "tool_name": did.tool, "tool_input": did.given}
            yield say("PreToolUse", **call)
            if did.failed:
                yield say("PostToolUseFailure", error=did.answer, **call)
            else:
                yield say("PostToolUse", tool_response={"content": did.answer}, **call)
        yield say("Stop", stop_hook_active=False, last_assistant_message=asked.last)


def many(number: int = len(TOPICS), calls: Sequence[Did] = (READ, EDIT, FAILED, RUN)) -> list[bytes]:
    """Give sessions of one turn each, each an hour after the one before, of different topics."""
    return [
        event
        for at in range(number)
        for event in session(f"s{at:02}", [Asked(TOPICS[at], calls)], at_ms=START_MS + at * HOUR_MS)
    ]


def held(*names: str, id_: str = "h1", released: str = "") -> Draft:
    """The record of a holdout."""
    body = HoldoutBody(
        id=id_, sessions=names, way="hash", seed=0, share=0.1, groups=len(names), reason="to judge by",
        person="me", node="n", time_ms=START_MS, released=released,
    )  # fmt: skip
    return Draft("holdout", msgspec.json.encode(body))


def recorded(folder: Path, events: Sequence[bytes], *more: Draft) -> Path:
    """Give a data folder with these sessions, and records behind them."""
    ledgers.write(folder / "ledger", [*folded(events), *more])
    return viewed(folder)


def viewed(folder: Path) -> Path:
    """Make the views of a data folder anew."""
    rebuild(folder / "views" / "views.sqlite", folder / "ledger", DEFAULT_VERSION)
    return folder


def add(folder: Path, *more: Draft) -> Path:
    """Put records behind those that are there."""
    ledgers.write(folder / "ledger", more)
    return viewed(folder)

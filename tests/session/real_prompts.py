"""Real prompts with the prompt before and what happened between, as the detector of corrections gets them.

Sessions of hooks and transcripts go through the fold; logs in formats that nothing here imports are read
as far as their prompts need.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import KarlError
from karl.schema.event import Event, Payload, event_id
from karl.session import lane
from karl.session.corrections import Judgement, Signs, judge
from karl.session.fold import Carry, Held, Limits, OpenSession
from karl.session.prompts import prompt_kind
from producers.transcripts.claude import Claude
from producers.transcripts.codex import Codex
from producers.transcripts.copilot import Copilot
from producers.transcripts.told import Format, Told

#: The folders of real data, and what reads them.
READERS: dict[str, Format] = {
    "claude-code": Claude(),
    "claude-code-odd": Claude(),
    "codex": Codex(),
    "copilot": Copilot(),
}
_NO_LIMITS = Limits(idle_ms=1 << 50, turn_max_events=1 << 40, turn_max_bytes=1 << 40)
_KEPT = 500


class Case(NamedTuple):
    """A prompt that a person typed, and all that the detector is given with it."""

    source: str
    prompt: str
    previous: str
    signs: Signs

    @property
    def key(self) -> str:
        """Name the prompt and the one before it without telling either."""
        told = f"{normalised(self.prompt)}\0{normalised(self.previous)}"
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def normalised(text: str) -> str:
    return " ".join(text.lower().split())[:2000]


def real_cases(folder: Path) -> dict[str, Case]:
    """Give every prompt with one before it, by key; what is told twice is given once."""
    cases: dict[str, Case] = {}
    for case in _all(folder):
        cases.setdefault(case.key, case)
    return cases


def _all(folder: Path) -> Iterator[Case]:
    for source, reader in READERS.items():
        for path in reader.find(folder / source):
            yield from _folded(source, _told(reader, path))
    for path in sorted((folder / "hook-payloads").iterdir()):
        yield from _folded("hook-payloads", _hooked(path))
    for path in sorted((folder / "entire-compact").rglob("*.jsonl")):
        yield from _compact(path)
    for path in sorted((folder / "specstory-md").rglob("*.md")):
        parts = re.split(r"^_\*\*(User|Agent)[^*]*\*\*_$", path.read_text(), flags=re.MULTILINE)
        said = (
            (who, body.strip().removesuffix("---").strip())
            for who, body in zip(parts[1::2], parts[2::2], strict=True)
        )
        yield from _alternating("specstory-md", said)
    for path in sorted((folder / "aider-md").rglob("*.md")):
        blocks = re.findall(r"(?:^#### .*\n)+", path.read_text(), flags=re.MULTILINE)
        yield from _alternating(
            "aider-md",
            (
                ("User", "\n".join(line.removeprefix("#### ").rstrip() for line in block.splitlines()))
                for block in blocks
            ),
        )


def _folded(source: str, events: Iterable[Event]) -> Iterator[Case]:
    """Send events through the fold; note what its detector is asked."""
    asked: list[Case] = []

    def noted(prompt: str, previous: str | None, signs: Signs) -> Judgement:
        asked.append(Case(source, prompt, previous or "", signs))
        return judge(prompt, previous, signs)

    real, lane.judge = lane.judge, noted
    try:
        sessions: dict[str, OpenSession] = {}
        for number, event in enumerate(events):
            session = sessions.get(event.session)
            if session is None:
                session = sessions[event.session] = OpenSession(event.session, Carry(), {}, _NO_LIMITS)
            session.add(Held(f"{number + 1}-0", b"", event), 0)
    except KarlError:
        pass  # a file that its reader refuses has no prompts
    finally:
        lane.judge = real
    yield from asked


def _told(reader: Format, path: Path) -> Iterator[Event]:
    for one in reader.read(path):
        if isinstance(one, Told):
            session = str(one.payload.get("session_id"))
            yield Event(
                id=event_id("told", session, one.key),
                kind=str(one.payload.get("hook_event_name")),
                session=session,
                payload=msgspec.Raw(msgspec.json.encode(one.payload)),
                source="transcript",
                agent=reader.agent,
            )


def _hooked(path: Path) -> Iterator[Event]:
    copies: Counter[bytes] = Counter()
    for payload in objects(path.read_text("utf-8", "replace")):
        raw = json.dumps(payload).encode("ascii")
        copies[raw] += 1
        yield Event(
            id=event_id("import", raw, str(copies[raw])),
            kind=str(payload.get("hook_event_name")),
            session=payload["session_id"],
            payload=msgspec.Raw(raw),
            source="import",
        )


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Give every payload of a file, whether a list, a line each or run together."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in " \r\n\t,":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("\n", at) + 1 or len(text)
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and isinstance(one.get("session_id"), str):
                yield one


def _compact(path: Path) -> Iterator[Case]:
    said: list[tuple[str, str]] = []
    for line in path.read_text().splitlines():
        told = json.loads(line)
        for part in told["content"]:
            if told["type"] == "user" and part.get("text"):
                said.append(("User", part["text"]))
            elif part.get("type") == "tool_use":
                said.append(("Call", ""))
            elif part.get("type") == "text":
                said.append(("Agent", part.get("text", "")))
    yield from _alternating("entire-compact", said)


def _alternating(source: str, said: Iterable[tuple[str, str]]) -> Iterator[Case]:
    """Read a log that has only words, and calls by number."""
    previous, calls, interrupted, asked = None, 0, False, False
    for who, text in said:
        kind = prompt_kind(text, Payload()) if who == "User" else ""
        if who == "Call":
            calls += 1
        elif who == "Agent":
            asked = text.rstrip().endswith("?")
        elif kind == "note":
            interrupted = interrupted or text.startswith("[Request interrupted")
        elif kind == "human":
            if previous is not None:
                signs = Signs(calls=calls, interrupted=interrupted, asked=asked)
                yield Case(source, text, previous[:_KEPT], signs)
            previous, calls, interrupted, asked = text, 0, False, False

"""Coverage-guided fuzzing of what reads bytes of others: `python -m tests.fuzz.atheris_targets TARGET ...`.

`make fuzz` runs all of them for as long as is wanted. A target ends the process when something is raised that
its reader does not promise, and libFuzzer writes the input that did it; each such input becomes a test.

Input that begins with the byte 1 is no text: what follows says which places of a sound example are to say
something else (`tests.fuzz.wild`), so that the depths of a format are reached, too.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["karl", "producers"]):
    from karl.errors import Refused, Unreadable
    from karl.ledger.frame import read_line
    from karl.schema.event import decode_event, encode_event
    from karl.session.older import normalize_lines
    from producers.envelope import EnvelopeMaker, ImportNaming
    from producers.gateway_lines import LineReader
    from producers.gateway_notes import Notes, Place
    from producers.hook_files import read_hook_file
    from producers.http_request import BadRequest, read_body, read_head
    from producers.transcripts.atif import Atif
    from producers.transcripts.claude import Claude
    from producers.transcripts.codex import Codex
    from producers.transcripts.copilot import Copilot
    from producers.transcripts.told import Told

from tests.fuzz import seeds
from tests.fuzz.run import MARK
from tests.fuzz.run import TARGETS as NAMES
from tests.fuzz.shapes import everything_left
from tests.fuzz.wild import lines_of, mutated, words_of

_READERS = {
    "hooks": ("karl.schema.event", "karl.session.turn", "karl.session.verdicts", "karl.session.vocabulary", "karl.session.edits"),
    "gateway": ("producers.flow_facts", "producers.flows", "producers.gateway_lines"),
    **{
        name: tuple(f"producers.transcripts.{module}" for module in modules)
        for name, modules in {
            "claude": ("claude", "claude_agents", "claude_chain", "claude_line", "claude_message", "claude_parts"),
            "codex": ("codex", "codex_calls", "codex_names", "codex_thread", "codex_tokens"),
            "copilot": ("copilot", "copilot_log"),
            "atif": ("atif", "atif_steps"),
        }.items()
    },
}  # fmt: skip
_CHANGED = 1

MAKER = EnvelopeMaker(node="n")
_FOLDER = Path(tempfile.mkdtemp(prefix="karl-fuzz-"))


def envelope(data: bytes) -> None:
    try:
        event = MAKER.make(data, name="ev1")
    except Unreadable:
        MAKER.dead(data)
        return
    raw = encode_event(event)
    assert len(raw) <= MAKER.caps.entry
    assert decode_event(raw) == event
    assert b"\n" not in raw


def fold(data: bytes) -> None:
    """Payloads, one a line, of one session."""
    naming, events = ImportNaming(), []
    for number, line in enumerate(_text("hooks", data).split(b"\n")[:50]):
        try:
            event = MAKER.make(
                line, name=naming, time_ms=number, source="transcript" if line[:1] == b" " else "hook"
            )
        except Unreadable:
            continue
        events.append(encode_event(event))
    everything_left(events)


def hooks(data: bytes) -> None:
    for found in read_hook_file(_file("log.jsonl", _text("hooks", data))):
        try:
            MAKER.make(found.data, name=ImportNaming())
        except Unreadable:
            MAKER.dead(found.data)


def _importer(fmt: Any, what: str, name: str) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        try:
            for found in fmt().read(_file(name, _text(what, data))):
                if isinstance(found, Told):
                    assert isinstance(found.key, str)
                    MAKER.of(found.payload, name=found.key, agent=fmt.agent, source="transcript")
        except (Refused, Unreadable):
            pass

    return target


def _bury(raw: bytes, _reason: str, _source: object) -> None:
    MAKER.dead(raw)


def gateway(data: bytes) -> None:
    """A day's file, read once it is over."""
    notes = Notes()
    reader = LineReader(_bury, lambda _ms: False)
    path = _file("events-2026-05-01.jsonl", _text("gateway", data))
    facts = []
    with path.open("rb") as file:
        size = path.stat().st_size
        for batch in reader.batches(file, path.name, size, Place(), is_over=True):
            for line in batch[0]:
                facts += notes.flows.take(line.envelope, line.name, line.source, 2_000_000_000_000, None)
    facts += notes.flows.release(3_000_000_000_000)
    for fact in facts:
        try:
            MAKER.of(fact.payload, name=fact.name, agent="gateway", source="gateway")
        except Unreadable:
            continue


def http(data: bytes) -> None:
    """A request as the endpoint reads it, from a reader that has all of it."""
    asyncio.run(_request(data))


async def _request(data: bytes) -> None:
    reader = asyncio.StreamReader(limit=32 * 1024)
    reader.feed_data(data)
    reader.feed_eof()
    taken = 0

    def take(size: int) -> None:
        nonlocal taken
        taken += size
        if taken > 1 << 20:
            raise BadRequest(413, "too large")  # type: ignore[arg-type]

    try:
        request = await read_head(reader, b"")
        body = await read_body(reader, request.length, take)
    except (BadRequest, asyncio.IncompleteReadError):
        return
    assert len(body) <= taken


def frame(data: bytes) -> None:
    try:
        line = read_line(data, "0000000001-000000.jsonl", 0)
    except Unreadable:
        return
    assert line.end == len(data)


def older(data: bytes) -> None:
    for _, _found in normalize_lines(data.splitlines(keepends=True)):
        pass


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "envelope": (envelope, seeds.payloads),
    "fold": (fold, seeds.sessions),
    "hooks": (hooks, seeds.sessions),
    "claude": (_importer(Claude, "claude", "s1.jsonl"), seeds.claude),
    "codex": (_importer(Codex, "codex", "rollout-s1.jsonl"), seeds.codex),
    "copilot": (_importer(Copilot, "copilot", "events.jsonl"), seeds.copilot),
    "atif": (_importer(Atif, "atif", "t.json"), seeds.atif),
    "gateway": (gateway, seeds.gateway),
    "http": (http, seeds.requests),
    "frame": (frame, seeds.ledger_lines),
    "older": (older, seeds.older),
}


def _text(what: str, data: bytes) -> bytes:
    """Give input as the text that is read: itself, or an example with the changes that it stands for."""
    if data[:1] != bytes([_CHANGED]):
        return data
    sound: list[dict[str, Any]] = getattr(seeds, f"{what}_lines" if what != "hooks" else "hook_lines")()
    return lines_of(mutated(sound, data[1:], words_of(*_READERS[what]), changes=30))


def _changes() -> Iterable[bytes]:
    return (bytes([_CHANGED]) + random.Random(seed).randbytes(60) for seed in range(20))


def _file(name: str, data: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(data)
    return path


def main() -> None:
    """Run targets (their names joined by commas), each in a child; what follows is libFuzzer's."""
    assert set(TARGETS) == set(NAMES)
    names, *options = sys.argv[1:]
    failed = 0
    for name in names.split(","):
        print(MARK + name, file=sys.stderr, flush=True)
        child = os.fork()  # what was instrumented once serves all of them
        if child == 0:
            _run(name, options)
        failed |= os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(_FOLDER)
    sys.exit(failed != 0)


def _run(name: str, options: list[str]) -> None:
    target, made = TARGETS[name]
    corpus = _FOLDER / f"corpus-{name}"
    corpus.mkdir()
    for number, seed in enumerate((*made(), *(_changes() if name in {"fold", *_READERS} else ()))):
        (corpus / f"{number:03}").write_bytes(seed)
    options = [option.replace("TARGET", name) for option in options]
    given = [option for option in options if not option.startswith("-")]
    atheris.Setup([sys.argv[0], *options, *([] if given else [str(corpus)])], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The ledger: who writes it, whether it is here, and whether its end is sound.

Only the newest segment's first line and its last MiB are read: the cost does not grow with the ledger.
`karl verify` reads all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from redis.exceptions import RedisError

from karl.counted import many
from karl.doctor.check import HERE, Check, Machine, Verdict, span
from karl.doctor.machine import private
from karl.doctor.server import Asked
from karl.errors import LedgerDamaged, Unreadable
from karl.ledger.files import SegmentFile, open_segment, segment_size, split_lines
from karl.ledger.frame import Line, misfit, read_line
from karl.ledger.reader import START, Position
from karl.ledger.segments import (
    FOLLOWER,
    LOCK,
    Header,
    claimed_terms,
    is_ours,
    list_segments,
    newest_header,
    newest_term,
    term_of,
)
from karl.stream.connect import client_name

LINK = "ledger"

#: Seconds without a word to Redis after which a writer or its standby does not count: both ask every second.
SILENT_S = 10
#: Bytes of the newest segment that are looked at; more only where the last line is longer.
TAIL_BYTES = 1 << 20
_CLAIM_BYTES = 11
_WORKER = "`karl up`, or `karl worker ledger` where its disk is"


class End(NamedTuple):
    """The end of a ledger: newest header, last line, lines looked at, and bytes of a torn line after it."""

    header: Header
    last: Line
    lines: int
    torn: int


def end_of(folder: Path) -> End | None:
    """Read and check the end; null when nothing is written yet. Raises LedgerDamaged."""
    header = newest_header(folder, list_segments(folder))
    if header is None:
        return None
    with open_segment(folder, header.line.segment) as file:
        size = file.size()
        window = TAIL_BYTES
        while True:
            lines, torn = _tail(file, header.line.segment, max(0, size - window), size)
            if lines or window >= size:
                break
            window *= 4
    _check_chain(lines)
    return End(header, lines[-1] if lines else header.line, len(lines), torn)


def end_position(folder: Path) -> Position:
    """Give the place behind the last line, for a reader of what comes now. Raises LedgerDamaged."""
    end = end_of(folder)
    return Position(end.last.segment, end.last.end, end.last.seq, end.last.hash) if end else START


def _tail(file: SegmentFile, name: str, start: int, stop: int) -> tuple[list[Line], int]:
    """Read the whole lines between two offsets, leaving out the one that `start` lies in."""
    lines: list[Line] = []
    torn = 0
    for offset, data in split_lines(file, start, stop):
        if start and offset == start:
            continue
        if not data.endswith(b"\n"):
            torn = len(data)
            continue
        try:
            lines.append(read_line(data, name, offset))
        except Unreadable as error:
            raise LedgerDamaged(name, offset, error.reason) from error
    return lines, torn


def _check_chain(lines: list[Line]) -> None:
    for before, line in pairwise(lines):
        if reason := misfit(line, seq=before.seq, prev=before.hash, term=term_of(line.segment)):
            raise LedgerDamaged(line.segment, line.offset, reason)


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at the writer and at the folder."""
    yield _writer(machine, line)
    folder = machine.settings.ledger
    if not folder.is_dir():
        yield _elsewhere(machine, line)
        return
    if trouble := private(LINK, "folder", folder):
        yield trouble
    yield from _names(folder)
    if not (folder / FOLLOWER).exists():  # a copy's writer, and its claims, are elsewhere
        yield from _claims(machine, line)
    yield from _end(machine, line)


def _writer(machine: Machine, line: Asked) -> Check:
    if line.redis is None or line.facts is None:
        return Check(LINK, "writer", "unknown", line.facts_trouble or "Redis can not be asked")
    lease = line.facts.ledger_lease
    may = machine.settings.canonical_writer
    if lease is None:
        seen = "nobody holds the ledger's lease: nothing is written"
        if not may:
            return Check(LINK, "writer", "fail", seen, _WORKER)
        hint = f"{_WORKER}, on {' or '.join(may)}: KARL_CANONICAL_WRITER lets no other write"
        return Check(LINK, "writer", "fail", seen, hint)
    owner, _, term = lease.rpartition("#")
    node, _, pid = owner.rsplit(":", 1)[0].rpartition(":")
    if may and node not in may:
        seen = f"process {pid} on {node} writes, which KARL_CANONICAL_WRITER does not name here"
        return Check(LINK, "writer", "fail", seen, "give all machines the same KARL_CANONICAL_WRITER")
    return Check(LINK, "writer", "ok", f"process {pid} on {node}, term {term}; {_standby(machine, line)}")


def _standby(machine: Machine, line: Asked) -> str:
    try:
        others = len(_at_work(machine, line)) - 1
    except RedisError:
        return "whether another stands by this user may not ask"
    return f"{others} standing by" if others > 0 else "none stands by"


def _at_work(machine: Machine, line: Asked) -> list[str]:
    """Give the names of the ledger workers that asked Redis something lately. Raises RedisError."""
    assert line.redis is not None
    silent_s = max(SILENT_S, machine.settings.lease_ttl_s)
    ours = client_name("karl-ledger", "")
    return [
        client["name"]
        for client in line.redis.client_list()
        if client.get("name", "").startswith(ours) and int(client["idle"]) < silent_s
    ]


def here(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look for a ledger worker of this node, writing or standing by."""
    if line.redis is None:
        return  # said of the writer already
    node = machine.settings.node
    if client_name("karl-ledger", node) in _at_work(machine, line):
        yield Check(LINK, HERE, "ok", f"a ledger worker of {node} is at work")
    else:
        yield Check(LINK, HERE, "fail", f"no ledger worker of {node} is at work", _WORKER)


def _elsewhere(machine: Machine, line: Asked) -> Check:
    folder = machine.settings.ledger
    node = _node(line)
    if node == machine.settings.node:
        seen = f"a worker of this machine writes a ledger, and there is no {folder}"
        return Check(LINK, "folder", "warn", seen, "has it another KARL_DATA_DIR?")
    if node is not None:
        return Check(LINK, "folder", "ok", f"not on this machine: {node} writes it")
    verdict: Verdict = "ok" if machine.settings.redis_url else "warn"
    return Check(
        LINK, "folder", verdict, f"there is no {folder} yet", "" if verdict == "ok" else "`karl up` makes it"
    )


def _node(line: Asked) -> str | None:
    lease = line.facts.ledger_lease if line.facts else None
    return lease.rpartition("#")[0].rsplit(":", 2)[0] if lease else None


def _names(folder: Path) -> Iterator[Check]:
    strangers = sorted(entry.name for entry in folder.iterdir() if not is_ours(entry.name))
    if strangers:
        seen = f"{many(len(strangers), 'file')} that no ledger has: {', '.join(strangers[:3])}"
        yield Check(LINK, "strangers", "warn", seen, f"move them out of {folder}")


def _claims(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at LOCK: the terms that were claimed here, and whether the present writer's is the largest."""
    folder = machine.settings.ledger
    names = list_segments(folder)
    path = folder / LOCK
    if not path.exists():
        if names:
            seen = f"{LOCK} is gone: the writer can not tell whether it has been replaced"
            yield Check(
                LINK,
                LOCK,
                "fail",
                seen,
                "nobody but KARL may touch this folder; start the ledger worker again",
            )
        return
    if not path.is_file():
        hint = "nobody but KARL may touch this folder; move it away, and start the ledger worker again"
        yield Check(LINK, LOCK, "fail", f"{path} is no file", hint)
        return
    data = path.read_bytes()
    whole = len(claimed_terms(data)) * _CLAIM_BYTES == len(data)
    newest = newest_term(folder)
    held = line.facts.ledger_lease if line.facts else None
    term = int(held.rpartition("#")[2]) if held else newest
    if newest > term:
        seen = (
            f"term {newest} was claimed here, and the lease is held under term {term}: its writer is shut out"
        )
        yield Check(LINK, LOCK, "fail", seen, "start the ledger worker again: it gets a larger term")
    elif newest < term:
        seen = f"this folder's last term is {newest}; {_node(line)} writes elsewhere, under term {term}"
        yield Check(LINK, LOCK, "fail", seen, "is KARL_DATA_DIR the same here and there?")
    else:
        text = f"term {newest}" + ("" if whole else ", after a claim that a crash cut short")
        yield Check(LINK, LOCK, "ok", text)


def _end(machine: Machine, line: Asked) -> Iterator[Check]:
    folder = machine.settings.ledger
    try:
        end = end_of(folder)
    except LedgerDamaged as error:
        hint = "`karl verify` for the whole picture; then restore that segment from a backup"
        yield Check(LINK, "end", "fail", str(error), hint)
        return
    if end is None:
        yield Check(LINK, "end", "ok", "nothing is recorded yet")
        return
    if trouble := _seal(folder, end.header):
        yield Check(LINK, "seal", "fail", trouble, "`karl verify`; then restore that segment from a backup")
    age = machine.now_ns() / 1e9 - datetime.fromisoformat(end.last.time).astimezone(UTC).timestamp()
    where = f"line {end.last.seq:,} of {end.last.segment}"
    text = f"{where}, {span(max(0.0, age))} old; the last {many(end.lines, 'line')} checked"
    if end.torn and line.facts and not line.facts.ledger_lease:
        seen = f"{text}; after it a line that was cut short ({end.torn} bytes)"
        yield Check(LINK, "end", "warn", seen, "the next ledger worker sets it aside")
        return
    yield Check(LINK, "end", "ok", text)


def _seal(folder: Path, header: Header) -> str | None:
    """Look at the segment before the newest; what lies behind its sealed length counts for nothing."""
    seal = header.seal
    if seal is None:
        return None
    try:
        size = segment_size(folder, seal.segment)
    except FileNotFoundError:
        return f"{seal.segment} is missing, and {header.line.segment} names it"
    if size < seal.length:
        return f"{seal.segment} has {size:,} bytes, and was sealed at {seal.length:,}"
    return None

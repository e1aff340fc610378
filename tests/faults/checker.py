"""Decides whether a line kept its promises. It shares no code with the product.

It reads what lies there by the pages docs/ledger-format.md and docs/ARCHITECTURE.md: the spool's files,
the server's streams, the ledger's bytes, and the rows of the views. The one thing of the product that it
uses is the command `karl rebuild`, from outside, to have other views to compare with.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis

PARTITIONS = 64
_TAIL = len(b',"crc":"00000000"}')
_NO_SALT = "0" * 32


class Told:
    """What hooks were given: of each payload, by its session and its number, how many events it must be."""

    def __init__(self) -> None:
        self.least: dict[str, Counter[int]] = defaultdict(Counter)
        self.most: dict[str, Counter[int]] = defaultdict(Counter)

    def accepted(self, payload: Mapping[str, Any]) -> None:
        """Note an event that was in the spool, whole, when its hook had ended."""
        self.least[payload["session_id"]][payload["n"]] += 1
        self.most[payload["session_id"]][payload["n"]] += 1

    def perhaps(self, payload: Mapping[str, Any]) -> None:
        """Note an event of which the hook could not say whether it found room."""
        self.most[payload["session_id"]][payload["n"]] += 1

    @property
    def doubtful(self) -> int:
        """How many events may be missing, or may be half."""
        return sum(most.total() - self.least[session].total() for session, most in self.most.items())

    def __len__(self) -> int:
        return sum(most.total() for most in self.most.values())


def waiting(folder: Path, redis: Redis) -> dict[str, int]:
    """Count what has not come to its end: files in the spool, entries in the streams."""
    pipe = redis.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipe.xlen(f"karl:{{{partition}}}:events")
        pipe.xlen(f"karl:{{{partition}}}:records")
    lengths = pipe.execute()
    files = sum(1 for path in (folder / "spool").iterdir() if path.name.startswith("claude-code."))
    return {"spool": files, "events": sum(lengths[::2]), "records": sum(lengths[1::2])}


def views_are_there(folder: Path) -> bool:
    """Say whether the views are at the ledger's last line."""
    lines = lines_of(folder)
    try:
        with sqlite3.connect(f"file:{folder / 'views' / 'views.sqlite'}?mode=ro", uri=True) as views:
            row = views.execute("select seq from position").fetchone()
    except sqlite3.OperationalError:
        return False
    views.close()
    return bool(lines) and row == (lines[-1]["seq"],)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Read the ledger's lines that count: from the newest segment back, each as far as the next one's seal counts it."""
    segments = {path.name: path.read_bytes() for path in (folder / "ledger").glob("*.jsonl")}
    begun = [name for name, data in sorted(segments.items()) if _header(data)]
    name, length = (begun[-1], None) if begun else ("", None)
    counting: list[tuple[str, bytes]] = []
    while name:
        counting.append((name, segments.get(name, b"")[:length]))
        seals = (_header(segments.get(name, b"")) or {"seals": []})["seals"]
        name, length = (seals[-1]["segment"], seals[-1]["length"]) if seals else ("", None)
    lines = []
    for segment, data in reversed(counting):
        for raw in data.split(b"\n"):
            if not raw:
                continue
            if length_less := _not_json(raw):
                lines.append({"raw": raw, "segment": segment, **length_less})
            else:
                lines.append({"raw": raw, "segment": segment, **json.loads(raw)})
    return lines


def _header(data: bytes) -> dict[str, Any] | None:
    """Read the body of a segment's first line; none when it is not whole."""
    raw, end, _ = data.partition(b"\n")
    if not end or _not_json(raw) or b"%08x" % zlib.crc32(raw[:-_TAIL]) != raw[-10:-2]:
        return None
    return dict(json.loads(raw)["body"])


def _not_json(raw: bytes) -> dict[str, Any] | None:
    """Give what stands for a line that is none: a tail that is being written, or was torn."""
    try:
        json.loads(raw)
    except ValueError:
        return {"seq": -1, "term": -1, "kind": "torn", "body": {}, "source": None, "prev": "", "crc": ""}
    return None


def broken_promises(
    folder: Path, redis: Redis, told: Told, *, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Name every promise that was broken, best first; nothing when all were kept.

    With an `environment` for the product's commands, the views are held against other ones made by them.
    """
    lines = lines_of(folder)
    return [
        *broken_chain(lines),
        *broken_events(lines, told),
        *broken_records(lines),
        *_views(folder, lines),
        *(_rebuilt(folder, environment) if environment else ()),
        *_left(folder, redis, told),
    ]


def broken_chain(lines: list[dict[str, Any]]) -> Iterable[str]:
    """Hold the lines against the page: numbers, terms, hashes and sums over the bytes as they lie there."""
    head, term = "0" * 64, 0
    for number, line in enumerate(lines, 1):
        raw = line["raw"]
        if line["seq"] != number:
            yield f"line {number} says that it is {line['seq']}"
            return
        if line["prev"] != head:
            yield f"line {number} does not follow the one before"
        if line["term"] < term:
            yield f"line {number} is of term {line['term']}, after one of {term}"
        if line["term"] != int(line["segment"][:10]):
            yield f"line {number} is of another term than its segment"
        if line["crc"] != f"{zlib.crc32(raw[:-_TAIL]):08x}":
            yield f"line {number} has a wrong sum"
        opening, _, rest = raw.partition(b',"salt":"')
        salt, _, body = rest.partition(b'","body":')
        digest = hashlib.sha256(salt + body[:-_TAIL]).hexdigest()
        if line["salt"] != _NO_SALT and line["digest"] != digest:
            yield f"line {number} has another body than was written"
        head, term = hashlib.sha256(opening).hexdigest(), line["term"]


def broken_events(lines: list[dict[str, Any]], told: Told) -> Iterable[str]:
    """Hold the events against what was told: each once, a session's in their order, no id twice."""
    turns: dict[str, list[int]] = defaultdict(list)
    between: dict[str, list[int]] = defaultdict(list)
    ids: Counter[str] = Counter()
    for line in lines:
        for event in line["body"].get("events", []) if line["kind"] in ("trajectory", "events") else []:
            kept = turns if line["kind"] == "trajectory" else between
            kept[event["session"]].append(event["payload"]["n"])
            ids[event["id"]] += 1
    for session in sorted(told.most.keys() | turns.keys() | between.keys()):
        count = Counter(turns[session] + between[session])
        least, most = told.least[session], told.most[session]
        twice = sorted(number for number in count if count[number] > most[number] > 0)
        if lost := sorted(number for number in least if count[number] < least[number]):
            yield f"{session}: {len(lost)} events were lost, from {lost[0]} on"
        if twice:
            yield f"{session}: {len(twice)} events are there twice, from {twice[0]} on"
        if strange := sorted(set(count) - set(most)):
            yield f"{session}: {len(strange)} events that nobody sent, from {strange[0]} on"
        # What comes between turns waits to be the head of the next one, and a stop of no turn waits for nothing:
        # each of the two kinds of records has its own order.
        for have in (turns[session], between[session]):
            if not twice and have != sorted(have):
                at = next(i for i, (a, b) in enumerate(pairwise(have)) if a > b)
                yield f"{session}: {have[at + 1]} comes after {have[at]}"
    if again := [name for name, count in ids.items() if count > 1]:
        yield f"{len(again)} ids of events are there twice, {again[0]} is one"


def broken_records(lines: list[dict[str, Any]]) -> Iterable[str]:
    """Look for what stands there twice, and for remarks on what is not there."""
    names = [line["body"]["id"] for line in lines if line["kind"] == "trajectory"]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{name} is there {count} times"
    remarks = [line["body"] for line in lines if line["kind"] == "annotation"]
    for (name, by), count in Counter((body["trajectory"], body["by"]) for body in remarks).items():
        if count > 1:
            yield f"{by} remarks {count} times on {name}"
        if name not in set(names):
            yield f"{by} remarks on {name}, which is not there"
    sources = [tuple(line["source"]) for line in lines if line["source"]]
    for partition in {partition for partition, _ in sources}:
        ids = [_order(entry) for there, entry in sources if there == partition]
        if ids != sorted(set(ids)):
            yield f"partition {partition}: entries of the stream out of order, or twice"


def _order(entry: str) -> tuple[int, int]:
    ms, n = re.fullmatch(r"(\d+)-(\d+)", entry).groups()  # type: ignore[union-attr]
    return int(ms), int(n)


def _views(folder: Path, lines: list[dict[str, Any]]) -> Iterable[str]:
    """Hold the views against sums over the ledger."""
    turns = [line["body"] for line in lines if line["kind"] == "trajectory"]
    want = {
        "turns": len(turns),
        "sessions": len({line["body"]["session"] for line in lines if "session" in line["body"]}),
        "calls": sum(len(turn["trajectory"]["trajectory"].get("events", [])) for turn in turns),
        "annotations": sum(line["kind"] == "annotation" for line in lines),
    }
    with sqlite3.connect(f"file:{folder / 'views' / 'views.sqlite'}?mode=ro", uri=True) as views:
        have = {
            "turns": views.execute("select count(*) from trajectories").fetchone()[0],
            "sessions": views.execute("select count(*) from sessions").fetchone()[0],
            "calls": views.execute("select coalesce(sum(calls), 0) from sessions").fetchone()[0],
            "annotations": views.execute("select count(*) from annotations").fetchone()[0],
        }
    views.close()
    for name, number in want.items():
        if have[name] != number:
            yield f"the views show {have[name]} {name}, the ledger has {number}"


def _rebuilt(folder: Path, environment: Mapping[str, str]) -> Iterable[str]:
    """Hold the views, row by row, against those that `karl rebuild` makes of the same ledger elsewhere."""
    other = folder / "again"
    other.mkdir(mode=0o700, exist_ok=True)
    if not (other / "ledger").exists():
        (other / "ledger").symlink_to(folder / "ledger")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "karl.cli", "rebuild"],
        env={**environment, "KARL_DATA_DIR": str(other)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        yield f"`karl rebuild` ended with {done.returncode}: {done.stderr.strip()}"
        return
    have, want = (_rows(place / "views" / "views.sqlite") for place in (folder, other))
    if have.keys() != want.keys():
        yield f"the views have other tables than a rebuild: {sorted(have.keys() ^ want.keys())}"
    for table in have.keys() & want.keys():
        if differing := (have[table] - want[table]) + (want[table] - have[table]):
            yield f"{differing.total()} rows of the views' table {table} are not as a rebuild makes them"


def _rows(file: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """Read all rows of all tables; of an index for words, what is in it and not how it lies there."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as views:
        tables = views.execute("select name, sql from sqlite_master where type = 'table'").fetchall()
        indexes = [name for name, sql in tables if sql.upper().startswith("CREATE VIRTUAL")]
        rows = {
            name: Counter(views.execute(f"select * from {name}").fetchall())
            for name, _ in tables
            if not any(name.startswith(f"{index}_") for index in indexes)
        }
    views.close()
    return rows


def _left(folder: Path, redis: Redis, told: Told) -> Iterable[str]:
    """Look for what is still under way, and for dead letters beyond what was half written."""
    for where, count in waiting(folder, redis).items():
        if count:
            yield f"{count} left in {where}"
    dead = sum(redis.xlen(f"karl:{{{partition}}}:dead") for partition in range(PARTITIONS))
    if dead > told.doubtful:
        yield f"{dead} dead letters, and only {told.doubtful} events that may be half"

"""Decides whether a line kept its promises. It shares no code with the product.

It reads what lies there by the pages docs/ledger-format.md and docs/ARCHITECTURE.md: the spool's files,
the server's streams, the ledger's bytes, and the rows of the views.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis

PARTITIONS = 64


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
    """Read the ledger's lines: segments in order, each as far as the next one's seal counts it."""
    segments = sorted((folder / "ledger").glob("*.jsonl"))
    lengths: dict[str, int] = {}
    for segment in segments:
        first = segment.read_bytes().partition(b"\n")[0]
        if first.endswith(b"}"):
            for seal in json.loads(first)["body"].get("seals", []):
                lengths[seal["segment"]] = seal["length"]
    lines = []
    for segment in segments:
        for raw in segment.read_bytes()[: lengths.get(segment.name)].split(b"\n"):
            if raw:
                lines.append({"raw": raw, "segment": segment.name, **json.loads(raw)})
    return lines


def broken_promises(folder: Path, redis: Redis, sent: list[dict[str, Any]]) -> list[str]:
    """Name every promise that was broken, best first; nothing when all were kept."""
    lines = lines_of(folder)
    return [
        *broken_chain(lines),
        *broken_events(lines, sent),
        *broken_records(lines),
        *_views(folder, lines),
        *_left(folder, redis),
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
        if line["crc"] != f"{zlib.crc32(raw[:-18]):08x}":
            yield f"line {number} has a wrong sum"
        head, term = hashlib.sha256(raw).hexdigest(), line["term"]


def broken_events(lines: list[dict[str, Any]], sent: list[dict[str, Any]]) -> Iterable[str]:
    """Hold the events against what was sent: each once, a session's in their order."""
    kept: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        for event in line["body"].get("events", []) if line["kind"] in ("trajectory", "events") else []:
            kept[event["session"]].append(event["payload"]["n"])
    told: dict[str, list[int]] = defaultdict(list)
    for payload in sent:
        told[payload["session_id"]].append(payload["n"])
    for session in sorted(told.keys() | kept.keys()):
        have, want = kept[session], told[session]
        twice = [number for number, count in Counter(have).items() if count > 1]
        if lost := sorted(set(want) - set(have)):
            yield f"{session}: {len(lost)} events were lost, from {lost[0]} on"
        if twice:
            yield f"{session}: {len(twice)} events are there twice, from {twice[0]} on"
        if strange := sorted(set(have) - set(want)):
            yield f"{session}: {len(strange)} events that nobody sent"
        if not twice and have != sorted(have):
            at = next(i for i, (a, b) in enumerate(pairwise(have)) if a > b)
            yield f"{session}: {have[at + 1]} comes after {have[at]}"


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
        "sessions": len({line["body"]["session"] for line in lines if line["kind"] != "segment"}),
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


def _left(folder: Path, redis: Redis) -> Iterable[str]:
    """Look for what is still under way, and for dead letters."""
    for where, count in waiting(folder, redis).items():
        if count:
            yield f"{count} left in {where}"
    dead = sum(redis.xlen(f"karl:{{{partition}}}:dead") for partition in range(PARTITIONS))
    if dead:
        yield f"{dead} dead letters"

"""A ledger to break: short ways to write one, and to harm it as disks and people do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.ledger.frame import Line
from karl.ledger.reader import Reader
from karl.ledger.segments import list_segments
from karl.ledger.writer import Draft, Writer
from karl.schema.record import AnnotationBody, EventsBody, Score, ScoreBody, TrajectoryBody
from karl.schema.trajectory import Outcome, Trajectory

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SALT = "5a" * 16
SCORE = Score("1", 0.5, {"outcome": 0.5}, {}, {"outcome": 1.0})
WHO = {"session": "s", "fleet": "f", "node": "n", "agent": "a", "project": "p", "time_ms": 1}


def _event(name: str) -> msgspec.Raw:
    return msgspec.Raw(b'{"id":"%s","kind":"Stop","session":"s","payload":{}}' % name.encode())


def trajectory(n: int, events: int = 2) -> bytes:
    """An encoded trajectory `t<n>` with events of its own."""
    facts = [_event(f"e{n}-{i}") for i in range(events)]
    body = TrajectoryBody(
        id=f"t{n}", turn=n, closed_by="stop", trajectory=Trajectory(), score=SCORE, events=facts, **WHO
    )
    return msgspec.json.encode(body)


def events(*names: str) -> bytes:
    """An encoded record of events that belong to no turn."""
    return msgspec.json.encode(EventsBody(events=[_event(name) for name in names], **WHO))


def annotation(about: str) -> bytes:
    """An encoded annotation of a trajectory."""
    body = AnnotationBody(
        trajectory=about, session="s", by="e", detector="d", outcome=Outcome(), score=SCORE, time_ms=1
    )
    return msgspec.json.encode(body)


def score(about: str) -> bytes:
    """An encoded re-score of a trajectory."""
    return msgspec.json.encode(ScoreBody(trajectory=about, session="s", score=SCORE, time_ms=1))


def draft(n: int, partition: int = 5) -> Draft:
    """The `n`th trajectory of a partition, as it comes from its stream."""
    return Draft("trajectory", trajectory(n), partition, f"100-{n}")


def open_writer(folder: Path, term: int, **changes: Any) -> Writer:
    """Open a writer whose lease never ends."""
    arguments: dict[str, Any] = {
        "clock": lambda: NOON,
        "segment_max_bytes": 1 << 20,
        "trusted": lambda: True,
    }
    return Writer.open(folder, term=term, **(arguments | changes))


def write_some(folder: Path, count: int = 5, *, term: int = 1, first: int = 0, **changes: Any) -> None:
    """Write trajectories `first` to `first + count - 1`, one append each."""
    with open_writer(folder, term, **changes) as writer:
        for n in range(first, first + count):
            writer.append([draft(n)])


def read_all(folder: Path) -> list[Line]:
    """Read everything that counts."""
    with Reader(folder) as reader:
        return reader.poll(1_000_000)


def ids(folder: Path) -> list[str]:
    """The trajectories that count, in ledger order."""
    return [msgspec.json.decode(line.body)["id"] for line in read_all(folder) if line.kind == "trajectory"]


def newest(folder: Path) -> Path:
    """The newest segment."""
    return folder / list_segments(folder)[-1]


def set_byte(path: Path, offset: int, change: Callable[[int], int]) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] = change(data[offset])
    path.write_bytes(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a ledger will be."""
    return tmp_path / "ledger"

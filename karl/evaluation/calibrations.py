"""Calibrations in files, as their ledger records say them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from karl.errors import KarlError
from karl.reward.calibration import Calibration, of_record
from karl.schema.record import CalibrationBody


def from_file(path: Path) -> dict[str, Calibration]:
    """Read a file's calibrations by agent; those that are not applied are left out. Raises KarlError."""
    try:
        bodies = msgspec.json.decode(path.read_bytes(), type=list[CalibrationBody])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KarlError(f"{path} holds no calibrations: {error}") from None
    return {body.agent: of_record(body) for body in bodies if body.applied}


def to_file(path: Path, bodies: Iterable[CalibrationBody]) -> None:
    """Write records to a file, as `from_file` reads them; over whatever was there."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(bodies)), indent=2) + b"\n")

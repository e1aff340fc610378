"""The files of a data set: written, and then read back, for what is on disk is what is learned from."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import Refused
from karl.export import parquet
from karl.export.clean import Cleaner
from karl.export.forms import FORMS, object_of, of_parquet, row_of, with_results
from karl.export.options import DataSetOptions
from karl.export.spill import Spill
from karl.export.weighing import Weighing
from karl.learning.contamination import HeldOut, find
from karl.learning.row import Row
from karl.schema.learning import FileMade

#: Told how many lines of how many are done.
Progress = Callable[[int, int], object]
#: Lines after which that is told.
_EVERY = 200


class Lines(NamedTuple):
    """What is to be written: laid aside in `spill`, train weighed, valid by place; `extra` is synthetic."""

    spill: Spill
    weighing: Weighing
    valid: Sequence[int]
    extra: Sequence[Row]

    @property
    def places(self) -> set[int]:
        """The lines of `spill` that are in a file, each once."""
        return {*self.weighing.order, *self.valid}

    @property
    def total(self) -> int:
        """Count the lines of both files."""
        return len(self.weighing.order) + len(self.extra) + len(self.valid)


class Examined(NamedTuple):
    """What was found in the files; `sizes` are those of their rows, sorted."""

    files: dict[str, FileMade]
    contamination: dict[str, int]
    sizes: list[int]

    def longer_than(self, size: int) -> int:
        """Count the rows of more bytes than that."""
        return len(self.sizes) - bisect_right(self.sizes, size)


def names(how: DataSetOptions) -> tuple[str, str]:
    """Give the names of the two files."""
    ending = "parquet" if how.format == "parquet" else "jsonl"
    return f"train.{ending}", f"valid.{ending}"


def write(to: Path, how: DataSetOptions, lines: Lines, progress: Progress) -> None:
    """Write both files. Synthetic rows stand evenly between the others of train."""
    done = 0
    for name, part in zip(names(how), (_train(how, lines), _valid(how, lines)), strict=True):
        counted = _counted(part, done, lines.total, progress)
        if how.format == "parquet":
            done += parquet.write(to / name, (row_of(line) for line in counted))
        else:
            with (to / name).open("xb") as file:
                for line in counted:
                    file.write(line + b"\n")
                    done += 1


def _counted(lines: Iterator[bytes], done: int, total: int, progress: Progress) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=done + 1):
        if number % _EVERY == 0 or number == total:
            progress(number, total)
        yield line


def _train(how: DataSetOptions, lines: Lines) -> Iterator[bytes]:
    """Give the lines in their shuffled order; one of so many is a synthetic one, evenly."""
    spill, weighing, _, extra = lines
    before = _spread(len(weighing.order), extra)
    for number, place in enumerate(weighing.order):
        for row in before.get(number, ()):
            yield _line(how, row)
        data = spill.read(place)
        if not how.has_rows:
            yield data
        else:
            yield _line(how, msgspec.structs.replace(row_of(data), weight=weighing.weights[place]))
    for row in before.get(len(weighing.order), ()):
        yield _line(how, row)


def _spread(number: int, extra: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for at, row in enumerate(extra):
        found.setdefault((at + 1) * number // (len(extra) + 1), []).append(row)
    return found


def _valid(how: DataSetOptions, lines: Lines) -> Iterator[bytes]:
    for place in lines.valid:
        data = lines.spill.read(place)
        yield _line(how, row_of(data)) if how.has_rows else data


def _line(how: DataSetOptions, row: Row) -> bytes:
    return FORMS[how.format].line(row)


def examine(
    to: Path, how: DataSetOptions, held: HeldOut, cleaner: Cleaner, progress: Callable[[int], object]
) -> Examined:
    """Read the files again. Raises Refused where one is not clean, or something is on both sides."""
    reading = _Reading(how, cleaner, progress)
    train, valid = (reading.rows(to / name) for name in names(how))
    found = find(train, valid, held)
    deque(train, maxlen=0)  # whatever the check did not need to see
    deque(valid, maxlen=0)
    if sum(found.counts.values()):
        told = ", ".join(f"{number:,} by {name}" for name, number in found.counts.items() if number)
        first = "; ".join(f"{name}: {one} and {other}" for name, one, other in found.examples)
        raise Refused(
            f"the export is contaminated and was not kept: rows on both sides: {told} ({first}); "
            "--group-by repository keeps more together, and another --seed parts otherwise"
        )
    return Examined(reading.files, found.counts, sorted(reading.sizes))


class _Reading:
    """Reads files once, for all that is asked of them."""

    def __init__(self, how: DataSetOptions, cleaner: Cleaner, progress: Callable[[int], object]) -> None:
        self.files: dict[str, FileMade] = {}
        self.sizes: list[int] = []
        self._how = how
        self._cleaner = cleaner
        self._progress = progress

    def rows(self, path: Path) -> Iterator[Row]:
        if self._how.format == "parquet":
            yield from self._parquet(path)
            return
        digest, size, number = hashlib.sha256(), 0, 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                digest.update(line)
                size += len(line)
                fields = object_of(line)
                self._see(path, number, len(line), fields)
                for row in FORMS[self._how.format].rows(fields):
                    yield with_results(row) if self._how.has_texts else row
        self.files[path.name] = FileMade(size, digest.hexdigest(), number)

    def _parquet(self, path: Path) -> Iterator[Row]:
        number = 0
        for number, columns in enumerate(parquet.read(path), start=1):
            for row in of_parquet(columns):
                fields = msgspec.to_builtins(row)
                self._see(path, number, len(columns["messages"]), fields)
                yield with_results(row) if self._how.has_texts else row
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[path.name] = FileMade(path.stat().st_size, digest, number)

    def _see(self, path: Path, number: int, size: int, fields: dict[str, Any]) -> None:
        self.sizes.append(size)
        if not self._cleaner.is_clean(fields):
            raise Refused(
                f"row {number} of {path.name} has what looks like a secret still: the export was not kept; "
                "`karl dead-letters` and docs/redaction.md say what the rules take out"
            )
        if len(self.sizes) % _EVERY == 0:
            self._progress(len(self.sizes))

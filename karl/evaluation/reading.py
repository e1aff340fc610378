"""Reading labelled runs from files: the neutral form, and the native files of a few agents.

What is told of a run beside its steps is looked at for its label alone. One bad line, or one bad file,
is a Problem among the runs; nothing here stops because of it.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from karl.errors import KarlError, Unreadable
from karl.evaluation import native
from karl.evaluation.runs import Collection, Problem, Run, collect, step, trajectory
from karl.session.vocabulary import clean_text, truth

#: Told the file that is read now, and the runs read so far.
Progress = Callable[[object, int], None]

_OPEN: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
_LINES = tuple(name + packed for name in (".jsonl", ".ndjson") for packed in ("", *_OPEN))
#: What stands beside runs in a folder and is read with them, or is no run.
_LABELS = "labels.jsonl"


def read(paths: list[Path], progress: Progress | None = None) -> Collection:
    """Read every labelled run in files and folders, at any depth. Raises KarlError where there is no path."""
    found: list[Run | Problem] = []
    for path in paths:
        found += _logs(path)
        for file in _files(path):
            for one in _from_file(file):
                found.append(one)
                if progress:
                    progress(file, len(found))
    return collect(found)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise KarlError(f"there is no {path}")
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and _may_hold_runs(file))


def _logs(path: Path) -> list[Problem]:
    """Say which folders hold markdown logs (aider's): they tell neither calls nor results nor a label."""
    folders = Counter(file.parent for file in path.rglob("*.md")) if path.is_dir() else Counter[Path]()
    return [
        Problem(
            str(folder),
            0,
            f"{count} markdown logs passed over: they hold neither calls nor labels",
            passed_over=True,
        )
        for folder, count in sorted(folders.items())
    ]


def _may_hold_runs(file: Path) -> bool:
    """Say whether a file of a folder is one to open: a native run is opened by the labels beside it."""
    if file.name == "MANIFEST.jsonl":
        return False
    if file.name.endswith(_LINES):
        return True
    return file.suffix == ".json" and not any((up / _LABELS).exists() for up in list(file.parents)[:3])


def _from_file(file: Path) -> Iterator[Run | Problem]:
    try:
        if file.name == _LABELS:
            yield from native.of_labels(file)
        elif file.suffix == ".json":
            yield from _from_document(file)
        else:
            yield from _from_lines(file)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        yield Problem(str(file), 0, f"can not be read: {error}")


def _from_lines(file: Path) -> Iterator[Run | Problem]:
    with _OPEN.get(file.suffix, open)(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield neutral(native.parsed(line))
            except Unreadable as error:
                yield Problem(str(file), number, error.reason)


def _from_document(file: Path) -> Iterator[Run | Problem]:
    """Read one JSON document: a list of runs in the neutral form or in tau-bench's, or one run."""
    try:
        document = native.parsed(file.read_bytes())
    except Unreadable as error:
        yield Problem(str(file), 0, error.reason)
        return
    rows = document if isinstance(document, list) else [document]
    for number, row in enumerate(rows, 1):
        try:
            yield native.tau_bench(row) if isinstance(row, dict) and "traj" in row else neutral(row)
        except Unreadable as error:
            yield Problem(str(file), number, error.reason)


def neutral(row: object) -> Run:
    """Read a row of the neutral form. Raises Unreadable for one without label or steps."""
    if not isinstance(row, dict):
        raise Unreadable("no JSON object")
    label = truth(row.get("label"))
    steps = row.get("steps")
    if label is None:
        raise Unreadable("no label (true or false)")
    if not isinstance(steps, list):
        raise Unreadable("no list of steps")
    told = [step(one) for one in steps if isinstance(one, dict)]
    name = _text(row.get("run_id"))
    return Run(
        set=_text(row.get("set")) or "unnamed",
        id=name,
        instance=_text(row.get("instance_id")) or name,
        agent=_text(row.get("agent")) or "unknown",
        label=label,
        trajectory=trajectory(told, row.get("duration_s")),
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value)
    return "" if value is None else clean_text(json.dumps(msgspec.to_builtins(value)))

"""An archive: what was chosen, in one format, to a file, a folder or a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

import msgspec

from karl.errors import NotFound
from karl.export import atif, chatml, jsonl, sharegpt
from karl.export.clean import Cleaner
from karl.export.output import file_name, whole_file, whole_folder
from karl.export.pieces import LeftOut, Piece, encode
from karl.export.selection import DAMAGED, Choice, Group, Progress, Selection, without
from karl.views.lineage import Lineage
from producers.redact import Redactor

Format = Literal["jsonl", "chatml", "sharegpt", "atif"]
FORMATS: tuple[str, ...] = get_args(Format)
#: A document of its own is indented; in files of many, each has a line.
_INDENT = 2


class Wanted(NamedTuple):
    """How it is to be written. `output` is null for the stream that is given.

    `whole_sessions` puts a session's trajectories into one chat; ATIF always does. `subagents` writes
    chats of subagents too, `with_held_out` what is kept from training. `documents` writes a file a session
    into a folder, in ATIF.
    """

    format: Format
    output: Path | None
    force: bool = False
    whole_sessions: bool = False
    subagents: bool = False
    with_held_out: bool = False
    documents: bool = False


class Report(msgspec.Struct):
    """What was written, and what was left out. `messages` are chat messages, turns or steps; 0 in jsonl.

    `redactions` counts what the second redaction took out, by rule.
    """

    format: str
    output: str
    sessions: int = 0
    trajectories: int = 0
    documents: int = 0
    messages: int = 0
    calls: int = 0
    bytes: int = 0
    files: int = 0
    left_out: dict[str, int] = {}
    redactions: dict[str, int] = {}

    @property
    def is_sound(self) -> bool:
        """Say whether all records could be read."""
        return DAMAGED not in self.left_out


def export(
    views: Path, ledger: Path, choice: Choice, wanted: Wanted, *, stream: BinaryIO, progress: Progress
) -> Report:
    """Write what is chosen. Raises NotFound when nothing is, Refused for what would be overwritten."""
    cleaner = Cleaner(Redactor())
    with Lineage(views) as opened:
        held_out = frozenset[str]() if wanted.with_held_out else opened.held_out()
        selection = Selection(opened, ledger, choice, cleaner, without(held_out))
        sessions = selection.sessions()
        if not sessions:
            raise NotFound("no trajectory fits; `karl sessions` lists what there is")
        report = Report(wanted.format, str(wanted.output or "-"))
        pieces = _pieces(selection, wanted, progress, report)
        if wanted.output and (wanted.documents or wanted.output.suffix == ".json"):
            _write_documents(pieces, wanted.output, report, wanted, several=sessions > 1)
        else:
            _write_lines(pieces, _lines(wanted, stream), report)
        report.redactions = dict(cleaner.counts.most_common())
    return report


def _pieces(selection: Selection, wanted: Wanted, progress: Progress, report: Report) -> Iterator[Piece]:
    """Give the documents, and count them and what has none."""
    left_out: Counter[str] = Counter()
    last = ""
    whole = wanted.whole_sessions or wanted.format == "atif"
    for group in selection.groups(progress, whole_sessions=whole):
        for piece in _FORMATS[wanted.format](group, wanted):
            if isinstance(piece, LeftOut):
                left_out[piece.reason] += piece.number
                continue
            report.sessions += piece.name != last
            last = piece.name
            report.documents += 1
            report.trajectories += piece.trajectories
            report.messages += piece.messages
            report.calls += piece.calls
            yield piece
    report.left_out = dict((left_out + selection.left_out).most_common())
    if not report.documents:
        reasons = ", ".join(f"{number} {reason}" for reason, number in report.left_out.items())
        raise NotFound(f"nothing of what was chosen can be written: {reasons}")


_FORMATS: dict[str, Callable[[Group, Wanted], Iterator[Piece | LeftOut]]] = {
    "jsonl": lambda group, _wanted: jsonl.pieces(group),
    "chatml": lambda group, wanted: chatml.pieces(group, subagents=wanted.subagents),
    "sharegpt": lambda group, wanted: sharegpt.pieces(group, subagents=wanted.subagents),
    "atif": lambda group, _wanted: atif.pieces(group),
}


def _lines(wanted: Wanted, stream: BinaryIO) -> AbstractContextManager[BinaryIO]:
    return whole_file(wanted.output, force=wanted.force) if wanted.output else nullcontext(stream)


def _write_lines(pieces: Iterator[Piece], target: AbstractContextManager[BinaryIO], report: Report) -> None:
    with target as file:
        for piece in pieces:
            report.bytes += file.write(encode(piece.data))
    report.files = 1


def _write_documents(
    pieces: Iterator[Piece], output: Path, report: Report, wanted: Wanted, *, several: bool
) -> None:
    """Write a file a session: into a folder where there are several, or where the output is one."""
    if not several and not output.is_dir():
        with whole_file(output, force=wanted.force) as file:
            for piece in pieces:
                report.bytes += file.write(_indented(piece))
        report.files = 1
        return
    with whole_folder(output, force=wanted.force) as folder:
        for piece in pieces:
            report.bytes += (folder / file_name(piece.name)).write_bytes(_indented(piece))
            report.files += 1


def _indented(piece: Piece) -> bytes:
    return msgspec.json.format(encode(piece.data), indent=_INDENT) + b"\n"

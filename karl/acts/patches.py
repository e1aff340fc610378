"""Patches as text, file by file: the `*** Begin Patch` form of Codex, and unified diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

_FILE = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+)")
_MOVED = "*** Move to: "
_RANGE = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")
#: Characters of a patch that are looked at when only its files are asked for.
_TEXT_MAX = 262_144
_FILES_MAX = 64

#: What became of a file.
Became = Literal["edited", "created", "deleted", "moved"]


class Section(NamedTuple):
    """One file's part of a patch; `moved_to` is its new path where the patch gives one."""

    path: str
    became: Became
    moved_to: str | None
    lines: list[str]


class Patched(NamedTuple):
    """A file that a patch touches, with the lines that came in and went out."""

    path: str
    became: Became
    added: int
    removed: int
    moved_to: str | None = None
    #: The lines that went out and those that came in, of a file that is edited.
    old: str | None = None
    new: str | None = None


def sections(lines: Sequence[str]) -> Iterator[Section]:
    """Cut a patch of the `*** Begin Patch` form into its files; nothing where it has no such headers."""
    starts = [(at, found) for at, line in enumerate(lines) if (found := _FILE.fullmatch(line))]
    ends = [*(at for at, _ in starts[1:]), len(lines)] if starts else []
    for (at, found), end in zip(starts, ends, strict=True):
        became: Became = {"Add": "created", "Delete": "deleted"}.get(found[1], "edited")  # type: ignore[assignment]
        moved_to = None
        kept: list[str] = []
        for line in lines[at + 1 : end]:
            if line.startswith(_MOVED):
                became, moved_to = "moved", line.removeprefix(_MOVED)
            elif not line.startswith("***"):
                kept.append(line)
        yield Section(found[2], became, moved_to, kept)


def patched(text: str) -> list[Patched]:
    """Give the files that a patch touches, in its order; empty when the text is no patch."""
    if len(text) > _TEXT_MAX:
        text = text[:_TEXT_MAX]
    if "*** " in text:
        lines = text.splitlines()
        found = [
            _patched(
                each.path.strip(), each.became, each.lines, each.moved_to.strip() if each.moved_to else None
            )
            for each in sections(lines)
        ]
        if found:
            return found[:_FILES_MAX]
    return _unified(text.splitlines())[:_FILES_MAX] if "+++ " in text else []


def _unified(lines: Sequence[str]) -> list[Patched]:
    files: list[tuple[str, str, list[str]]] = []
    before = ""
    left = right = 0  # lines of the hunk that are still to come
    for line in lines:
        if left > 0 or right > 0:
            sign = line[:1]
            files[-1][2].append(line)
            left -= sign not in ("+", "\\")
            right -= sign not in ("-", "\\")
        elif line.startswith("--- "):
            before = _named(line)
        elif line.startswith("+++ "):
            files.append((before, _named(line), []))
        elif files and line.startswith("@@") and _RANGE.match(line):
            left, right = _spans(line)
    return [_section(*each) for each in files]


def _section(before: str, after: str, lines: list[str]) -> Patched:
    became: Became = "deleted" if after == "/dev/null" else "created" if before == "/dev/null" else "edited"
    return _patched(before if became == "deleted" else after, became, lines)


def _patched(path: str, became: Became, lines: list[str], moved_to: str | None = None) -> Patched:
    out, came = ([line[1:] for line in lines if line.startswith(sign)] for sign in "-+")
    is_edit = became == "edited"
    return Patched(
        path,
        became,
        len(came),
        len(out),
        moved_to,
        "\n".join(out) if is_edit else None,
        "\n".join(came) if is_edit else None,
    )


def _named(line: str) -> str:
    name = line[4:].partition("\t")[0].strip().strip('"')
    return name[2:] if name.startswith(("a/", "b/")) else name


_SPANS = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")


def _spans(line: str) -> tuple[int, int]:
    found = _SPANS.match(line)
    return (int(found[1] or 1), int(found[2] or 1)) if found else (0, 0)

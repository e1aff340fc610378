"""What an edit changed, as hunks: from what the tool answered, else from what it was asked to do.

Pure, and never raises: inputs and responses come from other programs and may be anything that JSON can
hold. Hunks made from an input alone have no line numbers, since nobody said where in the file it was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from karl.acts.patches import sections
from karl.acts.tools import PATHS
from karl.session.vocabulary import canonical, parse_object

#: Lines on both sides above which a change is shown as all out, all in: matching them grows with the square.
_MATCHED_MAX = 1000
_EDITING = frozenset({"Edit", "Write", "NotebookEdit"})
_OLD = ("old_string", "oldString", "old_str", "old_text", "oldText")
_NEW = ("new_string", "newString", "new_str", "new_text", "newText", "new_source", "insert_text")
_WHOLE = ("content", "contents", "file_text", "fileContent", "code_edit")
_SEVERAL = ("edits", "replacements")
_PATCHES = ("input", "patch", "command", "diff")
#: Parameters whose text a diff shows; a `command` may be a shell's, which it does not.
DIFFED = frozenset({*_OLD, *_NEW, *_WHOLE, *_SEVERAL, *_PATCHES})
_RANGE = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")

#: What became of the file as a whole.
Change = Literal["edited", "written", "created", "deleted", "moved"]


class Hunk(msgspec.Struct, frozen=True):
    """Lines that stand together, each beginning with ` `, `-`, `+` or another sign of its own.

    The numbers are of the first line, from 1; null where nobody said.
    """

    old_start: int | None
    new_start: int | None
    lines: tuple[str, ...]


class FileDiff(msgspec.Struct, frozen=True):
    """What one call did to one file. `told` says that the tool itself told it, not only its input."""

    path: str
    change: Change
    hunks: tuple[Hunk, ...]
    told: bool

    @property
    def added(self) -> int:
        """Count the lines that came in."""
        return sum(line.startswith("+") for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        """Count the lines that went out."""
        return sum(line.startswith("-") for hunk in self.hunks for line in hunk.lines)


def file_diffs(tool: object, given: object, response: object) -> list[FileDiff]:
    """Give what a call changed, file by file; nothing for a tool that edits no files."""
    if canonical(tool, given)[0] not in _EDITING:
        return []
    asked, answered = _object(given), _object(response)
    if told := _answered(asked, answered):
        return told
    if answered.get("type") == "update":
        return []  # it was written as it had been
    found = _asked(given, asked)
    return (
        [msgspec.structs.replace(each, change="created") for each in found]
        if answered.get("type") == "create"
        else found
    )


def _answered(asked: dict[str, Any], answered: dict[str, Any]) -> list[FileDiff]:
    patch = answered.get("structuredPatch")
    hunks = tuple(_told_hunks(patch)) if isinstance(patch, list) else ()
    path = _text(answered, PATHS) or _text(asked, PATHS)
    return [FileDiff(path, "edited", hunks, told=True)] if hunks else []


def _told_hunks(patch: list[Any]) -> Iterator[Hunk]:
    for each in patch:
        if isinstance(each, dict) and isinstance(each.get("lines"), list):
            lines = tuple(line for line in each["lines"] if isinstance(line, str))
            yield Hunk(_number(each.get("oldStart")), _number(each.get("newStart")), lines)


def _asked(given: object, asked: dict[str, Any]) -> list[FileDiff]:
    texts = [given] if isinstance(given, str) else [asked.get(key) for key in _PATCHES]
    for text in texts:
        if isinstance(text, str) and (patches := _patches(text, _text(asked, PATHS))):
            return patches
    path = _text(asked, PATHS)
    several = next((asked[key] for key in _SEVERAL if isinstance(asked.get(key), list)), None)
    if several is not None:
        return _gathered(path, (each for each in several if isinstance(each, dict)))
    old, new = _text(asked, _OLD), _text(asked, _NEW)
    if old or new:
        return [FileDiff(path, "edited", tuple(between(old, new)), told=False)]
    whole = _text(asked, _WHOLE)
    return [FileDiff(path, "written", tuple(between("", whole)), told=False)] if whole else []


def _gathered(path: str, edits: Iterable[dict[str, Any]]) -> list[FileDiff]:
    """Put several edits together, by the file that each names, else the call's."""
    hunks: dict[str, list[Hunk]] = {}
    for each in edits:
        made = between(_text(each, _OLD), _text(each, _NEW))
        hunks.setdefault(_text(each, PATHS) or path, []).extend(made)
    return [FileDiff(name, "edited", tuple(made), told=False) for name, made in hunks.items() if made]


def between(old: str, new: str) -> list[Hunk]:
    """Give the hunks that turn one text into another, without line numbers."""
    before, after = old.splitlines(), new.splitlines()
    if len(before) + len(after) > _MATCHED_MAX or not before or not after:
        lines = (*(f"-{line}" for line in before), *(f"+{line}" for line in after))
        return [Hunk(None, None, lines)] if lines else []
    hunks: list[list[str]] = []
    for line in difflib.unified_diff(before, after, n=3, lineterm=""):
        if line.startswith("@@"):
            hunks.append([])
        elif hunks:
            hunks[-1].append(line)
    return [Hunk(None, None, tuple(lines)) for lines in hunks]


def _patches(text: str, path: str) -> list[FileDiff]:
    """Read a patch as text: in the `*** Begin Patch` form, or a unified diff."""
    lines = text.splitlines()
    if found := list(_of_patch_text(lines)):
        return found
    return list(_of_unified(lines, path)) if any(_RANGE.match(line) for line in lines) else []


def _of_patch_text(lines: Sequence[str]) -> Iterator[FileDiff]:
    for section in sections(lines):
        path, hunks, now = section.path, list[list[str]](), list[str]()
        for line in section.lines:
            if line.startswith("@@"):
                hunks.append(now)
                now = [line] if line.strip("@ ") else []
            else:
                now.append(line if line[:1] in ("+", "-", " ") else f" {line}")
        kept = tuple(Hunk(None, None, tuple(each)) for each in [*hunks, now] if each)
        told = f"{path} → {section.moved_to}" if section.moved_to else path
        yield FileDiff(told, section.became, kept, told=False)


def _of_unified(lines: Sequence[str], path: str) -> Iterator[FileDiff]:
    name, hunks = path, list[Hunk]()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("+++ "):
            if hunks:
                yield FileDiff(name, "edited", tuple(hunks), told=False)
            name, hunks = line[4:].removeprefix("b/").split("\t")[0] or path, []
        elif found := _RANGE.match(line):
            hunks.append(Hunk(int(found[1]), int(found[2]), ()))
        elif hunks and not (line.startswith("--- ") and following.startswith("+++ ")):
            last = hunks[-1]
            hunks[-1] = msgspec.structs.replace(last, lines=(*last.lines, line))
    if hunks:
        yield FileDiff(name, "edited", tuple(hunks), told=False)


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = parse_object(value)
    return value if isinstance(value, dict) else {}


def _text(fields: dict[str, Any], names: Sequence[str]) -> str:
    return next((found for name in names if isinstance(found := fields.get(name), str) and found), "")


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

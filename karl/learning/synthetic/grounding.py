"""Whether what was said of a commit is so: each statement is read back from its words, and looked up. Pure.

It knows the two texts of each file and the list of paths, not the patch nor the syntax tree that the
statements were found with, and shares no code with what found them: what only one of both believes is not
said. What can not be read back is not so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple


class Sides(NamedTuple):
    """Both texts of a file, null where it is not there, and the path that it had before, if any."""

    was: str
    before: str | None
    after: str | None


class Evidence(NamedTuple):
    """What is known of a commit: the files told of, by the path that they have (else had), and all paths."""

    files: Mapping[str, Sides]
    paths: Sequence[str]


#: What stands for a definition that is there more than once.
_UNSURE = ["?"]
_PATH = r"`([^`]+)`"
_KIND = r"[a-z]+"
_TEST = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|testing)/|(?:^|/)test_[^/]*$|(?:^|/)[^/.]*_(?:test|spec)(?:\.[^/]*)?$"
    r"|\.(?:test|spec)\.[^/]*$",
    re.IGNORECASE,
)


def grounded(facts: Iterable[str], evidence: Evidence) -> list[str]:
    """Give the statements that are so, in their order."""
    return [fact for fact in facts if holds(fact, evidence)]


def holds(fact: str, evidence: Evidence) -> bool:
    """Say whether one statement is so."""
    for pattern, check in _CHECKS:
        if found := pattern.fullmatch(fact):
            return check(evidence, *found.groups())
    return False


def _files(evidence: Evidence, count: str) -> bool:
    return len(set(evidence.paths)) == int(count)


def _tests(evidence: Evidence, count: str) -> bool:
    found = sum(_TEST.search(path) is not None for path in set(evidence.paths))
    return found == (0 if count == "none" else int(count))


def _added(evidence: Evidence, path: str, count: str) -> bool:
    sides = evidence.files.get(path)
    return sides is not None and sides.before is None and _count(sides.after) == int(count)


def _removed(evidence: Evidence, path: str, count: str) -> bool:
    sides = evidence.files.get(path)
    return sides is not None and sides.after is None and _count(sides.before) == int(count)


def _renamed(evidence: Evidence, was: str, path: str) -> bool:
    sides = evidence.files.get(path)
    return sides is not None and sides.was == was != path and None not in (sides.before, sides.after)


def _changed(evidence: Evidence, path: str, added: str, removed: str) -> bool:
    """Say whether so many lines may have come and gone: what differs at least, and what may at most."""
    sides = evidence.files.get(path)
    if sides is None or sides.before is None or sides.after is None:
        return False
    old, new = _split(sides.before), _split(sides.after)
    same, end = _ends(old, new)
    came, went = int(added), int(removed)
    return (
        came - went == len(new) - len(old)
        and (Counter(new) - Counter(old)).total() <= came <= len(new) - same - end
        and (Counter(old) - Counter(new)).total() <= went <= len(old) - same - end
    )


def _ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Count the lines that are the same at the beginning, and of the rest those at the end."""
    same = end = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    while end < min(len(old), len(new)) - same and old[-1 - end] == new[-1 - end]:
        end += 1
    return same, end


def _defined(evidence: Evidence, path: str, word: str, kind: str, name: str) -> bool:
    sides = evidence.files.get(path)
    if sides is None or sides.after is None:
        return False
    old, new = _block(sides.before, path, kind, name), _block(sides.after, path, kind, name)
    if _UNSURE in (old, new):
        return False
    if word == "added":
        return new is not None and old is None
    if word == "removed":
        return old is not None and new is None
    return old is not None and new is not None and old != new


def _called_otherwise(evidence: Evidence, path: str, kind: str, old: str, new: str) -> bool:
    sides = evidence.files.get(path)
    if sides is None:
        return False
    before, after = _block(sides.before, path, kind, old), _block(sides.after, path, kind, new)
    if before is None or after is None or _UNSURE in (before, after) or before[1:] != after[1:]:
        return False
    return _block(sides.after, path, kind, old) is None and _block(sides.before, path, kind, new) is None


def _below(evidence: Evidence, path: str, header: str) -> bool:
    """Say whether a line that begins so stands above the end of what differs."""
    sides = evidence.files.get(path)
    if sides is None or sides.before is None or sides.after is None:
        return False
    old, new = _split(sides.before), _split(sides.after)
    at = next((at for at, line in enumerate(old) if line.rstrip().startswith(header)), None)
    return at is not None and old != new and at < len(old) - _ends(old, new)[1]


def _block(text: str | None, path: str, kind: str, name: str) -> list[str] | None:
    """Give the lines of a definition by indentation, without blank ones and comments; null for none."""
    if text is None:
        return None
    lines = _split(text)
    if not path.endswith((".py", ".pyi")):
        return _mention(lines, kind, name)
    *around, last = name.split(".")
    if (kind == "method") != bool(around) and kind != "class":
        return None
    for part in around:
        lines = _inside(lines, "class", part)
        if lines is _UNSURE:
            return _UNSURE
        lines = lines[1:]
    found = _inside(lines, "class" if kind == "class" else r"(?:async\s+)?def", last)
    if found is not _UNSURE:
        found = [line for line in found if line.strip() and not line.strip().startswith("#")]
    return found or None


def _inside(lines: Sequence[str], word: str, name: str) -> list[str]:
    """Give the lines of what is defined directly in these: none where it is not, _UNSURE for twice."""
    indents = [len(line) - len(text) for line in lines if (text := line.lstrip()) and text[0] not in "#)]}"]
    depth = min(indents, default=0)
    begins = re.compile(rf"\s{{{depth}}}{word}\s+{re.escape(name)}\b")
    found = [at for at, line in enumerate(lines) if begins.match(line)]
    if len(found) != 1:
        return _UNSURE if found else []
    end = next((at for at in range(found[0] + 1, len(lines)) if _stands_out(lines[at], depth)), len(lines))
    return list(lines[found[0] : end])


def _stands_out(line: str, depth: int) -> bool:
    text = line.lstrip()
    return bool(text) and not text.startswith(("#", ")", "]", "}")) and len(line) - len(text) <= depth


def _mention(lines: Sequence[str], kind: str, name: str) -> list[str] | None:
    """Give the lines that name what is defined; a heading's whole line, an identifier anywhere."""
    if kind == "section":
        found = [line for line in lines if line.startswith("#") and line.strip("# \t") == name.strip("# \t")]
    else:
        word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
        found = [line for line in lines if word.search(line)]
    return found or None


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _count(text: str | None) -> int:
    return len(_split(text)) if text else 0


_CHECKS: tuple[tuple[re.Pattern[str], Callable[..., bool]], ...] = (
    (re.compile(r"files touched: (\d+)"), _files),
    (re.compile(r"tests among them: (none|\d+)"), _tests),
    (re.compile(rf"added {_PATH}: (\d+) lines?"), _added),
    (re.compile(rf"removed {_PATH}: (\d+) lines?"), _removed),
    (re.compile(rf"renamed {_PATH} to {_PATH}"), _renamed),
    (re.compile(rf"changed {_PATH}: (\d+) lines? added, (\d+) removed"), _changed),
    (re.compile(rf"{_PATH}: changed below {_PATH}"), _below),
    (re.compile(rf"{_PATH}: (added|removed|changed) ({_KIND}) {_PATH}"), _defined),
    (re.compile(rf"{_PATH}: renamed ({_KIND}) {_PATH} to {_PATH}"), _called_otherwise),
)

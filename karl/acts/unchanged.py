"""Edits that change nothing, and edits that take back what earlier ones of the turn did. Pure.

Invariants:
- Blank lines and blanks at the ends of lines are no change.
- What is kept of a turn's edits is bounded; where a bound is met, nothing counts as taken back.
"""

from __future__ import annotations

import re

#: Characters of a text that are compared, files and edits of one of them that are kept.
_TEXT_MAX = 20_000
_FILES_MAX, _EDITS_MAX = 64, 64
_SED_SAME = re.compile(r"s([/|#,@!%])((?:(?!\1).){1,200})\1\2\1[gI0-9pM]{0,4}")


def same(old: str, new: str) -> bool:
    """Say whether two texts differ in blanks alone."""
    if old == new:
        return True
    if len(old) >= _TEXT_MAX or len(new) >= _TEXT_MAX or old.split() != new.split():
        return False
    return _plain(old) == _plain(new)


def sed_changes_nothing(script: str) -> bool:
    """Say whether a sed's script puts in what it takes out."""
    return _SED_SAME.fullmatch(script) is not None


def _plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


class Taken:
    """The edits of a turn, by file, for as long as nothing took them back."""

    def __init__(self) -> None:
        self._edits: dict[str, list[tuple[str, str] | None]] = {}
        self._copies: dict[str, str] = {}

    def edited(self, path: str, old: str | None, new: str | None) -> bool:
        """Note an edit; say whether with it every edit of the file is taken back."""
        edits = self._edits.setdefault(path, []) if len(self._edits) < _FILES_MAX else self._edits.get(path)
        if edits is None or len(edits) >= _EDITS_MAX:
            return False
        known = old is not None and new is not None and len(old) + len(new) < _TEXT_MAX
        if known and edits and edits[-1] is not None and edits[-1] == (new, old):
            edits.pop()
            return not edits
        edits.append((old or "", new or "") if known else None)
        return False

    def copied(self, source: str, path: str, *, untouched: bool) -> bool:
        """Note a copy; say whether it puts back a file that was copied away as the turn had found it."""
        back = self._copies.get(source) == path
        if untouched and len(self._copies) < _FILES_MAX:
            self._copies[path] = source
        self.edited(path, None, None)
        if back:
            self._edits.pop(path, None)
        return back

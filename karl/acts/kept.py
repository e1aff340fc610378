"""What the calls of a turn left behind, as far as later ones may hang on it.

Invariants:
- Bounded, whatever the turn does: of texts the newest are kept, of files the first.
"""

from __future__ import annotations

import re

from karl.acts.paths import role
from karl.acts.steps import Step
from karl.acts.unchanged import Taken

#: Texts that the turn wrote: how many, and of which size.
_WRITTEN_MAX = 64
_BODY_MAX = 65_536
_EDITED_MAX = 256
_DIFFS_MAX = 32
#: Endings of files that somebody wrote; others that a scratch script makes are its data.
_OF_THE_WORK = re.compile(
    r"\.(?:pyx?|pyi|[jt]sx?|[cm][jt]s|java|kts?|go|rs|[ch](?:c|pp|xx)?|rb|php|cs|scala|swift|html?|css|sql"
    r"|toml|cfg|ini|ya?ml|json|rst|md)$"
)


def is_data(path: str | None) -> bool:
    """Say whether a file that a script makes is what it leaves behind, and none of the work."""
    return path is not None and _OF_THE_WORK.search(path) is None


class Kept:
    """Texts written, files edited, programs made, changes laid aside."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        self.edited: dict[str, None] = {}
        #: Names of what was written or copied: a program of this name may be the turn's own.
        self.made: set[str] = set()
        self.stashed: list[str] = []
        self.diffs: dict[str, list[str]] = {}
        self.taken = Taken()

    def deleted(self, path: str) -> None:
        """Note that a file went."""
        self.written.pop(path, None)

    def changed(self, path: str, step: Step, root: str) -> None:
        """Note an edit; `root` is the folder of the work."""
        if len(self.edited) < _EDITED_MAX:
            self.edited[path] = None
            if step.body is not None or step.script == "copy" or step.program == "ln":
                name = path.rsplit("/", 1)[-1]
                self.made.add(name.removesuffix(".py").removesuffix(".sh"))
        body = step.body
        if body is not None and len(body) <= _BODY_MAX:
            before = self.written.pop(path, "") if step.appends else ""
            if path not in self.written and len(self.written) >= _WRITTEN_MAX:
                del self.written[next(iter(self.written))]
            self.written[path] = f"{before}\n{body}"[-_BODY_MAX:] if before else body
        elif step.program in ("git diff", "git format-patch") and len(self.diffs) < _DIFFS_MAX:
            self.diffs[path] = [each for each in self.edited if role(each, root) != "scratch"]

    def copied(self, source: str, path: str) -> bool:
        """Note a copy; say whether it puts a file back as the turn had found it."""
        if source in self.written:
            self.written[path] = self.written[source]
        return self.taken.copied(source, path, untouched=source not in self.edited)

    def stash(self, root: str) -> None:
        """Lay the changes of the work aside."""
        self.stashed = [
            path
            for path in self.edited
            if not path.startswith(("/", "~")) or (root and path.startswith(f"{root}/"))
        ]

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
#: Answers of searches: how many, and how much of each.
_FOUND_MAX, _ANSWER_MAX = 32, 8_000
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
        self._is_staged = False
        self._found: list[tuple[str, str]] = []

    def found(self, folder: str, output: object, text: str) -> None:
        """Note what a search that began in a folder answered: it shows the files that it names."""
        names = output.get("filenames") if isinstance(output, dict) else None
        if isinstance(names, list):
            text = "\n".join([*(each for each in names[:256] if isinstance(each, str)), text])
        if text:
            if len(self._found) >= _FOUND_MAX:
                del self._found[0]
            self._found.append((f"{folder}/", f"\n{text[:_ANSWER_MAX]}\n"))

    def shown(self, path: str) -> bool:
        """Say whether a search showed a file that the turn has not changed yet."""
        if not self._found or path in self.edited:
            return False
        name = path.rsplit("/", 1)[-1]
        for folder, text in self._found:
            if name not in text:
                continue
            short = path.removeprefix(folder)
            for spelling in (path, short, f"./{short}"):
                at = text.find(f"\n{spelling}")
                while at >= 0:
                    if text[at + 1 + len(spelling)] in ":-\n":
                        return True
                    at = text.find(f"\n{spelling}", at + 1)
        return False

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
        elif step.old and path in self.written:
            self.written[path] = self.written[path].replace(step.old, step.new or "", 1)[-_BODY_MAX:]
        elif step.program in ("git diff", "git format-patch") and len(self.diffs) < _DIFFS_MAX:
            self.diffs[path] = [each for each in self.edited if role(each, root) != "scratch"]

    def copied(self, source: str, path: str) -> bool:
        """Note a copy; say whether it puts a file back as the turn had found it."""
        if source in self.written:
            self.written[path] = self.written[source]
        return self.taken.copied(source, path, untouched=source not in self.edited)

    def versioned(self, step: Step) -> Step:
        """Note what is staged; give a commit that may be empty as one, where something was."""
        if step.program == "git add":
            self._is_staged = True
        elif step.program == "git commit --allow-empty" and self._is_staged:
            return Step("commit", None, step.end, program="git commit")
        return step

    def stash(self, root: str) -> None:
        """Lay the changes of the work aside."""
        self.stashed = [
            path
            for path in self.edited
            if not path.startswith(("/", "~")) or (root and path.startswith(f"{root}/"))
        ]

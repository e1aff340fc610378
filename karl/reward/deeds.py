"""Deeds: what a turn did to files, in order, as the signals of reward version 2 look at it.

Invariants:
- One pass over the acts of a trajectory: the same acts give the same deeds, whatever the calls were named.
- An act that is known to have failed did nothing; one whose end is not known is taken to have done it.
- An act whose file is not known says nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from karl.acts.reader import Given, Reader
from karl.reward.deeds_shape import BESIDE, PRODUCT, Deeds, Edit, Look, Read
from karl.schema.act import Act, Role
from karl.schema.trajectory import ToolCall, Trajectory

__all__ = [
    "BESIDE",
    "PRODUCT",
    "Deeds",
    "Edit",
    "Look",
    "Read",
    "acts_of",
    "deeds",
    "failed_calls",
    "repeated_calls",
]

#: Folders of which nothing stays.
_FLEETING = ("/tmp/", "/var/tmp/", "/private/tmp/", "/dev/")  # noqa: S108 - names to compare with
#: Files that are kept beside the work: what editors, agents and version control are told, what was resolved.
_HOUSEKEEPING = re.compile(
    r"(^|/)(\.git(ignore|attributes|keep)|\.editorconfig|(package-lock|npm-shrinkwrap)\.json|pnpm-lock\.ya?ml"
    r"|(yarn|uv|poetry|Cargo|Gemfile|composer|Pipfile|flake)\.lock|go\.sum)$|(^|/)\.(vscode|idea|claude|cursor)/"
)
#: Programs that change a file in its place: it was there before.
_IN_PLACE = frozenset({"sed", "perl", "ed", "ex", "patch", "git apply"})
#: Editors that replace text: so do they, unless they put text where none was.
_EDITORS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "edit", "str_replace", "replace", "insert"})
#: Programs that change a file which their command does not name.
_UNNAMED = frozenset({"patch", "git apply", "edit", "sed", "perl"})
_MOVE = frozenset({"mv", "git mv"})
_TAKEN_BACK = frozenset({"git stash pop", "git stash apply"})
#: Runners that do what a file says, and the names of that file: who changes it says what a check is.
_SAID_BY = {
    "make": ("makefile", "gnumakefile"),
    "just": ("justfile", ".justfile"),
    "task": ("taskfile.yml", "taskfile.yaml"),
    "tox": ("tox.ini",),
    "nox": ("noxfile.py",),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun"), ("package.json",)),
}
_PYTHON = (".py", ".pyi", ".ipynb", ".toml", ".cfg")
_SCRIPT = (
    ".js",
    ".jsx",
    ".ts",
    ".tsx",
    ".mjs",
    ".cjs",
    ".mts",
    ".cts",
    ".vue",
    ".svelte",
    ".json",
    ".css",
    ".html",
)
#: What linters and type checkers look at, by the endings of files; others may look at anything.
_LOOKS_AT = {
    **dict.fromkeys(("ruff", "mypy", "flake8", "pylint", "black", "pyright", "isort"), _PYTHON),
    **dict.fromkeys(("tsc", "eslint", "prettier", "biome"), _SCRIPT),
    **dict.fromkeys(("go", "gofmt", "golangci-lint"), (".go", ".mod")),
    **dict.fromkeys(("shellcheck", "bash"), (".sh", ".bash")),
    "cargo": (".rs", ".toml"),
    "rubocop": (".rb",),
    **dict.fromkeys(("php", "phpstan"), (".php",)),
}
#: Ends that the agent did not choose.
_REFUSED = frozenset({"denied", "interrupted", "interrupted_or_denied"})


def deeds(trajectory: Trajectory) -> Deeds:
    """Look through a turn once; calls that nobody took apart are taken apart first.

    A call that a person refused, or cut off, did nothing, and is no failure of the agent's.
    """
    taken = acts_of(trajectory)
    context = trajectory.context
    way = _Pass(Deeds(len(taken), first=context.turn == 0), context.cwd)
    for number, (call, acts) in enumerate(zip(trajectory.trajectory.events, taken, strict=True)):
        if call.status not in _REFUSED:
            way.call(number, acts)
    return way.end()


def acts_of(trajectory: Trajectory) -> list[list[Act]]:
    """Give what each call did, in order."""
    calls = trajectory.trajectory
    if calls.reader:
        return [call.acts for call in calls.events]
    reader = Reader(trajectory.context.cwd)
    return [
        reader.acts(
            Given(
                call.tool_name,
                call.key_params,
                output=call.error,
                success=call.success,
                exit_code=call.exit_code,
                original=call.original_name,
            )
        )
        for call in calls.events
    ]


def failed_calls(calls: list[ToolCall], done: Deeds) -> list[int]:
    """Give the calls that failed, by number from 0, of those of which nothing else is known.

    A failed read is a look that found nothing, and a shell's status an answer as often as a failure: what is
    known of them is in their acts.
    """
    return [number for number in done.unread if calls[number].success is False]


def repeated_calls(calls: list[ToolCall], done: Deeds) -> list[int]:
    """Give the calls that said word for word what an earlier one had, of those of which nothing is known."""
    said: dict[tuple[str, str], int] = {}
    return [
        number
        for number in done.unread
        if said.setdefault((calls[number].tool_name, repr(calls[number].key_params)), number) != number
    ]


class _Pass:
    """The way through a turn's acts; what it has found so far is in `found`."""

    def __init__(self, found: Deeds, root: str | None) -> None:
        self.found = found
        self._root = root
        self._place = 0
        self._looked: set[str] = set()  # files that were read, or searched by name
        self._ran: set[str] = set()
        self._made: set[str] = set()
        self._names: set[str] = set()  # of changed files, without their folders
        self._new_names: set[str] = set()  # of files that the turn made, with and without their endings
        self._kept = 0  # edits before this one are committed: throwing changes away leaves them
        self._before = 0  # the same, before the last commit
        self._shelved: list[Edit] = []
        self._moving = False  # whether a test was just moved, and where to is not known yet
        self._from: str | None = None  # what is just being moved
        self._moved: dict[str, str] = {}  # where files were moved to, and from where
        self._bent = False  # whether a test was taken away that the turn had not made

    def call(self, number: int, acts: list[Act]) -> None:
        """Take in what the next call did."""
        if not acts:
            self.found.unread.append(number)
        work = 0
        checked = False
        for act in acts:
            self._place += 1
            note = _NOTES.get(act.does)
            if note is not None:
                note(self, number, act)
            if act.does == "check":
                checked = True
            elif act.does != "other":
                work += 1
        self.found.length += work if work or checked else 1

    def end(self) -> Deeds:
        """Settle what only the whole turn tells: a file that was made to be run was made for the turn."""
        for edit in self.found.edits:
            if edit.new and edit.path in self._ran and edit.role in PRODUCT:
                edit.role = "scratch"
        if self.found.checks and self.found.edits:
            edited = {edit.path for edit in self.found.edits if edit.role != "scratch"}
            self.found.checks = [look for look in self.found.checks if self._concerns(look, edited)]
        return self.found

    def read(self, number: int, act: Act) -> None:
        if act.path is not None and act.ok is not False:
            self._looked.add(act.path)
            if act.path not in self.found.reads:
                self.found.reads[act.path] = Read(number, act.role)

    def search(self, _: int, act: Act) -> None:
        if act.path is not None and act.ok is not False:
            self._looked.add(act.path)

    def run(self, _: int, act: Act) -> None:
        if act.path is not None:
            self._ran.add(act.path)

    def edit(self, number: int, act: Act) -> None:
        """Take in a change. Where nobody names the file it counts if an editor or a patch says it did."""
        path = None if act.path is None or act.path.startswith("$") else act.path
        if self._moving:
            self._bent = self._bent or act.role != "test"
            self._moving = False
        if act.program in _TAKEN_BACK and act.ok is not False:
            self._take_back()
            return
        if path is None:
            if act.program not in _UNNAMED or act.ok is not True:
                if act.ok is not False:
                    self.found.unnamed.append(number)
                return
            path = ""
        if act.program in _MOVE and self._moved_back(path):
            return
        seen = path in self._looked
        if act.program == "touch":
            self._made.update(() if seen else (path,))
            return
        new = not path or path in self._made or not (seen or _was_there(act))
        made = Edit(number, self._place, path, self._role(act, path, new=new), new, seen)
        if act.ok is False:
            made.stands = False
            self.found.failed_edits.append(made)
            return
        name = path.rpartition("/")[2]
        if new:
            self._made.add(path)
            self._new_names.update((name.lower(), name.partition(".")[0] or name))
        self._names.add(name.lower())
        self.found.edits.append(made)

    def delete(self, number: int, act: Act) -> None:
        """Take out what was changed there; a file that was there before counts if it was looked at."""
        path = act.path
        if path is None or act.ok is False:
            return
        self._from = path if act.program in _MOVE else None
        made = path in self._made
        for edit in self.found.edits:
            if _within(edit.path, path):
                edit.stands = False
                made = made or edit.new
        if made:
            return
        if act.role == "test" and not path.rpartition("/")[2].startswith((".", "__")):
            self._moving = act.program in _MOVE
            self._bent = self._bent or not self._moving
        if path in self._looked:
            what = self._role(act, path, new=False)
            self.found.edits.append(Edit(number, self._place, path, what, new=False, seen=True, gone=True))

    def _moved_back(self, path: str) -> bool:
        """Say whether a file is moved to where it came from: then nothing was done to it."""
        source, self._from = self._from, None
        if source is None:
            return False
        if self._moved.pop(source, None) != path:
            self._moved[path] = source
            return False
        for edit in self.found.edits:
            if edit.gone and edit.path == path:
                edit.stands = False
        return True

    def check(self, number: int, act: Act) -> None:
        if act.ok is None and act.passed == 0 and not act.failed:
            return  # it never ran
        if self._shelved or _runner(act) in self._new_names:
            return  # what it looked at was not the work, or it was no check
        green = not act.failed and (act.ok is True or (act.ok is None and bool(act.passed)))
        if green and (self._bent or self._says_itself(act)):
            green = False
        narrow = act.check in {"lint", "types"}
        endings = _LOOKS_AT.get(_runner(act), ()) if narrow else ()
        self.found.checks.append(Look(number, self._place, green, act.path, narrow, endings))

    def history(self, _: int, act: Act) -> None:
        """Follow version control: what is committed stays, what is thrown away or shelved is gone."""
        if act.ok is False:
            return
        if act.does == "commit":
            self._before, self._kept = self._kept, len(self.found.edits)
        elif act.program in _TAKEN_BACK:
            self._take_back()
        elif act.does == "revert":
            self._throw_away(act)

    def _throw_away(self, act: Act) -> None:
        since = self._kept
        if act.program == "git revert":
            since = self._before
        for edit in self.found.edits[since:]:
            if not edit.stands or not (act.path is None or _within(edit.path, act.path)):
                continue
            if act.program == "git clean" and not edit.new:
                continue
            edit.stands = False
            if act.program == "git stash":
                self._shelved.append(edit)

    def _take_back(self) -> None:
        for edit in self._shelved:
            edit.stands = True
        self._shelved = []

    def _role(self, act: Act, path: str, *, new: bool) -> Role:
        """Say what a file is for. One that was there before is nobody's scratch, whatever its name."""
        if act.role == "config" and _HOUSEKEEPING.search(path):
            return "docs"
        if act.role != "scratch" or new or path not in self._looked:
            return act.role
        copied = path.startswith(_FLEETING) and any(_within(path, made) for made in self._made)
        return "scratch" if copied or path.startswith("/dev/") else "source"

    def _says_itself(self, act: Act) -> bool:
        """Say whether a check does what a file says that the turn had changed, and counts no test."""
        names = self._new_names if act.passed else self._names
        return not names.isdisjoint(_SAID_BY.get(_runner(act), ()))

    def _concerns(self, look: Look, edited: set[str]) -> bool:
        """Say whether a check is of the work: a file that is linted must be one that was edited."""
        about = look.about
        if look.endings and not any(path.endswith(look.endings) for path in edited):
            return False
        if about is None or about in edited:
            return True
        if look.narrow and "." in about.rpartition("/")[2]:
            return False
        if not about.startswith("/"):
            return True
        if about.startswith(_FLEETING):
            place = "/".join(about.split("/")[:3])
            return any(_within(path, place) for path in edited)
        return (
            self._root is None or _within(about, self._root) or any(_within(path, about) for path in edited)
        )


#: What is noted of an act, by what it does; of others, nothing.
_NOTES: dict[str, Callable[[_Pass, int, Act], None]] = {
    "read": _Pass.read,
    "search": _Pass.search,
    "edit": _Pass.edit,
    "delete": _Pass.delete,
    "check": _Pass.check,
    "run": _Pass.run,
    "commit": _Pass.history,
    "revert": _Pass.history,
    "vcs": _Pass.history,
}


def _runner(act: Act) -> str:
    return (act.program or "?").partition(" ")[0]


def _was_there(act: Act) -> bool:
    """Say whether a change was one of a file that was there before, as far as it tells itself."""
    return act.removed > 0 or act.program in _IN_PLACE or (act.program in _EDITORS and not act.added)


def _within(path: str, folder: str) -> bool:
    return path == folder or folder in {".", "/"} or path.startswith(folder.rstrip("/") + "/")

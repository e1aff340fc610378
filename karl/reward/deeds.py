"""Deeds: what a turn did to files, in order, as the signals of reward version 2 look at it.

Invariants:
- One pass over the acts of a trajectory: the same acts give the same deeds, whatever the calls were named.
- An act that is known to have failed did nothing; one whose end is not known is taken to have done it.
- An act whose file is not known says nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from karl.acts.reader import Given, Reader
from karl.schema.act import Act, Role
from karl.schema.trajectory import ToolCall, Trajectory

#: What a turn is asked to deliver, most of the time; and what may be asked for, or done beside it.
PRODUCT = frozenset({"source", "config"})
BESIDE = frozenset({"test", "docs"})

#: Folders of which nothing stays.
_FLEETING = ("/tmp/", "/var/tmp/", "/private/tmp/", "/dev/")  # noqa: S108 - names to compare with
#: Folders of other people's sources: to read there is to look something up.
_LIBRARIES = (
    "/site-packages/", "/dist-packages/", "node_modules/", "/pkg/mod/", "/.cargo/registry/", "/.m2/",
    "/usr/lib/", "/usr/include/", "/usr/local/",
)  # fmt: skip
#: Programs that change a file in its place: it was there before.
_IN_PLACE = frozenset({"sed", "perl", "ed", "ex", "patch", "git apply"})
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
#: Ends that the agent did not choose.
_REFUSED = frozenset({"denied", "interrupted", "interrupted_or_denied"})


class Read(NamedTuple):
    """The first read of a file."""

    call: int
    role: Role


class Edit(msgspec.Struct, gc=False):
    """A change of a file. `call` counts the turn's calls from 0, `place` its acts from 1.

    `new` says that the turn made the file; `seen` that it had looked into it before. `stands` is false when
    the change came to nothing, or was thrown away later in the turn.
    """

    call: int
    place: int
    path: str
    role: Role
    new: bool
    seen: bool
    stands: bool = True


class Look(msgspec.Struct, gc=False):
    """A check that ran: `green` when its own status or its counts say so, whatever a shell made of it."""

    call: int
    place: int
    green: bool
    about: str | None = None
    narrow: bool = False


class Deeds(msgspec.Struct):
    """What a turn did. Paths are as the acts have them; calls are counted from 0.

    `length` is the work done: acts that are no checks, and at least one for each call that is none. `reads`
    has the first read of each file, `edits` every change that was made, in order, `failed_edits` those that
    came to nothing, `checks` what was looked at, `unread` the calls of which nothing is known what they did.
    `first` says that no turn of the session came before it.
    """

    calls: int
    length: int = 0
    reads: dict[str, Read] = {}
    edits: list[Edit] = []
    failed_edits: list[Edit] = []
    checks: list[Look] = []
    unread: list[int] = []
    first: bool = True

    @property
    def source_edits(self) -> list[Edit]:
        """The changes of source files that stand."""
        return [edit for edit in self.edits if edit.stands and edit.role in PRODUCT]

    @property
    def first_edits(self) -> dict[str, Edit]:
        """The first standing change of each file that was there before: of sources, else of configuration.

        Where neither was changed, of tests and documentation. What an earlier turn of the session looked into
        is not known; so of later turns only changes of files that were looked into are given.
        """
        found: dict[str, Edit] = {}
        edits = self.source_edits or self.beside
        for edit in [edit for edit in edits if edit.role == "source"] or edits:
            if not edit.new and (edit.seen or self.first):
                found.setdefault(edit.path, edit)
        return found

    @property
    def beside(self) -> list[Edit]:
        """The changes of tests and of documentation that stand."""
        return [edit for edit in self.edits if edit.stands and edit.role in BESIDE]

    @property
    def in_vain(self) -> list[Edit]:
        """The changes of source files that failed or were thrown away, where none stands in their place.

        A file that the turn made and took away again was a try, and nothing was to stand there.
        """
        stand = {edit.path for edit in self.edits if edit.stands}
        lost = [*self.failed_edits, *(edit for edit in self.edits if not (edit.stands or edit.new))]
        return [edit for edit in lost if edit.role in PRODUCT and edit.path not in stand]

    @property
    def tried(self) -> bool:
        """Whether a change of any file was made or tried."""
        return bool(self.edits or self.failed_edits)

    @property
    def sources_read(self) -> dict[str, Read]:
        """The source files of the work that were read, but for those that the turn made."""
        made = {edit.path for edit in self.edits if edit.new}
        return {
            path: read
            for path, read in self.reads.items()
            if read.role == "source" and path not in made and not any(one in path for one in _LIBRARIES)
        }


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
        self._kept = 0  # edits before this one are committed: throwing changes away leaves them
        self._before = 0  # the same, before the last commit
        self._shelved: list[Edit] = []
        self._moving = False  # whether a test was just moved, and where to is not known yet
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
            if edit.new and edit.path in self._ran and edit.role == "source":
                edit.role = "scratch"
        if self.found.checks and self.found.edits:
            edited = {edit.path for edit in self.found.edits}
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
                return
            path = ""
        seen = path in self._looked
        if act.program == "touch" and seen:
            return
        new = not path or path in self._made or not (seen or act.removed or act.program in _IN_PLACE)
        made = Edit(number, self._place, path, self._role(act, path, new=new), new, seen)
        if act.ok is False:
            made.stands = False
            self.found.failed_edits.append(made)
            return
        if new:
            self._made.add(path)
        self.found.edits.append(made)

    def delete(self, number: int, act: Act) -> None:
        """Take out what was changed there; a file that was there before counts if it was looked at."""
        path = act.path
        if path is None or act.ok is False:
            return
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
            self.found.edits.append(Edit(number, self._place, path, what, new=False, seen=True))

    def check(self, number: int, act: Act) -> None:
        if act.ok is None and act.passed == 0 and not act.failed:
            return  # it never ran
        green = not act.failed and (act.ok is True or (act.ok is None and bool(act.passed)))
        if green and (self._bent or (not act.passed and self._says_itself(act))):
            green = False
        self.found.checks.append(Look(number, self._place, green, act.path, act.check in {"lint", "types"}))

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
            edit.place = self._place  # what was checked in between was checked without it
        self.found.edits.sort(key=lambda edit: edit.place)
        self._shelved = []

    def _role(self, act: Act, path: str, *, new: bool) -> Role:
        """Say what a file is for. One that was there before is nobody's scratch, whatever its name."""
        if act.role != "scratch" or new or path not in self._looked:
            return act.role
        copied = path.startswith(_FLEETING) and any(_within(path, made) for made in self._made)
        return "scratch" if copied or path.startswith("/dev/") else "source"

    def _says_itself(self, act: Act) -> bool:
        """Say whether a check does what a file says that the turn had changed."""
        files = _SAID_BY.get((act.program or "").partition(" ")[0])
        return files is not None and any(
            edit.path.rpartition("/")[2].lower() in files for edit in self.found.edits
        )

    def _concerns(self, look: Look, edited: set[str]) -> bool:
        """Say whether a check is of the work: a file that is linted must be one that was edited."""
        about = look.about
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


def _within(path: str, folder: str) -> bool:
    return path == folder or folder in {".", "/"} or path.startswith(folder.rstrip("/") + "/")

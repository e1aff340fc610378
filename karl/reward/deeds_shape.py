"""Deeds: the shape of what a turn did to files."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.schema.act import Role

#: What a turn is asked to deliver, most of the time; and what may be asked for, or done beside it.
PRODUCT = frozenset({"source", "config"})
BESIDE = frozenset({"test", "docs"})

#: Folders of other people's sources: to read there is to look something up.
_LIBRARIES = (
    "/site-packages/", "/dist-packages/", "node_modules/", "/pkg/mod/", "/.cargo/registry/", "/.m2/",
    "/usr/lib/", "/usr/include/", "/usr/local/",
)  # fmt: skip


class Read(NamedTuple):
    """The first read of a file."""

    call: int
    role: Role


class Edit(msgspec.Struct, gc=False):
    """A change of a file. `call` counts the turn's calls from 0, `place` its acts from 1.

    `new` says that the turn made the file; `seen` that it had looked into it before; `gone` that it took the
    file away. `stands` is false when the change came to nothing, or was thrown away later in the turn.
    """

    call: int
    place: int
    path: str
    role: Role
    new: bool
    seen: bool
    stands: bool = True
    gone: bool = False


class Look(msgspec.Struct, gc=False):
    """A check that ran: `green` when its own status or its counts say so, whatever a shell made of it.

    `about` is what it was told to look at; a `narrow` one looks at no other file, and at none with other
    `endings`, where they are known.
    """

    call: int
    place: int
    green: bool
    about: str | None = None
    narrow: bool = False
    endings: tuple[str, ...] = ()


class Deeds(msgspec.Struct):
    """What a turn did. Paths are as the acts have them; calls are counted from 0.

    `length` is the work done: acts that are no checks, and at least one for each call that is none. `reads`
    has the first read of each file, `edits` every change that was made, in order, `failed_edits` those that
    came to nothing, `checks` what was looked at, `unread` the calls of which nothing is known what they did,
    `unnamed` those that may have changed a file, nobody knows which. `first` says that no turn of the session
    came before it.
    """

    calls: int
    length: int = 0
    reads: dict[str, Read] = {}
    edits: list[Edit] = []
    failed_edits: list[Edit] = []
    checks: list[Look] = []
    unread: list[int] = []
    unnamed: list[int] = []
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
            if not edit.new and not edit.gone and (edit.seen or self.first):
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
        return bool(self.edits or self.failed_edits or self.unnamed)

    @property
    def sources_read(self) -> dict[str, Read]:
        """The source files of the work that were read, but for those that the turn made."""
        made = {edit.path for edit in self.edits if edit.new}
        return {
            path: read
            for path, read in self.reads.items()
            if read.role == "source" and path not in made and not any(one in path for one in _LIBRARIES)
        }

"""Steps: what a command's text says that it does, before anybody knows how the call ended."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.schema.act import Check, Doing

#: Steps of one call that are told.
STEPS_MAX = 48

#: How a step's end shows in the call's: it is the call's; it was well if the call was; badly if the call
#: was; the call's turned round; or not at all.
AS_CALL, IF_OK, IF_BAD, NOT_CALL, HIDDEN = range(5)


class Step(msgspec.Struct, gc=False):
    """One thing that a text does. `path` is seen from where the text begins.

    `body` is the text that an edit writes, where the command holds it; `script` the kind of script that
    `path` is when it is run (`python`, `sh`, `js` ...), with the words it gets, or what else ties a step to
    the turn's earlier ones (`copy`, `patch`, `stash`, `unstash`).
    """

    does: Doing
    path: str | None = None
    end: int = HIDDEN
    check: Check | None = None
    program: str | None = None
    added: int = 0
    removed: int = 0
    body: str | None = None
    appends: bool = False
    #: What an edit takes out and puts in, where the call holds both.
    old: str | None = None
    new: str | None = None
    script: str | None = None
    args: tuple[str, ...] = ()
    #: What it prints goes nowhere; or through a pipe that lets an end of it through (`| tail`).
    muted: bool = False
    piped: bool = False
    #: It goes through a pipe that may leave out what it likes (`| grep`).
    sifted: bool = False
    #: It is in a loop.
    again: bool = False
    #: The file that its output goes to.
    into: str | None = None


class Mark(NamedTuple):
    """The step's status is printed behind this text."""

    step: int
    head: str


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What a text does; `said` is what it prints itself, `folders` where it went, `cwd` where it ends."""

    steps: tuple[Step, ...] = ()
    said: str = ""
    marks: tuple[Mark, ...] = ()
    folders: tuple[str, ...] = ()
    cwd: str = ""
    is_shell: bool = True


def ended(end: int, success: bool | None) -> bool | None:
    """Say how a step ended, from how its call did."""
    if success is None or end == HIDDEN:
        return None
    if end == AS_CALL:
        return success
    if end == NOT_CALL:
        return not success
    if end == IF_OK:
        return True if success else None
    return None if success else False

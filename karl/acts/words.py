"""A command's words as its readers see them, and what they need of the walk that met it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from karl.acts.scripts import touched
from karl.acts.steps import HIDDEN, Step
from karl.schema.act import Doing

#: Files that one command names, at most.
FILES_MAX = 16
#: Words that a script gets, at most.
ARGS_MAX = 16


class Walk(Protocol):
    """What a reader of commands needs of the walk; `elsewhere`: it is in a container, or on another host."""

    elsewhere: bool

    def add(self, step: Step) -> None:
        """Take a step in."""

    def place(self, path: str) -> str:
        """Give a path as seen from where the text began."""

    def within(self, text: str, end: int) -> None:
        """Walk a text that stands in another."""


class Words:
    """One command. `piped` says that it reads another's output, `fed` is that text where it is known."""

    __slots__ = ("args", "end", "fed", "name", "piped", "walk")

    def __init__(self, walk: Walk, words: list[str], end: int, *, piped: bool, fed: str | None) -> None:
        self.walk, self.end, self.piped, self.fed = walk, end, piped, fed
        self.name = words[0].rsplit("/", 1)[-1]
        self.args = words[1:]

    def step(self, does: Doing, path: str | None = None) -> Step:
        """Make a step of this command; `path` is as the command has it."""
        return Step(does, self.walk.place(path) if path else None, self.end, program=self.name)

    def add(self, does: Doing, path: str | None = None) -> None:
        """Add a step of this command."""
        self.walk.add(self.step(does, path))

    def each(self, does: Doing, paths: Iterable[str]) -> None:
        """Add a step for each path, up to a bound."""
        for number, path in enumerate(paths):
            if number >= FILES_MAX:
                break
            self.add(does, path)

    def scripted(self, text: str, args: list[str]) -> None:
        """Add what a script that stands in the command does to files."""
        add_touched(self.walk, text, tuple(args[:ARGS_MAX]), self.end, self.name)


def add_touched(walk: Walk, text: str, args: tuple[str, ...], end: int, program: str) -> None:
    """Add what a script's text does to files; commands that it runs are walked, their ends unknown."""
    for action, path in touched(text, args):
        if action == "shell":
            if path:
                walk.within(path, HIDDEN)
        else:
            walk.add(Step(action, walk.place(path) if path else None, end, program=program))


def files_of(args: list[str], valued: frozenset[str] = frozenset()) -> list[str]:
    """Give the words that are files: no flags, no flags' values."""
    files: list[str] = []
    skip = done = False
    for arg in args:
        if skip:
            skip = False
        elif done or not arg.startswith("-"):
            if arg:
                files.append(arg)
        elif arg == "--":
            done = True
        elif arg in valued:
            skip = True
    return files


def flags(text: str) -> frozenset[str]:
    """Give a set of words as they are typed."""
    return frozenset(text.split())

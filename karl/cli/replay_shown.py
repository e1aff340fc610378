"""A replay on a terminal: moments, pauses, and the keys that a person may press meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from karl.cli import deeds as looks
from karl.cli.render import one_line, plain
from karl.replay.story import Deed, Moment, Story, gist, is_bad, story
from karl.views.detail import Detail

#: Lines of an answer or a diff, and of words, that one moment shows without --full.
_LINES = 8
_WORDS_LINES = 40

Key = Callable[[float], str]


class _Quit(Exception):
    """Raised when a person has seen enough."""


class _Pace:
    """Waits between moments, and listens to keys while it waits."""

    def __init__(self, key: Key, *, speed: float, longest_s: float) -> None:
        self._key = key
        self._speed = speed
        self._longest_s = longest_s
        self._paused = False

    def wait(self, pause_s: float) -> None:
        """Wait as long as it took, at this speed; raises _Quit."""
        end = time.monotonic() + min(self._longest_s, pause_s / self._speed)
        while self._paused or time.monotonic() < end:
            pressed = self._key(60.0 if self._paused else max(0.0, end - time.monotonic()))
            if pressed == "q":
                raise _Quit
            if pressed == "n":
                return
            if pressed == " ":
                self._paused = not self._paused


def play(
    turns: list[Detail], part: tuple[int, int | None], *, speed: float, longest_s: float, full: bool
) -> None:
    """Replay turns; `part` is the first and the last moment of each, `longest_s` the longest pause."""
    try:
        with _keys() as key:
            pace = _Pace(key, speed=speed, longest_s=longest_s)
            for turn in turns:
                _turn(turn, pace, part, full=full)
    except _Quit:
        click.echo("stopped")


def _turn(turn: Detail, pace: _Pace, part: tuple[int, int | None], *, full: bool) -> None:
    told = story(turn.body)
    _title(turn, told)
    _moments(told, pace, part, full=full)
    reward = f"reward {turn.score.reward:.4f}; `karl explain {plain(turn.row.id)}` says why"
    click.echo(looks.style(reward, dim=True))


def _title(turn: Detail, told: Story) -> None:
    row = turn.row
    click.echo(looks.style(f"turn {row.turn} of session {plain(row.session)}", bold=True))
    click.echo(
        looks.style(f"{plain(row.id)}: {len(told.moments)} moments, {len(told.deeds)} calls", dim=True)
    )


def _moments(told: Story, pace: _Pace, part: tuple[int, int | None], *, full: bool) -> None:
    deeds = {deed.number: deed for deed in told.deeds}
    chosen = told.moments[part[0] - 1 : part[1]]
    if not chosen:
        click.echo(f"there are {len(told.moments)} moments, none of them asked for")
    for place, moment in enumerate(chosen):
        pace.wait(moment.pause_s if place else 0.0)
        for line in _lines(moment, deeds.get(moment.call or 0), full=full):
            click.echo(line)


def _lines(moment: Moment, deed: Deed | None, *, full: bool) -> Iterator[str]:
    inward = "    " * min(moment.depth, looks.DEPTH_SHOWN)
    who = f"{one_line(moment.agent, 24)} " if moment.agent else ""
    head = looks.style(f"{moment.number:>4} {_clock(moment.at_s)} ", dim=True) + inward + who
    below = " " * 15 + inward
    if deed is not None and moment.what == "call":
        yield from _begun(deed, head, below, most=None if full else _LINES)
    elif deed is not None:
        yield from _ended(deed, head, below, most=None if full else _LINES)
    elif moment.what == "note":
        said = f": {one_line(moment.text, 120)}" if moment.text else ""
        yield head + looks.style(f"{one_line(moment.kind, 40)}{said}", dim=True)
    else:
        yield head + looks.style(moment.what, bold=True, fg="cyan" if moment.what == "prompt" else None)
        for line in looks.block(moment.thinking, indent=below, lines=None if full else _LINES):
            yield looks.style(line, dim=True)
        yield from looks.block(moment.text, indent=below, lines=None if full else _WORDS_LINES)


def _begun(deed: Deed, head: str, below: str, *, most: int | None) -> Iterator[str]:
    yield head + looks.style(_name(deed), bold=True) + f" {one_line(gist(deed.call), 110)}"
    if most is None:
        for given in deed.given:
            yield f"{below}{one_line(given.name, 60)}:"
            yield from looks.block(given.text, indent=below + "  ", lines=None)
    for diff in deed.diffs:
        yield from looks.diff_lines(diff, indent=below, most=most)


def _ended(deed: Deed, head: str, below: str, *, most: int | None) -> Iterator[str]:
    yield f"{head}{_name(deed)}: {looks.verdict(deed.call)}"
    answer = deed.call.error if is_bad(deed.call) else None
    if most is None or not deed.diffs:
        answer = answer or deed.answer
    for line in looks.block(answer or "", indent=below, lines=most):
        yield looks.style(line, dim=True)


def _name(deed: Deed) -> str:
    return f"#{deed.number} {one_line(deed.call.tool_name, 32)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:>4}:{rest:02}"


@contextmanager
def _keys() -> Iterator[Key]:
    """Give a function that waits for a key, at most so many seconds; without a terminal it only waits."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield _sleep
        return
    import select  # noqa: PLC0415 - only a terminal has keys
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

    fd = sys.stdin.fileno()

    def key(seconds: float) -> str:
        ready, _, _ = select.select([fd], [], [], seconds)
        if not ready:
            return ""
        return os.read(fd, 1).decode("ascii", "replace") or "q"  # nothing at all: the terminal is gone

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)  # Ctrl-C stays Ctrl-C
        yield key
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> str:
    time.sleep(seconds)
    return ""

"""The views: whether they can be read, belong to this ledger, and follow it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import NamedTuple

from karl.counted import many
from karl.doctor.check import Check, Machine, span
from karl.errors import KarlError, NotFound
from karl.ledger.reader import Head, Position, head
from karl.views.queries import Counts, SessionRow, Views
from karl.views.rebuild import rebuild

LINK = "views"

#: Seconds to wait for views that are behind to come nearer.
MOVE_S = 2.0
_WORKER = "`karl up`, or `karl worker views`"
#: What reading rows of a damaged file may raise.
_DAMAGED = (sqlite3.DatabaseError, LookupError, ValueError, TypeError)


def check(machine: Machine) -> Iterator[Check]:
    """Look at the views beside the ledger."""
    settings = machine.settings
    try:
        last = head(settings.ledger)
    except KarlError:
        last = None  # said by the ledger's own check
    if settings.views.exists() and not settings.views.is_file():
        yield Check(LINK, "file", "fail", f"{settings.views} is no file", "move it away; `karl rebuild`")
        return
    try:
        position, counts, newest = _read(machine)
    except NotFound:
        if last is None or not last.seq:
            yield Check(LINK, "file", "ok", "none yet, and nothing to show")
        else:
            seen = f"there is no {settings.views}"
            yield Check(
                LINK, "file", "fail", seen, f"{_WORKER}; or `karl rebuild`", mend=lambda: _rebuild(machine)
            )
        return
    except (KarlError, *_DAMAGED) as error:
        yield Check(
            LINK,
            "file",
            "fail",
            f"{settings.views}: {error}",
            "`karl rebuild`",
            mend=lambda: _rebuild(machine),
        )
        return
    probes = f", {many(counts.probes, 'record')} of probes left out" if counts.probes else ""
    text = f"{many(counts.sessions, 'session')}, {many(counts.trajectories, 'turn')}{probes}"
    for row in newest:
        age = max(0.0, machine.now_ns() / 1e9 - row.last_ms / 1000)
        text += f"; the newest, of {row.agent}, was active {span(age)} ago"
    yield Check(LINK, "file", "ok", text)
    if counts.unreadable:
        seen = f"{many(counts.unreadable, 'record')} could not be understood and are not shown"
        yield Check(
            LINK, "unreadable", "warn", seen, "the log of the views worker names them; is KARL up to date?"
        )
    if last is not None:
        yield _distance(machine, position, last)


class _Shown(NamedTuple):
    position: Position
    counts: Counts
    newest: list[SessionRow]


def _read(machine: Machine) -> _Shown:
    """Read the position, the counters, and one row of each kind: bounded, and enough to meet most damage."""
    with Views(machine.settings.views) as views:
        views.trajectories(limit=1)
        return _Shown(views.position(), views.counts(), views.sessions(limit=1))


def _distance(machine: Machine, position: Position, last: Head) -> Check:
    behind = last.seq - position.seq
    if behind < 0 or (behind == 0 and last.seq and position.head != last.hash):
        seen = f"they were made of another ledger: they are at line {position.seq:,}, it ends at {last.seq:,}"
        return Check(LINK, "position", "fail", seen, "`karl rebuild`", mend=lambda: _rebuild(machine))
    if behind == 0:
        return Check(LINK, "position", "ok", f"at the ledger's end, line {last.seq:,}")
    text = f"{many(behind, 'line')} behind the ledger's end"
    if _moves(machine, position):
        return Check(LINK, "position", "ok", f"{text}, and coming nearer")
    return Check(LINK, "position", "fail", f"{text}, and they do not move", _WORKER)


def _moves(machine: Machine, before: Position) -> bool:
    deadline = machine.clock() + MOVE_S
    while machine.clock() < deadline:
        try:
            if _read(machine).position != before:
                return True
        except (KarlError, *_DAMAGED):
            return True  # they are being made anew
        time.sleep(0.05)
    return False


def _rebuild(machine: Machine) -> str:
    settings = machine.settings
    report = rebuild(settings.views, settings.ledger, settings.reward_version)
    return f"made the views anew from {many(report.records, 'record')}"

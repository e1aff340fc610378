"""A command looked over: its plan, and what the reader asks of one whatever the turn did before it.

Invariants:
- Pure, and never raises. What was read of a command is kept by its text, and read by all turns: nobody
  changes it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from karl.acts.aci import EDITORS, OPEN_FILE, OPENING, WINDOWED, aci_parts, opened
from karl.acts.plan import plan_of
from karl.acts.steps import AS_CALL, HIDDEN, Plan, Step

#: Characters of a command that is kept, with what was read of it.
_CACHED_MAX = 2048
#: Searches that tell names of files, and show nothing of them.
NAMES_ONLY = frozenset(
    {"find", "gfind", "fd", "fdfind", "Glob", "glob", "find_file", "file_search", "FindFiles"}
)
#: Programs that show a window on the open file.
_WINDOWED = WINDOWED | OPENING


class Looked(NamedTuple):
    """A plan with its checks.

    `edits` says that an editor edits, `is_windowed` that a window may be shown, `shows` that a search shows
    lines.
    """

    plan: Plan
    checks: list[Step]
    edits: bool
    is_windowed: bool
    shows: bool


def looked_at(command: str) -> Looked:
    """Read a command, whoever's shell it was for; of a short one that was read before, give the same."""
    return _cached(command) if len(command) <= _CACHED_MAX else _fresh(command)


def look_over(plan: Plan) -> Looked:
    """Look a plan's steps over."""
    is_shell = plan.is_shell
    checks: list[Step] = []
    edits = is_windowed = shows = False
    for step in plan.steps:
        does, program = step.does, step.program
        if step.check and is_shell:
            checks.append(step)
        elif does == "edit":
            edits = edits or not is_shell or program in EDITORS
        elif does == "search":
            shows = shows or program not in NAMES_ONLY
        is_windowed = is_windowed or program in _WINDOWED or step.path == OPEN_FILE
    return Looked(plan, checks, edits, is_windowed, shows)


def _fresh(command: str) -> Looked:
    if parts := aci_parts(command):
        return look_over(_around(*parts))
    if path := opened(command):
        return look_over(Plan((Step("read", path, AS_CALL, program="open"),), is_shell=False))
    return look_over(plan_of(command))


_cached = lru_cache(maxsize=1024)(_fresh)


def _around(before: str, edit: Step, after: str) -> Plan:
    """Give the plan of an edit and of the commands around it, whose ends nobody tells."""
    if not before.strip() and not after.strip():
        return Plan((edit,), is_shell=False)
    first, last = plan_of(before), plan_of(after)
    ahead, behind = (
        [msgspec.structs.replace(step, end=HIDDEN) for step in each.steps] for each in (first, last)
    )
    return Plan(
        (*ahead, edit, *behind),
        f"{first.said}\n{last.said}",
        folders=(*first.folders, *last.folders),
        cwd=last.cwd or first.cwd,
    )

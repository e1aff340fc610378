"""Which of a call's checks its output speaks of, and what it says of each. Pure."""

from __future__ import annotations

import re

from karl.acts.faults import Result
from karl.acts.results import read_result
from karl.acts.steps import Plan, Step
from karl.acts.table import SILENT
from karl.schema.act import Check

#: How tools put it that a command printed nothing.
_SAYS_NOTHING = frozenset(
    {"(Bash completed with no output)", "(no output)", "Tool ran without output or errors"}
)
#: What a text stands in, in a script that prints it.
_QUOTES = re.compile(r"[\"'`(){}]+|\\n")


def results_of(plan: Plan, checks: list[Step], text: str, shown: str) -> dict[int, Result]:
    """Say what an output tells of a call's checks, by the step's identity.

    `shown` is what the command prints itself, or shows of files that the turn wrote: a result that stands in
    it is nobody's. Nor is a good one of a check behind which a script ran, for scripts print what they like.
    """
    if not text.strip() or text in _SAYS_NOTHING:
        silent = [step for step in checks if step.piped and not step.muted and step.program in SILENT]
        return {id(step): Result(ok=True) for step in silent if len(plan.steps) == 1}
    found: dict[int, Result] = {}
    for number, head in plan.marks:
        step = plan.steps[number] if number < len(plan.steps) else None
        if step is not None and step.check and (code := _marked(text, head)) is not None:
            found[id(step)] = Result(code == 0)
    for kind in dict.fromkeys(step.check for step in checks if step.check):
        told = read_result(kind, text)
        of_kind = [step for step in checks if step.check == kind]
        step = of_kind[-1]
        if told is None or _is_hidden(step, plan) or not _is_its_own(told, kind, plan, step, shown):
            continue
        if len(of_kind) > 1 and (told.ok or not told.ran):
            continue  # which of them it was, nobody can tell
        marked = found.get(id(step))
        ok = told.ok if marked is None or marked.ok else False
        found[id(step)] = told if not told.ran else Result(ok, told.passed, told.failed)
    return found


def _is_hidden(check: Step, plan: Plan) -> bool:
    """Say whether a check's output went nowhere, or to a file that nothing in the call shows."""
    if check.muted or check.into is None:
        return check.muted
    return not any(step.does in ("read", "search") and step.path == check.into for step in plan.steps)


def _is_its_own(told: Result, kind: Check, plan: Plan, check: Step, shown: str) -> bool:
    """Say whether a result is the check's, and not printed by something else in the call."""
    if not told.ran or told.ok is False:
        return True
    place = next(place for place, step in enumerate(plan.steps) if step is check)
    behind = plan.steps[place + 1 :]
    if any(step.does == "run" for step in behind):
        return False
    return not shown or read_result(kind, _QUOTES.sub("\n", shown)) != told


def _marked(text: str, head: str) -> int | None:
    """Give the status that is printed behind a text, the last one."""
    head = head.rstrip("\"'")
    at = len(text)
    while at > 0:
        if head:
            at = text.rfind(head, 0, at)
            if at < 0:
                return None
            rest = text[at + len(head) : at + len(head) + 8]
        else:
            rest = text.rstrip().rsplit("\n", 1)[-1][:8]
            at = 0
        digits = rest.lstrip()
        size = 0
        while size < len(digits) and digits[size].isdigit():
            size += 1
        if 0 < size <= 3:
            return int(digits[:size])
    return None

"""Which of a call's checks its output speaks of, and what it says of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from karl.acts.faults import NEVER, Result
from karl.acts.results import read_result
from karl.acts.steps import HIDDEN, Plan, Step
from karl.acts.table import SILENT
from karl.schema.act import Check

#: How tools put it that a command printed nothing.
_SAYS_NOTHING = frozenset(
    {"(Bash completed with no output)", "(no output)", "Tool ran without output or errors"}
)
#: Characters at an output's end, and of a line, in which a result is looked for among what was written.
_END_MAX, _LINE_MIN = 2_000, 12
#: What a text stands in, in a script that prints it.
_QUOTES = re.compile(r"[\"'`(){}]+|\\n")


class Beside(msgspec.Struct, frozen=True):
    """What may have put words into an output that look like a check's.

    `shown` is what the command prints itself, or shows of files that the turn wrote; `written` are the texts
    of such files, for what runs may print them. `is_told` says that the output is known at all.
    """

    shown: str = ""
    written: Collection[str] = ()
    is_told: bool = True


def results_of(plan: Plan, checks: list[Step], text: str, beside: Beside) -> dict[int, Result]:
    """Say what an output tells of a call's checks, by the step's identity.

    A result that stands in what the turn wrote is nobody's. Nor is a good one of a check behind which a
    script ran, for scripts print what they like.
    """
    if not text.strip() or text in _SAYS_NOTHING:
        return _silent(plan, checks) if beside.is_told else {}
    found: dict[int, Result] = {}
    for number, head in plan.marks:
        step = plan.steps[number] if number < len(plan.steps) else None
        if step is not None and step.check and (code := _marked(text, head)) is not None:
            found[id(step)] = Result(code == 0)
    for kind in dict.fromkeys([step.check for step in checks if step.check]):
        told = read_result(kind, text)
        if told is None:
            continue
        of_kind = [step for step in checks if step.check == kind]
        step = of_kind[-1]
        if (
            (step.sifted and not told.ran)
            or _is_hidden(step, plan)
            or not _is_its_own(told, kind, plan, step, beside)
        ):
            continue
        if beside.written and told.passed and told.ok and _is_forged(told, text, beside.written):
            found[id(step)] = NEVER
            continue
        if len(of_kind) > 1 and (told.ok or not told.ran) and not all(each.again for each in of_kind):
            continue  # which of them it was, nobody can tell
        marked = found.get(id(step))
        ok = told.ok if marked is None or marked.ok else False
        found[id(step)] = told if not told.ran else Result(ok, told.passed, told.failed)
    return found


def _silent(plan: Plan, checks: list[Step]) -> dict[int, Result]:
    """Say what silence tells: some checks went well; of tests whose end is hidden, none ran."""
    found: dict[int, Result] = {}
    for step in checks:
        if step.muted or step.sifted or step.into is not None:
            continue
        if step.piped and step.program in SILENT and len(plan.steps) == 1:
            found[id(step)] = Result(ok=True)
        elif step.check == "test" and step.end == HIDDEN:
            found[id(step)] = NEVER
    return found


def _is_hidden(check: Step, plan: Plan) -> bool:
    """Say whether a check's output went nowhere, or to a file that nothing in the call shows."""
    if check.muted or check.into is None:
        return check.muted
    return not any(step.does in ("read", "search") and step.path == check.into for step in plan.steps)


def _is_its_own(told: Result, kind: Check, plan: Plan, check: Step, beside: Beside) -> bool:
    """Say whether a result is the check's, and not printed by something else in the call."""
    if not told.ran or told.ok is False:
        return True
    place = next(place for place, step in enumerate(plan.steps) if step is check)
    behind = plan.steps[place + 1 :]
    if any(step.does == "run" for step in behind):
        return False
    shown = beside.shown
    return not shown or read_result(kind, _QUOTES.sub("\n", shown)) != told


def _is_forged(told: Result, text: str, written: Collection[str]) -> bool:
    """Say whether the line with a result's count stands word for word in a text that the turn wrote."""
    number = str(told.passed)
    lines = [line.strip("= \t") for line in text[-_END_MAX:].splitlines() if number in line]
    said = [line for line in lines if len(line) >= _LINE_MIN]
    return any(line in each for each in written for line in said)


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

"""How a call ended, and what that says of the things that it did. Pure."""

from __future__ import annotations

import re

import msgspec

from karl.acts.faults import Result
from karl.acts.outputs import exit_said, found_nothing, is_refused, output_text
from karl.acts.steps import AS_CALL, IF_OK, Plan, Step
from karl.acts.table import LISTS_FAULTS
from karl.acts.unchanged import same
from karl.schema.act import Act

#: What a program ends with whose reader, a `head`, has seen enough.
_PIPE_CLOSED = 141
#: Characters of an output's ends that are looked at.
_END_MAX = 1_000
#: What stands at the end of the output of a script that broke off.
_CRASHED = re.compile(
    r"^(?:Traceback \(most recent call last\):|Exception in thread |EXECUTION TIMED OUT"
    r"|.{1,80}: command not found$)",
    re.MULTILINE,
)
_UNREADABLE = re.compile(r"^[^\n]{0,60}sh: (?:-c: )?(?:line [01]|1): [Ss]yntax error", re.MULTILINE)


def shell_end(exit_code: int | None, success: bool | None, text: str, plan: Plan) -> bool | None:
    """Say how a shell's call ended: by its exit code, by what its hook said, by what its output tells."""
    if exit_code == _PIPE_CLOSED:
        return None
    if exit_code is not None:
        return exit_code == 0
    if success is not None:
        return success
    code = exit_said(text)
    if code is not None:
        return code == 0
    ran_last = bool(plan.steps) and plan.steps[-1].does == "run"
    return False if ran_last and _CRASHED.search(text[-_END_MAX:]) else None


def never_ran(text: str) -> bool:
    """Say whether an output tells that nothing of a command ran: refused, or no shell could read it."""
    if is_refused(text):
        return True
    return "yntax error" in text[:_END_MAX] and _UNREADABLE.search(text[:_END_MAX]) is not None


def says_faults(step: Step, found: Result) -> bool:
    """Say whether a check's words count against a good end: some runners swallow their failures."""
    return (step.check == "test" and bool(found.failed)) or step.program in LISTS_FAULTS


def search_end(step: Step, exit_code: int | None, output: object, ok: bool | None) -> bool | None:
    """Say how a search ended: in a shell, to find nothing is no fault; alone, it saw nothing of the file."""
    if ok is False and exit_code == 1:
        return None
    return False if ok and step.end == AS_CALL and found_nothing(output) else ok


def was_missing(step: Step, output: object) -> bool:
    """Say whether an editor tells that the file was not there."""
    text = output_text(output)
    return "No such file" in text and f" {step.path}: No such file" in text


def is_as_it_was(step: Step, output: object) -> bool:
    """Say whether a tool that wrote a file whole says that it is what it was."""
    if step.body is None or not isinstance(output, dict) or output.get("type") != "update":
        return False
    before = output.get("originalFile")
    return same(before, step.body) if isinstance(before, str) else output.get("structuredPatch") == []


def settle(told: list[tuple[Step, list[Act]]]) -> list[Act]:
    """Give the acts of a call that did not go well, with what its checks say of the rest of their chain.

    In `a && check && b`, a check that ran says that `a` went well, and one that failed that `b` never was.
    """
    chain = [place for place, (step, _) in enumerate(told) if step.end == IF_OK]
    ran = [place for place in chain if told[place][0].check and told[place][1][-1].ok is not None]
    if ran:
        failed = next((place for place in ran if told[place][1][-1].ok is False), None)
        for place in chain:
            if place in ran:
                continue
            ok = True if place < ran[-1] else False if failed is not None else None
            if ok is not None:
                told[place] = (told[place][0], [_ended(act, ok=ok) for act in told[place][1]])
    return [act for _, acts in told for act in acts]


def _ended(act: Act, *, ok: bool) -> Act:
    return msgspec.structs.replace(act, ok=ok) if act.ok is None else act

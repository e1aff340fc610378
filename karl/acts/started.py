"""Commands that a call only started: their names, and the calls that tell later how they ended.

Invariants:
- What is remembered is bounded, whatever the turn starts.
"""

from __future__ import annotations

import re

from karl.acts.outputs import output_text
from karl.acts.steps import Plan

_MAX = 32
_STARTED = re.compile(
    r"Background job started|Command still running \(session ([\w.-]{1,80})"
    r"|running in background with ID:? ([\w.-]{1,80})|Process running with session ID (\d{1,12})"
)
_NAMES = (
    "sessionId", "session_id", "bash_id", "shell_id", "task_id", "taskId", "jobId", "job_id", "processId"
)  # fmt: skip
_ENDED = re.compile(
    r"(?:Command|Process) exited with (?:exit )?code:? (\d{1,3})\b|<exit_code>(\d{1,3})</exit_code>"
    r"|\"exitCode\": ?(\d{1,3})\b"
)
_CODES = ("exitCode", "exit_code")
_LOOKED_AT = 4_000


class Started:
    """The checks of a turn that go on behind it."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}

    def is_told(self, plan: Plan, output: object, text: str) -> bool:
        """Say whether an output tells only that the command was started; its checks are remembered."""
        name = output.get("backgroundTaskId") if isinstance(output, dict) else None
        if not isinstance(name, str):
            if "running " not in text and "job started" not in text:
                return False
            found = _STARTED.search(text[:_LOOKED_AT])
            if found is None:
                return False
            name = next((name for name in found.groups() if name), None)
        if name and any(step.check for step in plan.steps):
            if len(self._plans) >= _MAX:
                del self._plans[next(iter(self._plans))]
            self._plans[name] = plan
        return True

    def ended(self, params: object, output: object) -> tuple[Plan, int] | None:
        """Give what a call asks after, with its exit code, where its output says that it has ended."""
        if not self._plans or not isinstance(params, dict):
            return None
        name = next((str(params[key]) for key in _NAMES if isinstance(params.get(key), (str, int))), "")
        code = _code(output) if name in self._plans else None
        return None if code is None else (self._plans.pop(name), code)


def _code(output: object) -> int | None:
    """Give the exit code in an answer: its own field, one of the task's that it tells of, or in its text."""
    task = output.get("task") if isinstance(output, dict) else None
    for each in (output, task):
        if isinstance(each, dict):
            code = next((each[key] for key in _CODES if isinstance(each.get(key), int)), None)
            if code is not None:
                return int(code)
    found = _ENDED.search(output_text(output)[-_LOOKED_AT:])
    return next(int(group) for group in found.groups() if group) if found else None

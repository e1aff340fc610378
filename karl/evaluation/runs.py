"""Runs: agents' work whose outcome somebody judged, read as trajectories that know nothing of it.

Invariants:
- A run's label, and what may carry it (exit status, cost, submission, verdict, names of files and
  folders, the place of a row), stays beside the trajectory and never enters it.
- Runs stand in an order of their own content, whatever the order of files and rows was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

from karl.acts.reader import Given, Reader
from karl.schema.trajectory import CallStatus, Timing, ToolCall, Trajectory
from karl.session.moments import iso
from karl.session.turn import summed_up
from karl.session.vocabulary import canonical, clean_text, key_params, truth, whole

#: Calls that are a run's own end, as a tool or alone as a command: that there is one, and which
#: (`submit`, `exit_cost`), tells how the run ended.
_ENDS = re.compile(r"submit(_\w+)?|finish|exit_\w+|attempt_completion|final_answer|complete_task")
#: Texts by which a shell command is one.
_MARKS = ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "MINI_SWE_AGENT_FINAL_OUTPUT")
#: Seconds of Unix time between which a number is believed to be a moment.
_MOMENTS_S = (10**8, 10**11)
_STATUS: dict[bool | None, CallStatus] = {True: "completed", False: "failed", None: "unknown"}


class Step(NamedTuple):
    """One call of a run as it was told, null where untold; `ts` is Unix time in seconds."""

    tool: str
    params: object
    output: object = None
    success: bool | None = None
    exit_code: int | None = None
    ts: float | None = None
    duration_s: float | None = None
    error: str | None = None


class Run(NamedTuple):
    """A run of `agent` at the task `instance`; `label` says whether it got the task done."""

    set: str
    id: str
    instance: str
    agent: str
    label: bool
    trajectory: Trajectory


class Problem(NamedTuple):
    """What could not be read: the file, the line (from 1; 0 for the file as a whole), and why.

    `passed_over` is what was not meant to be read: no fault of the data.
    """

    file: str
    line: int
    reason: str
    passed_over: bool = False


class Collection(NamedTuple):
    """What was read: runs in an order of their own, what was passed over, and rows that were there twice."""

    runs: list[Run]
    problems: list[Problem]
    twice: int


def collect(found: Iterable[Run | Problem]) -> Collection:
    """Bring runs into the order of their hash; an equal run counts once."""
    runs: dict[bytes, Run] = {}
    problems: list[Problem] = []
    twice = 0
    for one in found:
        if isinstance(one, Problem):
            problems.append(one)
            continue
        name = _hash(one.set, one.agent, one.instance, one.id, one.trajectory.id)
        twice += name in runs
        runs.setdefault(name, one)
    return Collection([runs[name] for name in sorted(runs)], problems, twice)


def trajectory(steps: Iterable[Step], duration_s: object = None) -> Trajectory:
    """Give a run's steps as a trajectory, its acts read; the step by which a run ends itself is left out."""
    kept = [step for step in steps if not _ends(step)]
    reader = Reader()
    calls = [_call(step, reader) for step in kept]
    name = _hash(*(f"{call.tool_name}\0{call.ts}\0{call.key_params}" for call in calls)).hex()
    timing = Timing(duration_s=seconds(duration_s) or _span(kept))
    return Trajectory(id=name, session_id=name, trajectory=summed_up(calls), timing=timing)


def step(told: dict[Any, Any]) -> Step:
    """Read a step of the neutral form; what is missing or of another type is unknown."""
    code = whole(told.get("exit_code"))
    success = truth(told.get("success"))
    tool, error = told.get("tool"), told.get("error")
    return Step(
        tool=tool if isinstance(tool, str) else "",
        params=told.get("params"),
        output=told.get("output_preview"),
        success=success if success is not None or code is None else code == 0,
        exit_code=code,
        ts=seconds(told.get("ts")),
        duration_s=seconds(told.get("duration")),
        error=clean_text(error) if isinstance(error, str) and error else None,
    )


def seconds(value: object) -> float | None:
    """Read a number that may be a text; null when it is none, or below 0."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < _MOMENTS_S[1] else None


def _ends(step: Step) -> bool:
    if _ENDS.fullmatch(step.tool.lower().rpartition("__")[2]):
        return True
    command = step.params.get("command") if isinstance(step.params, dict) else step.params
    return isinstance(command, str) and (
        _ENDS.fullmatch(command.strip().lower()) is not None or any(mark in command for mark in _MARKS)
    )


def _call(step: Step, reader: Reader) -> ToolCall:
    name, original = canonical(step.tool, step.params)
    given = Given(name, step.params, step.output, step.success, step.exit_code, None, original)
    return ToolCall(
        tool_name=name,
        original_name=original,
        key_params=key_params(step.params),
        success=step.success,
        exit_code=step.exit_code,
        duration_ms=None if step.duration_s is None else round(step.duration_s * 1000),
        ts=_moment(step.ts),
        status=_STATUS[step.success],
        error=step.error,
        acts=reader.acts(given),
    )


def _moment(ts: float | None) -> str:
    if ts is None or not _MOMENTS_S[0] <= ts < _MOMENTS_S[1]:
        return ""
    return iso(round(ts * 1000)) or ""


def _span(steps: list[Step]) -> float | None:
    times = [step.ts for step in steps if step.ts is not None]
    return max(times) - min(times) if len(times) > 1 else None


def _hash(*parts: str) -> bytes:
    digest = blake2b(digest_size=12)
    for part in parts:
        data = part.encode("utf-8", "backslashreplace")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()

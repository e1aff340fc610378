"""Labelled runs as agents and benchmarks leave them: mini-SWE-agent, Vorflux, tau-bench.

aider's markdown logs are not here: they tell neither calls nor results, so there is nothing to score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from karl.errors import Unreadable
from karl.evaluation.runs import Problem, Run, Step, seconds, trajectory
from karl.session.vocabulary import truth, whole

#: mini-SWE-agent: an action, its result, and the notice of one that was stopped.
_ACTION = re.compile(r"```bash\n(.*?)\n```", re.DOTALL)
_RESULT = re.compile(r"<returncode>(-?\d{1,9})</returncode>")
_STOPPED = "The last command <command>"
#: What Vorflux calls tools that others know by another name.
_VORFLUX = {"bash_execute": "Bash", "vflux_exec": "Bash", "read_text_file": "Read", "search_files": "Glob"}


def parsed(data: bytes) -> Any:
    """Read one JSON document, also as careless writers leave it (NaN). Raises Unreadable."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return json.loads(data)
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        except ValueError as error:
            raise Unreadable(f"no JSON: {error}") from None


def of_labels(labels: Path) -> Iterator[Run | Problem]:
    """Read the runs that a labels.jsonl names, each from its file beside it."""
    for number, line in enumerate(labels.read_bytes().splitlines(), 1):
        try:
            yield _named_in(line, labels.parent)
        except (Unreadable, OSError) as error:
            yield Problem(str(labels), number, str(error))


def _named_in(line: bytes, folder: Path) -> Run:
    row = parsed(line)
    label = truth(row.get("resolved")) if isinstance(row, dict) else None
    if label is None or not isinstance(row.get("file"), str):
        raise Unreadable("no `file` with a `resolved` of true or false")
    file = folder / row["file"]
    if not file.resolve().is_relative_to(folder.resolve()):
        raise Unreadable("names a file outside its folder")
    return _of_document(parsed(file.read_bytes()), label)


def _of_document(document: Any, label: bool) -> Run:
    if isinstance(document, dict) and isinstance(document.get("messages"), list):
        return _mini_swe_agent(document, label)
    if isinstance(document, dict) and isinstance(document.get("trajectory"), list):
        return _vorflux(document, label)
    raise Unreadable("a run of no known agent")


def _mini_swe_agent(document: dict[str, Any], label: bool) -> Run:
    """Read actions and results from the messages; of `info` (status, submission, cost) the model alone."""
    messages = [message for message in document["messages"] if isinstance(message, dict)]
    steps = []
    for said, answer in pairwise(messages):
        if said.get("role") == "assistant" and answer.get("role") == "user":
            step = _action(said, str(answer.get("content")))
            steps += [step] if step else []
    model = str(_at(document, "info", "config", "model", "model_name")).rpartition("/")[2]
    instance = str(document.get("instance_id"))
    return Run("mini-swe-agent", instance, instance, f"mini-swe-agent/{model}", label, trajectory(steps))


def _action(said: dict[str, Any], answer: str) -> Step | None:
    """Give a message's action; null for one that was refused, and for the last, answered by its patch."""
    commands = _ACTION.findall(str(said.get("content")))
    ended = _RESULT.match(answer)
    if len(commands) != 1 or not (ended or answer.startswith(_STOPPED)):
        return None
    code = int(ended[1]) if ended else None
    created = seconds(_at(said, "extra", "response", "created"))
    return Step("Bash", {"command": commands[0]}, answer, code == 0, code, created)


def _vorflux(document: dict[str, Any], label: bool) -> Run:
    """Read the tool calls; what judges said of them (`judge_call`) is passed over."""
    entries = [entry for entry in document["trajectory"] if isinstance(entry, dict)]
    steps = [_vorflux_step(entry) for entry in entries if entry.get("type") == "tool_call"]
    instance = str(document.get("instance_id"))
    return Run("vorflux", str(document.get("session_id")), instance, "vorflux", label, trajectory(steps))


def _vorflux_step(entry: dict[str, Any]) -> Step:
    tool, result = str(entry.get("tool")), entry.get("result")
    code = whole(result.get("exitCode")) if isinstance(result, dict) else None
    if isinstance(result, str) and result.startswith("Error"):
        success: bool | None = False
    else:
        success = code == 0 if code is not None else True
    return Step(
        _VORFLUX.get(tool, tool),
        entry.get("arguments"),
        result,
        success,
        code,
        _stamp(entry.get("timestamp")),
    )


def _stamp(value: object) -> float | None:
    """Read `2026-01-31 12:00:00.123456789`, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value[:26]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def tau_bench(row: Any) -> Run:
    """Read a run of tau-bench; `info`, which holds what should have been done, is not looked at.

    Raises Unreadable. Its reward is 1 for a task that was done.
    """
    reward = row.get("reward") if isinstance(row, dict) else None
    if not isinstance(reward, (int, float)) or not isinstance(row.get("traj"), list):
        raise Unreadable("no `reward` with a `traj`")
    messages = [message for message in row["traj"] if isinstance(message, dict)]
    answers = {
        str(message.get("tool_call_id")): message.get("content")
        for message in messages
        if message.get("role") == "tool"
    }
    made = [calls for message in messages if isinstance(calls := message.get("tool_calls"), list)]
    steps = []
    for call in (one for calls in made for one in calls):
        said = answers.get(str(_at(call, "id")))
        failed = isinstance(said, str) and said.lstrip().startswith("Error")
        success = None if said is None else not failed
        steps.append(
            Step(str(_at(call, "function", "name")), _at(call, "function", "arguments"), said, success)
        )
    task = str(row.get("task_id"))
    return Run("tau-bench", f"{task}/{row.get('trial')}", task, "tau-bench", reward >= 1, trajectory(steps))


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value

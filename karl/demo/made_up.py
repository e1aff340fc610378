"""Sessions that nobody had, written as an agent's transcripts: for a machine that has none of its own.

A careful session looks before it changes and runs the tests until they pass; a careless one does neither.
The same seed makes the same files. What is learned from them says nothing about real work.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

_PROJECTS = ("orders", "catalog", "mailer", "ledgerbook", "gateway", "planner")
_PARTS = (
    "parser", "invoice", "retry", "cache", "currency", "session", "upload", "search", "export", "login",
    "timeout", "pagination", "rounding", "encoding", "queue", "report", "webhook", "migration",
)  # fmt: skip
_SYMPTOMS = (
    "drops the last entry of a long list",
    "raises KeyError when a field is missing",
    "accepts a negative amount",
    "is slow with ten thousand rows",
    "shows the wrong month at the end of a year",
    "forgets what was typed after a refresh",
    "counts a customer twice",
    "breaks on names with an umlaut",
    "leaves a file open after an error",
    "ignores the configured limit",
    "writes the header a second time",
    "never retries after a refused connection",
)
_ASKS = (
    "The {part} of {project} {symptom}. Find out why and repair it.",
    "Please fix this: {part} in {project} {symptom}, and a customer has noticed.",
    "{project}: {part} {symptom}. It should not; change that and keep the tests green.",
    "Can you look into why the {part} {symptom}? It is somewhere in {project}.",
)
_START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class _Step(NamedTuple):
    tool: str
    given: dict[str, Any]
    answer: str
    failed: bool = False


def write(folder: Path, sessions: int, seed: int = 0) -> int:
    """Write so many sessions, one file each; gives how many calls are in them. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    calls = 0
    for number in range(sessions):
        name = f"{chance.getrandbits(128):032x}"
        session = f"{name[:8]}-{name[8:12]}-4{name[13:16]}-8{name[17:20]}-{name[20:]}"
        start = _START + timedelta(hours=5 * number, minutes=chance.randrange(200))
        lines = list(_session(session, start, chance))
        calls += sum("tool_use" in line for line in lines)
        (folder / f"{session}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return calls


def _session(session: str, start: datetime, chance: random.Random) -> Iterator[str]:
    project, at, parent = chance.choice(_PROJECTS), start, None
    about = {"sessionId": session, "cwd": f"/home/dev/{project}", "version": "2.1.0", "gitBranch": "main"}

    def line(kind: str, message: dict[str, Any], **more: Any) -> str:
        nonlocal at, parent
        at += timedelta(seconds=chance.randrange(2, 40))
        this = f"{session[:18]}-{chance.getrandbits(64):016x}"
        told = {
            "parentUuid": parent, "uuid": this, "type": kind, "isSidechain": False, "userType": "external",
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), **about, "message": message, **more,
        }  # fmt: skip
        parent = this
        return json.dumps(told)

    for turn in range(chance.choice((1, 1, 2, 3))):
        part = chance.choice(_PARTS)
        told = {"part": part, "project": project, "symptom": chance.choice(_SYMPTOMS)}
        yield line("user", {"role": "user", "content": chance.choice(_ASKS).format(**told)})
        for number, step in enumerate(_steps(project, part, chance)):
            call = f"toolu_{session[:8]}{turn}{number:02d}"
            used = {"type": "tool_use", "id": call, "name": step.tool, "input": step.given}
            yield line("assistant", _said(session, turn, number, [used], "tool_use"))
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call, "content": step.answer}
            if step.failed:
                result["is_error"] = True
            yield line("user", {"role": "user", "content": [result]})
        done = [{"type": "text", "text": f"The {part} is repaired."}]
        yield line("assistant", _said(session, turn, 99, done, "end_turn"))


def _said(session: str, turn: int, number: int, content: list[dict[str, Any]], ended: str) -> dict[str, Any]:
    return {
        "role": "assistant", "type": "message", "id": f"msg_{session[:8]}{turn}{number:02d}",
        "model": "made-up-1", "content": content, "stop_reason": ended,
        "usage": {"input_tokens": 400 + 60 * number, "output_tokens": 40},
    }  # fmt: skip


def _steps(project: str, part: str, chance: random.Random) -> Iterator[_Step]:
    """Give what is done in one turn: by a careful agent, or by a careless one."""
    file = f"/home/dev/{project}/src/{part}.py"
    if chance.random() < 0.45:
        yield from _careless(file, chance)
        return
    yield _Step("Grep", {"pattern": part}, f"src/{part}.py\ntests/test_{part}.py")
    yield _Step("Read", {"file_path": file}, f"def {part}(value):\n    return value")
    if chance.random() < 0.5:
        yield _Step(
            "Read", {"file_path": f"/home/dev/{project}/tests/test_{part}.py"}, f"def test_{part}(): ..."
        )
    for last in range(chance.choice((1, 1, 2))):
        yield _Step("Edit", {"file_path": file, "old_string": "value", "new_string": f"value_{last}"}, "ok")
        passed = chance.random() < 0.7
        said = "4 passed in 0.31s" if passed else f"FAILED tests/test_{part}.py\n1 failed, 3 passed in 0.40s"
        run = {"command": f"pytest -q tests/test_{part}.py"}
        yield _Step("Bash", run, said if passed else f"Exit code 1\n{said}", failed=not passed)
        if passed:
            return
    yield _Step("Edit", {"file_path": file, "old_string": "value_0", "new_string": "value_9"}, "ok")
    yield _Step("Bash", {"command": "pytest -q"}, "31 passed in 2.02s")


def _careless(file: str, chance: random.Random) -> Iterator[_Step]:
    for _ in range(chance.choice((1, 2, 3))):
        unread = "<tool_use_error>File has not been read yet.</tool_use_error>"
        yield _Step("Edit", {"file_path": file, "old_string": "x", "new_string": "y"}, unread, failed=True)
        yield _Step("Bash", {"command": f"cat {file}"}, "cat: no such file\nExit code 1", failed=True)
    yield _Step("Write", {"file_path": file, "content": "pass\n"}, "File written")
    if chance.random() < 0.5:
        yield _Step("Bash", {"command": "git commit -am wip"}, "1 file changed")

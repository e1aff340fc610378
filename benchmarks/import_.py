"""Reading transcripts: bytes a second from Claude Code's files to encoded events, without Redis.

Run with `python -m benchmarks.import_ [FOLDER]`; without a folder, on transcripts made up here. The floor
decodes every line as JSON and does nothing with it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from karl.errors import Unreadable
from karl.schema.event import TRANSCRIPT, encode_event, event_id
from producers.envelope import EnvelopeMaker
from producers.transcripts.claude import Claude
from producers.transcripts.told import Told

TEXT = "def add(left, right):\n    return left + right  # both are numbers\n"


def line(session: str, number: int, kind: str, **fields: Any) -> dict[str, Any]:
    """One line of a session's file."""
    return {
        "parentUuid": f"{session}-{number - 1}",
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/dev/shop",
        "sessionId": session,
        "version": "2.1.200",
        "gitBranch": "main",
        "type": kind,
        "uuid": f"{session}-{number}",
        "timestamp": f"2026-05-01T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
        **fields,
    }


def session_lines(session: str, calls: int) -> list[dict[str, Any]]:
    """One session: prompts, calls of a few sizes, and the lines that hold no fact between them."""
    lines: list[dict[str, Any]] = []

    def say(kind: str, **fields: Any) -> None:
        lines.append(line(session, len(lines), kind, **fields))

    def respond(number: int, block: dict[str, Any], stop: str) -> None:
        tokens = {"input_tokens": 3, "output_tokens": number, "cache_read_input_tokens": 50_000}
        message = {"id": f"msg_{session}{number}", "model": "m", "role": "assistant", "content": [block]}
        say("assistant", message={**message, "stop_reason": stop, "usage": tokens}, requestId=f"req_{number}")

    for number in range(calls):
        if number % 20 == 0:
            say("file-history-snapshot", snapshot={"trackedFileBackups": {"a.py": {"version": 1}}})
            say("user", message={"role": "user", "content": f"Now do part {number}"})
        call = f"toolu_{session}{number}"
        command = {"command": f"cat src/part_{number}.py", "description": "Read a part"}
        respond(number, {"type": "tool_use", "id": call, "name": "Bash", "input": command}, "tool_use")
        for _ in range(2):
            say("progress", data={"type": "bash_progress", "output": TEXT * 4, "elapsedTimeSeconds": 2})
        output = TEXT * (120 if number % 8 == 0 else 15)
        block = {"type": "tool_result", "tool_use_id": call, "content": output}
        say(
            "user",
            message={"role": "user", "content": [block]},
            toolUseResult={"stdout": output, "stderr": "", "interrupted": False, "isImage": False},
        )
        if number % 20 == 19:
            respond(10_000 + number, {"type": "text", "text": "Done: " + TEXT * 6}, "end_turn")
    return lines


def make_up(folder: Path, sessions: int = 40, calls: int = 150) -> None:
    """Write files as Claude Code does."""
    for number in range(sessions):
        name = f"session-{number:04}"
        with (folder / f"{name}.jsonl").open("w") as file:
            file.writelines(json.dumps(one) + "\n" for one in session_lines(name, calls))


def floor(files: list[Path]) -> int:
    """Decode every line; gives how many."""
    decode = msgspec.json.Decoder().decode
    lines = 0
    for path in files:
        with path.open("rb") as file:
            for raw in file:
                lines += 1
                try:
                    decode(raw)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
    return lines


def read(files: list[Path]) -> int:
    """Read what the files tell; gives the number of facts."""
    fmt = Claude()
    return sum(isinstance(found, Told) for path in files for found in fmt.read(path))


def envelopes(files: list[Path]) -> int:
    """Read, redact, cut and encode; gives the number of events."""
    fmt, maker, events = Claude(), EnvelopeMaker(node="bench"), 0
    for path in files:
        for told in fmt.read(path):
            if isinstance(told, Told):
                name = event_id("told", str(told.payload.get("session_id")), told.key)
                try:
                    encode_event(maker.of(told.payload, name=name, agent=fmt.agent, source=TRANSCRIPT))
                except Unreadable:
                    continue
                events += 1
    return events


def measure(folder: Path, rounds: int = 3) -> dict[str, float]:
    """Give MB a second of each stage (median of the rounds), and the whole's share of the floor's speed."""
    files = Claude().find(folder)
    size = sum(path.stat().st_size for path in files)
    stages: dict[str, Callable[[list[Path]], int]] = {"floor": floor, "read": read, "envelopes": envelopes}
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds):
        for name, stage in stages.items():
            started = time.perf_counter()
            stage(files)
            seconds[name].append(time.perf_counter() - started)
    rates = {f"{name}_mb_per_s": size / 1e6 / statistics.median(times) for name, times in seconds.items()}
    ratio = statistics.median(a / b for a, b in zip(seconds["floor"], seconds["envelopes"], strict=True))
    return {"files": len(files), "mb": size / 1e6, **rates, "envelopes_to_floor": ratio}


def main() -> None:
    """Measure a folder, or transcripts made up for it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        if len(sys.argv) == 1:
            make_up(folder)
        for name, value in measure(folder).items():
            print(f"{name:22} {value:12,.2f}")


if __name__ == "__main__":
    main()

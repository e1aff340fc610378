"""Sound examples of everything that is fuzzed, made here: what a mutation starts from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.hostile import PAYLOADS
from tests.producers.claude_log import Log as ClaudeLog
from tests.producers.gateway_log import Log as GatewayLog
from tests.replay.turns import told
from tests.transcripts.codex_log import Log as CodexLog
from tests.transcripts.test_atif import WHOLE
from tests.transcripts.test_copilot import Log as CopilotLog
from tests.views import ledgers

_OLDER = Path(__file__).resolve().parent.parent / "golden" / "older"


@cache
def hook_lines() -> list[dict[str, Any]]:
    """The hook payloads of a session."""
    return [json.loads(bytes(held.event.payload)) for held in told().sent]


@cache
def claude_lines() -> list[dict[str, Any]]:
    log = ClaudeLog()
    log.turn()
    log.line("system", subtype="turn_duration")
    log.prompt("<command-name>/deploy</command-name>")
    log.calls("c2", "Task", message="msg_2", prompt="look", subagent_type="Explore")
    side = ClaudeLog(agent="a1")
    side.turn("c3", prompt="look")
    log.lines += side.lines
    log.result("c2", "no", {"agentId": "a1"}, error=True)
    log.line("summary", summary="s", leafUuid="u")
    log.line("attachment", attachment={"type": "queued_command", "prompt": "and then"})
    log.line("ai-title", aiTitle="A title")
    return log.lines


@cache
def codex_lines() -> list[dict[str, Any]]:
    log = CodexLog()
    log.meta()
    log.turn()
    log.turn(2)
    log.line("compacted", message="short")
    log.event("turn_aborted", reason="interrupted")
    return log.lines


@cache
def copilot_lines() -> list[dict[str, Any]]:
    log = CopilotLog()
    log.start()
    log.prompt()
    log.answers("", "c1", tokens=7)
    log.say("tool.execution_start", toolCallId="c1", toolName="bash", arguments={"command": "ls"})
    log.ends("c1")
    log.answers("Done.", tokens=5)
    log.say("abort", reason="user initiated")
    return log.lines


def atif_lines() -> list[dict[str, Any]]:
    return [WHOLE]


@cache
def gateway_lines() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        log = GatewayLog(Path(folder))
        log.start()
        log.write(log.line("flow:step", step=1, step_kind="captain_ask"))
        log.write(log.line("flow:step_complete", step=1, step_kind="captain_ask", ok=True))
        log.write(log.line("flow:complete", first_error=None))
        return [json.loads(line) for line in log.path.read_bytes().splitlines()]


def lines(made: list[dict[str, Any]]) -> bytes:
    """Write objects, one a line."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


def payloads() -> Iterator[bytes]:
    yield from (json.dumps(line).encode() for line in hook_lines())
    yield from (data for data in PAYLOADS.values() if len(data) < 100_000)


def sessions() -> Iterator[bytes]:
    made = hook_lines()
    yield lines(made)
    yield b"".join(b" " + json.dumps(line).encode() + b"\n" for line in made)
    yield from payloads()


def claude() -> Iterator[bytes]:
    yield lines(claude_lines())


def codex() -> Iterator[bytes]:
    yield lines(codex_lines())
    yield lines(
        [{"id": "s1", "timestamp": "2026-05-01T10:00:00Z", "instructions": None}, {"record_type": "state"}]
    )


def copilot() -> Iterator[bytes]:
    yield lines(copilot_lines())


def atif() -> Iterator[bytes]:
    yield json.dumps(WHOLE).encode()
    yield json.dumps([WHOLE, WHOLE], indent=1).encode()


def gateway() -> Iterator[bytes]:
    yield lines(gateway_lines())


def requests() -> Iterator[bytes]:
    head = b"POST /v1/events/codex HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n"
    yield head + b"Content-Length: 2\r\n\r\n{}"
    yield head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0;x\r\nA: b\r\n\r\n"
    yield b"\r\nGET / HTTP/1.0\r\n\r\n"


def ledger_lines() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        ledgers.write(Path(folder), [ledgers.Draft("events", b'{"session":"s","events":[]}')])
        for segment in Path(folder).glob("*.jsonl"):
            yield from segment.read_bytes().splitlines(keepends=True)


def older() -> Iterator[bytes]:
    for path in sorted(_OLDER.glob("*.input.json")):
        yield json.dumps(json.loads(path.read_text())).encode() + b"\n"

"""Whose file it is, by its beginning; and what is refused, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Refused
from producers.transcripts.atif import Atif
from producers.transcripts.codex import Codex
from producers.transcripts.copilot import Copilot
from producers.transcripts.recognise import HEAD, name_of, refusal_of

OPENCODE = "an OpenCode session"
GEMINI = "a Gemini CLI chat"
PI = "a pi or OpenClaw session"

SHAPES: list[tuple[str, Any]] = [
    ("claude", {"parentUuid": None, "sessionId": "s", "type": "user", "message": {"role": "user"}}),
    ("claude", {"type": "summary", "summary": "Fix", "leafUuid": "u"}),
    ("claude", {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}),
    ("claude", {"type": "queue-operation", "operation": "enqueue", "sessionId": "s"}),
    ("codex", {"timestamp": "t", "type": "session_meta", "payload": {"id": "x"}}),
    ("codex", {"id": "x", "timestamp": "2025-05-07T17:24:21Z", "instructions": None}),
    ("codex", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}),
    ("copilot", {"type": "session.start", "data": {"sessionId": "s"}, "id": "1", "timestamp": "t"}),
    ("atif", {"schema_version": "ATIF-v1.5", "session_id": "s", "agent": {}, "steps": []}),
    ("atif", {"session_id": "s", "steps": [{"step_id": 1, "source": "user", "message": "a"}]}),
    (OPENCODE, {"info": {"id": "ses_3f2a", "version": "1.0", "time": {}}, "messages": []}),
    (OPENCODE, {"id": "msg_1", "sessionID": "ses_3f2a", "role": "user", "time": {"created": 1}}),
    (OPENCODE, {"id": "prt_1", "messageID": "msg_1", "sessionID": "ses_3f2a", "type": "text", "text": "a"}),
    (OPENCODE, {"type": "step_start", "timestamp": 1, "sessionID": "ses_3f2a", "part": {}}),
    (GEMINI, {"sessionId": "s", "projectHash": "h", "startTime": "t", "lastUpdated": "t", "messages": []}),
    (GEMINI, {"sessionId": "s", "projectHash": "h", "startTime": "t", "lastUpdated": "t", "kind": "main"}),
    (GEMINI, [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]),
    (GEMINI, [{"sessionId": "s", "messageId": 0, "type": "user", "message": "a", "timestamp": "t"}]),
    (PI, {"type": "session", "version": 3, "id": "x", "timestamp": "t", "cwd": "/w"}),
    ("a Qwen Code chat", {"uuid": "u", "sessionId": "s", "type": "user", "message": {"role": "user", "parts": []}}),
    ("a session in the session-traces format", {"type": "session", "harness": "pi", "id": "x", "timestamp": "t"}),
    ("a compact transcript of the Entire CLI", {"v": 1, "agent": "claude-code", "type": "user", "ts": "t"}),
    ("a SWE-agent trajectory", {"environment": "e", "trajectory": [], "history": [], "info": {}}),
    ("a mini-SWE-agent trajectory", {"info": {}, "messages": [], "trajectory_format": "mini-swe-agent-1.1"}),
    ("a chat in ShareGPT's form", {"conversations": [{"from": "human", "value": "a"}]}),
    ("a chat in OpenAI's form", {"messages": [{"role": "user", "content": "a"}]}),
    ("an OTLP export", {"resourceSpans": []}),
    ("hooks", {"session_id": "s", "hook_event_name": "Stop", "cwd": "/w"}),
    ("gateway", {"seq": 1, "ts": 1.5, "type": "flow_started", "flow_id": "f", "payload": {}}),
    ("what `codex exec --json` prints", {"type": "thread.started", "thread_id": "t"}),
    ("what `claude --output-format stream-json` prints", {"type": "system", "subtype": "init", "session_id": "s"}),
    ("a list of prompts that Codex keeps", {"session_id": "s", "ts": 1, "text": "Fix it"}),
    ("a list of prompts that Claude Code keeps", {"display": "Fix it", "pastedContents": {}, "timestamp": 1}),
    ("a session of the first Codex CLI", {"session": {"id": "s"}, "items": []}),
]  # fmt: skip


@pytest.mark.parametrize("layout", ["line", "document"])
@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_a_format_is_known_by_its_first_object(name: str, shape: Any, layout: str) -> None:
    text = json.dumps(shape) + "\n" + json.dumps(shape) if layout == "line" else json.dumps(shape, indent=2)
    assert name_of(text.encode(), Path("some.json")) == name


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("codex", {"timestamp": "t", "type": "session_meta", "payload": {"base_instructions": "x" * HEAD}}),
        ("atif", {"schema_version": "ATIF-v1.6", "agent": {}, "steps": [{"message": "x" * HEAD}]}),
        ("copilot", {"type": "session.start", "data": {"context": "x" * HEAD}}),
        (OPENCODE, {"info": {"id": "ses_3f2a", "title": "x" * HEAD}, "messages": []}),
        (GEMINI, {"sessionId": "s", "projectHash": "h", "messages": ["x" * HEAD]}),
        ("a SWE-agent trajectory", {"trajectory": [{"action": "ls", "observation": "x" * HEAD}], "info": {}}),
    ],
)
def test_a_format_is_known_when_its_first_object_is_longer_than_what_is_looked_at(
    name: str, shape: dict[str, Any]
) -> None:
    assert name_of(json.dumps(shape).encode()[:HEAD], Path("some.json")) == name


def test_broken_bytes_before_the_first_object_hide_nothing() -> None:
    line = b'{"timestamp":"t","type":"event_msg","payload":{"type":"user_message"}}\n'
    assert name_of(b'\xef\xbb\xbf\x00\x00rest of a line"}\n' + line, Path("x")) == "codex"


def test_a_pi_session_among_openclaws_is_openclaws() -> None:
    line = b'{"type":"session","version":3,"id":"x","timestamp":"t","cwd":"/w"}\n'
    assert name_of(line, Path("/home/a/.openclaw/agents/main/sessions/x.jsonl")) == "an OpenClaw session"


@given(st.binary(max_size=300))
def test_any_bytes_have_a_name_or_none(data: bytes) -> None:
    name_of(data, Path("some"))


@pytest.mark.parametrize("reader", [Codex(), Copilot(), Atif()])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty: there is no session in it"),
        (b"\x00\x00\n \n", "it is empty: there is no session in it"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "it is a binary file; KARL reads sessions of claude, codex"),
        (b"SQLite format 3\x00rest", "it is an SQLite database"),
        (b"Dear diary,\n", "it is not a"),
        (b'{"parentUuid":null,"sessionId":"s","type":"user"}', "it is a Claude Code transcript; `karl import claude`"),
        (b'{"hook_event_name":"Stop"}', "it is a log of hook payloads; `karl import hooks` reads it"),
        (b'{"id":"ses_1","projectID":"p"}', "it is an OpenCode session, which KARL does not read; it reads"),
        (b'{"sessionId":"s","projectHash":"h"}', "it is a Gemini CLI chat, which KARL does not read; it reads"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_what_to_do(
    reader: Any, data: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(data)
    with pytest.raises(Refused) as refused:
        reader.find(path)
    assert str(refused.value).startswith(said)
    with pytest.raises(Refused):
        list(reader.read(path))


def test_a_folder_without_sessions_says_what_it_holds_instead(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^it holds no session of codex; name the files or folders to import$"):
        Codex().find(tmp_path)
    (tmp_path / "ses_1.json").write_text('{"id":"ses_1","projectID":"p"}')
    with pytest.raises(
        Refused, match=r"but 1 file of another kind \(an OpenCode session\), which KARL does not read"
    ):
        Codex().find(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"parentUuid":null,"sessionId":"s","type":"user"}\n')
    with pytest.raises(Refused, match=r"but 2 files of another kind .*; `karl import claude` reads such"):
        Copilot().find(tmp_path)


def test_a_file_of_the_format_is_not_refused(tmp_path: Path) -> None:
    for name, shape in SHAPES:
        if name in ("codex", "copilot", "atif"):
            path = tmp_path / "some.jsonl"
            path.write_text(json.dumps(shape))
            assert refusal_of(path, name) is None

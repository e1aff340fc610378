"""Envelopes: what is read, what is forgiven, what is refused and why, and what an event is named by."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.schema.event import IMPORT_END, Event, decode_event, decode_payload, encode_event
from producers.cut import Caps
from producers.envelope import DEAD_MAX, EnvelopeMaker, ImportNaming, parse, spool_id
from producers.project import project_of
from producers.redact import Redactor

REDACTOR = Redactor()
MAKER = EnvelopeMaker(node="n1", fleet="f1", redactor=REDACTOR)
PAYLOAD = {"hook_event_name": "Stop", "session_id": "s1", "cwd": "/nowhere/shop"}


def raw(**more: object) -> bytes:
    return json.dumps({**PAYLOAD, **more}).encode()


def make(data: bytes, **more: object) -> Event:
    return MAKER.make(data, name="ev1", **more)


def body(event: Event) -> dict:
    return json.loads(bytes(event.payload))


def test_an_event_says_whose_it_is_and_what_it_says() -> None:
    event = make(raw(permission_mode="default"), agent="codex", time_ms=5)
    assert (event.id, event.kind, event.session, event.time_ms) == ("ev1", "Stop", "s1", 5)
    assert (event.source, event.fleet, event.node, event.agent, event.project) == (
        "hook",
        "f1",
        "n1",
        "codex",
        "shop",
    )
    assert body(event) == {**PAYLOAD, "permission_mode": "default"}
    assert decode_event(encode_event(event)) == event
    assert decode_payload(event).session_id == "s1"


def test_the_payload_is_one_line_however_it_was_written() -> None:
    event = make(json.dumps({**PAYLOAD, "prompt": "a\nb"}, indent=2).encode())
    assert b"\n" not in encode_event(event)
    assert body(event)["prompt"] == "a\nb"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deep"),
        (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (b'{"a":1}', "no session_id"),
        (b'{"session_id":7,"hook_event_name":"Stop"}', "no session_id"),
        (b'{"session_id":"","hook_event_name":"Stop"}', "no session_id"),
        (b'{"session_id":"a\\nb","hook_event_name":"Stop"}', "session_id has control characters"),
        (b'{"session_id":"' + b"s" * 257 + b'","hook_event_name":"Stop"}', "more than 256"),
        (b'{"session_id":"s"}', "no hook_event_name"),
        (b'{"session_id":"s","hook_event_name":{}}', "no hook_event_name"),
        (b'{"session_id":"s","hook_event_name":"' + b"k" * 65 + b'"}', "more than 64"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_can_not_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        make(data)
    assert reason in caught.value.reason


def test_a_payload_over_64_mib_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Unreadable, match="larger than 64 MiB"):
        make(b" " * (64 * 1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"\\ud800x"', "\ufffdx"),
        (b'"\\udc00\\ud800"', "\ufffd\ufffd"),
        (b'"\\ud83d\\ude00 \\ud800"', "😀 \ufffd"),
        (b'"\\\\ud800 \\ud800"', "\\ud800 \ufffd"),
        (b'"\xed\xb2\x90"', "\ufffd"),
        (b"NaN", None),
        (b"[-Infinity, Infinity, 1e999, 1]", [None, None, None, 1]),
        (b'"\\u0000"', "\x00"),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_what_agents_get_wrong_is_forgiven(data: bytes, value: object) -> None:
    event = make(b'\xef\xbb\xbf{"session_id":"s","hook_event_name":"Stop","x":' + data + b"}")
    assert body(event)["x"] == value


@pytest.mark.parametrize("session", ["session_id", "sessionId", "conversation_id"])
@pytest.mark.parametrize("kind", ["hook_event_name", "hookEventName", "hookName"])
def test_other_agents_spellings_are_understood(session: str, kind: str) -> None:
    event = make(json.dumps({session: "s9", kind: "beforeTool"}).encode())
    assert (event.session, event.kind) == ("s9", "beforeTool")


@pytest.mark.parametrize(
    ("field", "value", "time_ms"),
    [
        ("timestamp", "2026-01-01T00:00:00Z", 1767225600000),
        ("timestamp", "2026-01-01T01:00:00.5+01:00", 1767225600500),
        ("logged_at", 1767225600, 1767225600000),
        ("ts", 1767225600000, 1767225600000),
        ("ts", 1767225600.25, 1767225600250),
        ("timestamp", "2026-01-01T00:00:00", None),
        ("timestamp", "soon", None),
        ("timestamp", True, None),
        ("timestamp", [], None),
    ],
)
def test_without_a_clock_the_payloads_own_time_counts(field: str, value: object, time_ms: int | None) -> None:
    assert make(raw(**{field: value})).time_ms == time_ms


def test_secrets_are_gone_before_anything_is_cut() -> None:
    secret = "hunter2" * 3
    maker = EnvelopeMaker(node="n", caps=Caps(string=200, entry=4096), redactor=REDACTOR)
    for shift in range(0, 60, 7):
        text = "x" * (60 + shift) + f" PASSWORD={secret} " + "y" * 300
        event = maker.make(raw(prompt=text), name="e")
        assert b"hunter" not in encode_event(event)
        assert event.redactions == {"secret-env": 1}
        assert event.cuts == 1


def test_a_secret_deeper_than_the_allowed_depth_is_gone_too() -> None:
    value: object = {"password": "hunter2x"}
    for _ in range(100):
        value = {"a": value}
    event = make(raw(tool_input=value))
    assert b"hunter2x" not in encode_event(event)
    assert event.cuts >= 1


def test_a_secret_in_the_session_id_does_not_leave_either() -> None:
    token = "ghp_" + "a1B2" * 9
    event = make(json.dumps({"session_id": token, "hook_event_name": "Stop"}).encode())
    assert token.encode() not in encode_event(event)


def test_the_answer_of_a_tool_that_read_a_denied_file_does_not_leave() -> None:
    event = make(
        raw(tool_name="Bash", tool_input={"command": "cat a .env"}, tool_response={"stdout": "X=plain"})
    )
    assert b"plain" not in encode_event(event)
    assert event.redactions == {"path": 1}


def test_the_whole_entry_is_within_the_cap() -> None:
    maker = EnvelopeMaker(node="n" * 200, caps=Caps(string=8192, entry=4096), redactor=REDACTOR)
    for size in (100, 3000, 3900, 4096, 100_000):
        event = maker.make(raw(prompt="ü" * size), name="e")
        assert len(encode_event(event)) <= 4096


def test_the_same_bytes_under_the_same_name_give_the_same_event() -> None:
    data = raw(prompt="PASSWORD=hunter2 " + "x" * 10_000)
    assert encode_event(make(data)) == encode_event(make(data))


def test_a_spool_file_names_its_event_by_node_name_time_and_bytes() -> None:
    ids = {
        spool_id("n", "a.1", 5, b"x"),
        spool_id("m", "a.1", 5, b"x"),
        spool_id("n", "a.2", 5, b"x"),
        spool_id("n", "a.1", 6, b"x"),
        spool_id("n", "a.1", 5, b"y"),
    }
    assert len(ids) == 5
    assert spool_id("n", "a.1", 5, b"x") in ids


def test_imported_events_are_named_by_what_they_say_and_equal_ones_by_their_order() -> None:
    first, again = ImportNaming(), ImportNaming()
    lines = [
        raw(),
        raw(),
        b'{"session_id":"s1", "cwd":"/nowhere/shop","hook_event_name":"Stop"}',
        raw(prompt="x"),
    ]
    ids = [MAKER.make(line, name=first).id for line in lines]
    assert len(set(ids)) == 4
    assert ids == [MAKER.make(line, name=again).id for line in lines]


def test_the_end_of_an_import_is_named_by_the_last_event() -> None:
    event = make(raw(tool_input={"password": "hunter2"}))
    end = MAKER.end_of_import(event)
    assert (end.kind, end.session, end.redactions) == (IMPORT_END, "s1", {})
    assert body(end) == {"hook_event_name": IMPORT_END, "session_id": "s1"}
    assert end == MAKER.end_of_import(event)
    assert end.id != event.id


def test_a_dead_letter_is_redacted_and_short() -> None:
    shown = MAKER.dead(b'{"a": "PASSWORD=hunter2 \xff' + b"x" * 100_000)
    assert b"hunter2" not in shown
    assert b"\\xff" in shown
    assert len(shown.decode()) <= DEAD_MAX


def test_a_dead_letter_of_a_call_on_a_denied_file_says_nothing_of_it() -> None:
    assert MAKER.dead(b'{"tool_input":{"command":"cat .env"},"tool_response":"X=pla') == b"[REDACTED:path]"


def test_a_project_is_the_repository_around_the_folder(tmp_path: Path) -> None:
    (tmp_path / "shop" / ".git").mkdir(parents=True)
    (tmp_path / "shop" / "src" / "deep").mkdir(parents=True)
    assert project_of(str(tmp_path / "shop" / "src" / "deep")) == "shop"


def test_a_linked_work_tree_belongs_to_the_main_repository(tmp_path: Path) -> None:
    tree = tmp_path / "feature-x"
    tree.mkdir()
    (tree / ".git").write_text("gitdir: /src/shop/.git/worktrees/feature-x\n")
    assert project_of(str(tree)) == "shop"


@pytest.mark.parametrize(
    ("cwd", "name"),
    [("/no/such/place", "place"), ("C:\\Users\\bob\\shop", "shop"), ("c:\\x\\shop\\", "shop"), ("/", ""), ("", ""),
     ("/a/b\x00c", "bc"), ("rel/shop", "shop")],
)  # fmt: skip
def test_a_folder_that_is_not_here_is_named_by_itself(cwd: str, name: str) -> None:
    assert project_of(cwd) == name


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: json.dumps({**PAYLOAD, text: text}).encode())
)
def test_any_bytes_give_an_event_or_a_reason(data: bytes) -> None:
    MAKER.dead(data)
    with suppress(Unreadable):
        event = make(data)
        assert decode_event(encode_event(event)) == event


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6))
def test_a_small_payload_without_secrets_arrives_as_it_was_sent(more: dict) -> None:
    data = json.dumps({**more, **PAYLOAD}).encode()
    event = make(data)
    if not event.redactions and not event.cuts:
        assert body(event) == json.loads(data)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), JSON, max_size=6),
    st.sampled_from(["", "API_TOKEN=hunter2hunter2", "x" * 9000, "/home/dev/.env", '{"' * 70]),
)
def test_a_payload_that_is_read_already_gives_the_event_that_its_bytes_would(more: dict, text: str) -> None:
    payload = {**more, **PAYLOAD, "tool_input": {"file_path": text}, "tool_response": text}
    data = json.dumps(payload).encode()
    made = MAKER.make(data, name="ev1", source="transcript")
    assert MAKER.of(parse(data), name="ev1", agent="claude-code", source="transcript") == made


def test_forgiving_is_for_broken_parts_only() -> None:
    assert parse(b'{"a": 1.5, "b": "\\u00fc"}') == {"a": 1.5, "b": "ü"}


def test_every_real_payload_becomes_an_event_within_the_caps(real_data: Path) -> None:
    """A stored payload that is no event is one in which the logger broke the JSON, never our crash."""
    seen: Counter[str] = Counter()
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if "/hook-payloads/" not in f"/{member.name}" or not member.isfile():
                continue
            naming = ImportNaming()
            for line in archive.extractfile(member):
                event = MAKER.make(line, name=naming, source="import")
                assert len(encode_event(event)) <= 64 * 1024
                seen[event.kind] += 1
    assert seen.total() > 100
    assert {"PreToolUse", "PostToolUse", "Stop"} <= seen.keys()

"""Records of older stores: golden pairs for each form, the rules one by one, and any JSON at all.

`UPDATE_GOLDEN=1` writes what the code gives now as what is expected; read the difference then.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.reward.score import score
from karl.schema.trajectory import ToolCall, Trajectory
from karl.session.older import normalize_lines, normalize_record
from karl.session.older_calls import PADDING_MAX

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "older"
FORMS = sorted(path.name.removesuffix(".input.json") for path in GOLDEN.glob("*.input.json"))


def of_calls(*events: Any, **fields: Any) -> Trajectory:
    return normalize_record({"trajectory": {"events": list(events), **fields}})


def shown(trajectory: Trajectory) -> Any:
    return msgspec.json.decode(msgspec.json.encode(trajectory))


@pytest.mark.parametrize("form", FORMS)
def test_a_record_of_each_older_form_becomes_the_expected_one(form: str) -> None:
    found = shown(normalize_record(json.loads((GOLDEN / f"{form}.input.json").read_text())))
    path = GOLDEN / f"{form}.expected.json"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(path.read_text())


@pytest.mark.parametrize("form", FORMS)
def test_a_golden_record_read_again_stays_as_it_is(form: str) -> None:
    expected = json.loads((GOLDEN / f"{form}.expected.json").read_text())
    assert shown(normalize_record(expected)) == expected


def test_there_is_a_golden_pair_for_each_form() -> None:
    assert len(FORMS) >= 7


# The rules


@pytest.mark.parametrize("key", ["events", "tool_calls", "tool_events"])
def test_calls_are_found_under_each_of_their_names_in_the_part_or_at_the_top(key: str) -> None:
    call = {"tool": "shell", "input": {"command": "ls"}, "success": True}
    for record in ({"trajectory": {key: [call]}}, {key: [call]}):
        found = normalize_record(record).trajectory
        assert found.tool_sequence == ["Bash"]
        assert found.events[0] == ToolCall("Bash", {"command": "ls"}, success=True, original_name="shell")


def test_a_second_list_of_calls_is_kept_in_extra() -> None:
    found = normalize_record({"trajectory": {"events": [{"tool": "Read"}], "tool_calls": [{"tool": "Grep"}]}})
    assert found.trajectory.tool_sequence == ["Read"]
    assert found.extra == {"trajectory": {"tool_calls": [{"tool": "Grep"}]}}


@pytest.mark.parametrize(
    ("record", "source", "channel"),
    [
        ({"source": "a", "context": {"source": "b"}, "channel": "c"}, "a", "c"),
        ({"context": {"source": "b"}, "skill": "verbose-all", "channel": "c"}, "b", "c"),
        ({"skill": "verbose-all"}, "verbose-all", "backfill"),
        ({"skill": "archive-2025"}, "archive-2025", "backfill"),
        ({"source": "aura-gateway-flow"}, "aura-gateway-flow", "flow"),
        ({"channel": "live"}, "live", "live"),
        ({"source": "unknown", "context": {"source": "b"}}, "b", "unknown"),
        ({"id": "x"}, "unknown", "unknown"),
    ],
)
def test_the_source_and_the_channel_come_from_the_best_place(
    record: dict[str, Any], source: str, channel: str
) -> None:
    found = normalize_record(record)
    assert (found.source, found.channel) == (source, channel)


@pytest.mark.parametrize(
    ("skill", "name"),
    [
        ("review", "review"),
        ("verbose-all", None),
        ("archive-1", None),
        ("tap", None),
        ("", None),
        (None, None),
        ({"name": "review"}, "review"),
    ],
)
def test_a_skill_that_is_a_string_is_a_name_unless_it_is_a_source(skill: object, name: str | None) -> None:
    assert normalize_record({"id": "x", "source": "tap", "skill": skill}).skill.name == name


def test_the_domain_comes_from_the_record_the_context_or_the_skill() -> None:
    parts: dict[str, Any] = {"domain": "a", "context": {"domain": "b"}, "skill": {"domain": "c"}}
    for domain in ("a", "b", "c"):
        assert normalize_record(parts).domain == domain
        parts.pop(next(iter(parts)))
    assert normalize_record({"domain": "a", "skill": "s"}).skill.domain == "a"


def test_lists_and_counters_are_brought_into_agreement() -> None:
    found = of_calls(
        {"tool": "shell", "exit_code": 1}, tool_sequence=["shell", "Edit"], total_tools=4
    ).trajectory
    assert found.tool_sequence == ["Bash", "Edit", "unknown", "unknown"]
    assert found.tool_counts == {"Bash": 1, "Edit": 1, "unknown": 2}
    assert [call.placeholder for call in found.events] == [False, True, True, True]
    assert (found.total_tools, found.observed_event_count, found.placeholder_event_count) == (4, 1, 3)
    assert (found.successes, found.failures, found.bash_errors) == (0, 1, 1)
    assert found.events_truncated


def test_given_counts_of_tools_stay_in_extra_when_the_calls_do_not_bear_them_out() -> None:
    call = {"tool": "shell"}
    assert of_calls(call, tool_counts={"shell": 1}).extra == {}
    assert of_calls(call, tool_counts={"shell": 3}).extra == {"trajectory": {"tool_counts": {"shell": 3}}}


def test_a_success_rate_fills_the_counters_that_are_not_given() -> None:
    record = {"trajectory": {"total_tools": 7}, "outcome": {"tool_success_rate": 0.71}}
    found = normalize_record(record).trajectory
    assert (found.successes, found.failures) == (5, 2)
    record["trajectory"]["successes"] = 6
    assert normalize_record(record).trajectory.successes == 6


def test_shell_calls_without_an_exit_code_that_were_counted_as_errors_are_none() -> None:
    calls = [{"tool_name": "Bash", "success": True}] * 4
    assert of_calls(*calls, bash_errors=4).trajectory.bash_errors == 0
    assert of_calls(*calls, bash_errors=4, tool_sequence=["Bash"] * 6).trajectory.bash_errors == 2


def test_a_preview_that_was_cut_is_kept_beside_the_call() -> None:
    found = of_calls({"tool": "x", "input_preview": '{"a": 1}'}, {"tool": "x", "input_preview": '{"a": '})
    assert [call.key_params for call in found.trajectory.events] == [{"a": 1}, {}]
    assert found.extra == {"calls": {"1": {"input_preview": '{"a": '}}}


def test_a_prompt_fills_the_context_up_to_500_characters() -> None:
    found = normalize_record({"trajectory": {"prompt": "p" * 600}})
    assert found.context.prompt_text == "p" * 500
    assert found.trajectory.prompt == "p" * 600


def test_scores_at_the_top_fill_those_that_the_outcome_lacks() -> None:
    found = normalize_record({"outcome": {"process_score": 0.5}, "process_score": 0.7, "reward_score": 0.6})
    assert (found.outcome.reward_score, found.outcome.process_score) == (0.6, 0.5)
    assert found.outcome.annotation_status == "scored"
    assert found.extra == {"process_score": 0.7}


def test_unknown_fields_are_kept_under_the_name_of_their_part() -> None:
    record = {
        "id": "x",
        "mood": 1,
        "context": {"mood": 2},
        "outcome": {"mood": 3},
        "timing": {"mood": 4},
        "skill": {"mood": 5},
        "trajectory": {"mood": 6, "events": [{"tool": "Read"}, {"tool": "Read", "mood": 7}]},
    }
    assert normalize_record(record).extra == {
        "mood": 1,
        "context": {"mood": 2},
        "outcome": {"mood": 3},
        "timing": {"mood": 4},
        "skill": {"mood": 5},
        "trajectory": {"mood": 6},
        "calls": {"1": {"mood": 7}},
    }


def test_a_total_that_no_turn_has_is_not_padded_to() -> None:
    found = of_calls({"tool": "Read"}, total_tools=10**12)
    assert found.trajectory.total_tools == 1
    assert found.extra == {"trajectory": {"total_tools": 10**12}}
    assert of_calls({"tool": "Read"}, total_tools=PADDING_MAX).trajectory.total_tools == PADDING_MAX


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "not null"),
        ([], "not a list"),
        ("{}", "not a string"),
        (7, "not a number"),
        (True, "not a boolean"),
        ({"schema_version": 3, "id": "x"}, "schema_version 3 is newer than 2"),
        ({"schema_version": "two"}, "schema_version is no number: 'two'"),
        ({"hello": 1, "world": 2}, "none of its fields is one of a record's ('hello', 'world')"),
    ],
)
def test_what_is_no_record_is_unreadable_with_the_reason(record: object, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        normalize_record(record)
    assert reason in caught.value.reason


def test_the_record_that_was_given_is_left_alone() -> None:
    for form in FORMS:
        text = (GOLDEN / f"{form}.input.json").read_text()
        record = json.loads(text)
        normalize_record(record)
        assert repr(record) == repr(json.loads(text))


# Files


def test_lines_are_read_one_by_one_and_a_broken_one_says_why() -> None:
    lines = [
        b'\xef\xbb\xbf{"id": "a"}\r\n',
        b"\n",
        b'{"id": "b", "trajectory": {"events": [{"tool": "\\ud800x", "success": NaN}], "total_tools": Infinity}}\n',
        b"{not json}\n",
        b'{"id": "\xff"}\n',
        b"[" * 100_000 + b"\n",
        b'{"id": "c", "extra": {"n": ' + b"9" * 5000 + b"}}\n",
        b"[1]\n",
        b'{"id": "d"}',
    ]
    read = dict(normalize_lines(lines))
    assert list(read) == [1, 3, 4, 5, 6, 7, 8, 9]
    ids = {place: found.id for place, found in read.items() if isinstance(found, Trajectory)}
    assert ids == {1: "a", 3: "b", 7: "c", 9: "d"}
    reasons = {place: found.reason for place, found in read.items() if isinstance(found, Unreadable)}
    assert reasons[4].startswith("not JSON: ")
    assert reasons[5] == "not UTF-8 at byte 8"
    assert reasons[6] == "nested too deeply"
    assert reasons[8] == "a record is an object, not a list"
    for found in read.values():
        if isinstance(found, Trajectory):
            msgspec.json.encode(found).decode()


# Anything at all

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.sampled_from(
        ["", "unknown", "pending", "scored", "Bash", "shell", "verbose-all", "live", "true", "\ud800", "3"]
    ),
    st.text(max_size=5),
    st.sampled_from([10**12, 2**63, -(2**63), 10**400, 0.5]),
)
_any = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def _objects(*names: str, **typical: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, mostly of the shape they should have."""
    fields = dict.fromkeys(names, _any) | {
        name: st.one_of(made, made, _any) for name, made in typical.items()
    }
    return st.fixed_dictionaries({}, optional={**fields, "other": _any})


_flags = st.sampled_from([None, True, False, "true", 0])
_shares = st.floats(0, 1)
_names = st.sampled_from(["", "unknown", "Bash", "shell", "Edit", "str_replace_editor", "mcp__a__b"])
_calls = st.lists(
    _objects(
        "exit_code", "duration_ms", "ts", "timestamp", "call_id", "status", "error", "input_preview", "placeholder",
        tool_name=_names, tool=_names, name=_names, original_name=_names, success=_flags, is_error=_flags,
        key_params=st.dictionaries(st.sampled_from(["command", "content", "x"]), _any),
        input=st.dictionaries(st.sampled_from(["command", "x"]), _any),
    ),
    max_size=4,
)  # fmt: skip
_counts = st.integers(0, 6)
_parts: dict[str, st.SearchStrategy[Any]] = {
    "skill": st.one_of(_scalars, _objects("name", "domain")),
    "context": _objects("source", "domain", "prompt_text", "user_prompt", "extracted_at", "complexity", "cwd"),
    "trajectory": _objects(
        "prompt", "tool_types", "tool_counts", events=_calls, tool_calls=_calls, tool_events=_calls,
        tool_sequence=st.lists(_names, max_size=6), total_tools=_counts, tool_count=_counts,
        successes=_counts, failures=_counts, bash_errors=_counts, observed_event_count=_counts,
    ),
    "outcome": _objects(
        "annotation_status", "errors", "advantage", "reward_components", "files_modified",
        reward_score=_shares, tool_success_rate=_shares, build_success=_flags,
    ),
    "timing": _objects("duration_s", "duration_ms", "started_at", "ended_at"),
}  # fmt: skip
records = _objects(
    "id", "session_id", "source", "channel", "domain", "quality", "extra", "reward_score", "total_tools", "tool_calls",
    schema_version=st.sampled_from([1, 2, "2", None]), **_parts,
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(records)
def test_reading_a_record_that_was_read_changes_nothing(record: dict[str, Any]) -> None:
    try:
        once = normalize_record(record)
    except Unreadable:
        return
    data = msgspec.json.encode(once)
    assert msgspec.json.encode(normalize_record(json.loads(data))) == data
    assert normalize_record(msgspec.to_builtins(once)) == once
    assert msgspec.json.decode(data, type=Trajectory) == once
    assert 0 <= score(once, version="1").reward <= 1


@settings(deadline=None)
@given(_any)
def test_any_value_is_a_record_or_unreadable(value: object) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(normalize_record(value), Trajectory)


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), _any.map(lambda value: json.dumps(value).encode())), max_size=5
    )
)
def test_any_line_is_a_record_or_unreadable(lines: list[bytes]) -> None:
    for place, found in normalize_lines(lines):
        assert 1 <= place <= len(lines)
        assert isinstance(found, (Trajectory, Unreadable))

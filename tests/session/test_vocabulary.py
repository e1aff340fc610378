"""The vocabulary of tools, their parameters, and the reading of a call's end."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.session.vocabulary import (
    BULK_MAX,
    KEYS_MAX,
    STRING_MAX,
    canonical,
    clean_text,
    cut,
    json_safe,
    key_params,
    success_of,
    truth,
    whole,
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.just("\ud800"),
    st.just(10**400),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)
inputs = st.one_of(
    values,
    st.dictionaries(
        st.sampled_from(["file_path", "command", "content", "edits", "x", "é" * 300]),
        st.one_of(values, st.text(min_size=300, max_size=5000)),
    ),
    st.dictionaries(st.text(), values, min_size=13, max_size=20),
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("exec_command", "Bash"),
        ("shell_command", "Bash"),
        ("run_shell_command", "Bash"),
        ("shell", "Bash"),
        ("apply_patch", "Edit"),
        ("apply_diff", "Edit"),
        ("replace", "Edit"),
        ("read_file", "Read"),
        ("cat_file", "Read"),
        ("list_files", "Glob"),
        ("list_directory", "Glob"),
        ("find_files", "Glob"),
        ("search_files", "Grep"),
        ("grep_search", "Grep"),
        ("ripgrep", "Grep"),
        ("search_file_content", "Grep"),
        ("glob", "Glob"),
        ("write_file", "Write"),
        ("create_file", "Write"),
    ],
)
def test_other_agents_names_become_one_and_are_kept_beside_it(said: str, name: str) -> None:
    assert canonical(said) == (name, said)
    assert canonical(name) == (name, None)


@pytest.mark.parametrize(
    "name", ["mcp__server__read_file", "Task", "APPLY_PATCH", "my_own_tool", "BashOutput"]
)
def test_names_that_are_not_in_the_vocabulary_stay_as_they_are(name: str) -> None:
    assert canonical(name) == (name, None)


@pytest.mark.parametrize("name", ["", "  ", None, 7, ["Bash"]])
def test_a_name_that_is_none_is_unknown(name: object) -> None:
    assert canonical(name) == ("unknown", None)


def test_an_editor_of_many_commands_is_named_by_what_it_was_used_for() -> None:
    for command, name in (("view", "Read"), ("create", "Write"), ("str_replace", "Edit"), ("insert", "Edit")):
        assert canonical("str_replace_editor", {"command": command}) == (name, "str_replace_editor")
    for params in (None, {}, {"command": ["view"]}, {"command": "jump"}, "view"):
        assert canonical("str_replace_editor", params) == ("str_replace_editor", None)


@given(st.one_of(st.text(), values))
def test_a_canonical_name_is_its_own_canonical_name(name: object) -> None:
    found, _ = canonical(name)
    assert canonical(found) == (found, None)
    found.encode()


def test_long_strings_keep_head_and_tail() -> None:
    command = "start " + "x" * 3000 + " end"
    kept = key_params({"command": command})["command"]
    assert len(kept) == STRING_MAX
    assert kept.startswith("start ")
    assert kept.endswith(" end")
    assert "…[cut 1010 chars]…" in kept
    assert key_params({"command": command[:STRING_MAX]}) == {"command": command[:STRING_MAX]}


def test_file_text_is_held_shorter() -> None:
    kept = key_params({"file_path": "/a" * 500, "content": "x" * 1000, "edits": [{"old_string": "x" * 1000}]})
    assert len(kept["file_path"]) == 1000
    assert len(kept["content"]) == len(kept["edits"]) == BULK_MAX


def test_flat_values_stay_and_nested_ones_become_json() -> None:
    given_params = {"n": 1, "f": 0.5, "b": True, "none": None, "list": [1, {"a": "é"}]}
    assert key_params(given_params) == given_params | {"list": '[1,{"a":"é"}]'}


def test_of_many_parameters_those_that_matter_stay_in_their_order() -> None:
    params = {f"other_{place}": place for place in range(20)} | {"command": "ls", "file_path": "/a"}
    kept = key_params(params)
    assert list(kept) == [*[f"other_{place}" for place in range(10)], "command", "file_path"]
    assert len(kept) == KEYS_MAX


def test_an_input_that_is_no_object_is_kept() -> None:
    assert key_params('{"command": "ls"}') == {"command": "ls"}
    assert key_params("*** Begin Patch") == {"input": "*** Begin Patch"}
    assert key_params(["ls", "-la"]) == {"input": '["ls","-la"]'}
    assert key_params(None) == key_params("") == key_params({}) == {}


def test_numbers_that_json_can_not_hold_are_made_safe() -> None:
    assert key_params({"nan": math.nan, "inf": -math.inf, "huge": 10**400, "big": 2**70, "n": 2**53}) == {
        "nan": None,
        "inf": None,
        "huge": None,
        "big": float(2**70),
        "n": 2**53,
    }


def test_nesting_without_end_is_cut_off() -> None:
    kept = key_params({"deep": nested(100_000), "deep_text": "[" * 50_000, "object": '{"a":' * 50_000})
    assert "nested too deeply" in kept["deep"]
    assert key_params('{"a":' * 50_000)["input"].startswith('{"a":')


@given(inputs)
def test_parameters_are_flat_safe_in_json_and_the_same_when_kept_again(value: object) -> None:
    kept = key_params(value)
    assert len(kept) <= KEYS_MAX
    assert all(not isinstance(item, (dict, list)) for item in kept.values())
    assert all(len(item) <= STRING_MAX for item in kept.values() if isinstance(item, str))
    assert msgspec.json.decode(msgspec.json.encode(kept)) == kept
    assert key_params(kept) == kept


@given(values)
def test_what_is_safe_in_json_comes_back_as_it_was(value: object) -> None:
    safe = json_safe(value)
    assert msgspec.json.decode(msgspec.json.encode(safe)) == safe
    assert json_safe(safe) == safe


@given(st.text(), st.integers(0, 300))
def test_a_cut_text_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    kept = cut(text * 3, limit)
    assert len(kept) <= limit
    assert cut(kept, limit) == kept


def test_half_of_a_surrogate_pair_is_replaced_and_a_whole_one_is_read() -> None:
    assert clean_text("a\ud800b\ud83d\ude00") == "a\ufffdb\U0001f600"


@pytest.mark.parametrize(
    ("said", "success"),
    [
        ({"success": True, "is_error": True}, True),
        ({"success": "True"}, True),
        ({"success": "1"}, True),
        ({"success": "false"}, False),
        ({"success": 0}, False),
        ({"success": "perhaps", "exit_code": 0}, True),
        ({"is_error": False, "exit_code": 1}, True),
        ({"is_error": "true"}, False),
        ({"exit_code": 0}, True),
        ({"exit_code": "2"}, False),
        ({"exit_code": None}, None),
        ({"exit_code": math.nan}, None),
        ({"success": math.nan}, None),
        ({}, None),
    ],
)
def test_success_is_read_from_the_best_that_was_said(said: dict[str, Any], success: bool | None) -> None:
    assert success_of(said) is success


@given(values)
def test_reading_a_flag_or_a_number_never_raises(value: object) -> None:
    assert truth(value) in (None, True, False)
    number = whole(value)
    assert number is None or abs(number) < 2**63

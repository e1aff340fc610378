"""Cuts: what is long gets shorter and says so, what identifies stays, and JSON stays JSON."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.cut import DEPTH_MAX, PROTECTED, Caps, TooLarge, cut, cut_text, flatten, needs_cut

CAPS = Caps(string=1000, entry=16 * 1024)


def made(payload: dict, caps: Caps = CAPS) -> dict:
    return json.loads(cut(payload, caps)[0])


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(item) for item in value), default=0)
    return 0


def test_a_long_text_keeps_its_ends_and_says_how_much_is_missing_and_of_what() -> None:
    text = "a" * 600 + "b" * 600
    short = cut_text(text, 1000)
    assert 990 < len(short) <= 1000
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    head, _, rest = short.partition("…[cut ")
    missing, _, tail = rest.partition(f" chars sha256:{digest}]…")
    assert (set(head), set(tail)) == ({"a"}, {"b"})
    assert len(head) + len(tail) + int(missing) == len(text)


def test_a_text_within_the_cap_is_untouched() -> None:
    assert cut_text("x" * 1000, 1000) == "x" * 1000


def test_characters_outside_the_first_plane_are_never_split() -> None:
    short = cut_text("😀" * 2000, 101)
    assert short.encode().decode() == short
    assert short.count("😀") > 20


def test_copies_of_files_and_images_are_dropped_but_for_length_and_hash() -> None:
    response = {
        "originalFile": "o" * 10,
        "file": {"filePath": "/a", "content": "c" * 5000},
        "image": {"type": "base64", "data": "d" * 5000},
        "base64": "e" * 9,
        "stdout": "data:image/png;base64," + "f" * 3000,
    }
    shown = made({"tool_response": response}, Caps(string=8192, entry=65536))["tool_response"]
    assert shown["originalFile"].startswith("…[cut 10 chars sha256:")
    assert 900 < len(shown["file"]["content"]) <= 1024
    assert shown["image"]["data"].startswith("…[cut 5000 chars")
    assert shown["base64"].startswith("…[cut 9 chars")
    assert shown["stdout"].startswith("…[cut 3022 chars")


def test_a_null_original_file_stays_null() -> None:
    assert made({"tool_response": {"originalFile": None}}) == {"tool_response": {"originalFile": None}}


def test_every_cut_is_counted() -> None:
    assert cut({"a": "x" * 2000, "b": ["y" * 2000, "z"]}, CAPS)[1] == 2


def test_strings_are_shortened_before_lists_are() -> None:
    payload = {"tool_response": {"lines": ["x" * 900] * 100}}
    lines = made(payload)["tool_response"]["lines"]
    assert len(lines) == 100
    assert {len(line) for line in lines} == {128}


def test_a_list_too_long_keeps_its_first_and_last_items() -> None:
    lines = made({"tool_response": {"lines": list(range(100_000))}})["tool_response"]["lines"]
    assert (lines[0], lines[-1]) == (0, 99_999)
    assert [line for line in lines if isinstance(line, str) and line.startswith("…[cut ")]


def test_an_object_too_large_keeps_its_first_and_last_members() -> None:
    shown = made({"tool_response": {f"k{i}": i for i in range(50_000)}})["tool_response"]
    assert (shown["k0"], shown["k49999"]) == (0, 49_999)
    assert "items sha256:" in shown["…"]


def test_a_field_that_no_cut_makes_small_becomes_a_summary() -> None:
    wide: object = 1
    for _ in range(6):
        wide = [wide] * 6
    shown = made({"session_id": "s", "tool_response": wide})
    assert list(shown["tool_response"]) == ["cut"]
    assert shown["session_id"] == "s"


def test_a_payload_of_too_many_fields_keeps_those_that_identify_it() -> None:
    shown = made({"session_id": "s", "tool_use_id": "t", **{f"k{i}": i for i in range(100_000)}})
    assert shown["session_id"] == "s"
    assert shown["tool_use_id"] == "t"
    assert set(shown) == {"session_id", "tool_use_id", "…"}


def test_names_longer_than_the_cap_are_refused() -> None:
    with pytest.raises(TooLarge, match="over 100 bytes"):
        cut({"session_id": "s" * 200}, Caps(string=50, entry=100))


def test_what_lies_too_deep_becomes_text() -> None:
    value: dict = {"x": "leaf"}
    for _ in range(200):
        value = {"x": value, "y": [1]}
    assert flatten(value) >= 1
    assert depth(value) == DEPTH_MAX
    assert '"leaf"' in json.dumps(value).replace("\\", "")


def test_a_payload_of_just_the_allowed_depth_is_left_alone() -> None:
    value: dict = {"x": 1}
    for _ in range(DEPTH_MAX - 1):
        value = {"x": value}
    before = json.dumps(value)
    assert flatten(value) == 0
    assert json.dumps(value) == before


TEXTS = st.text(max_size=30) | st.builds(
    lambda text, n: text * n, st.text(min_size=1, max_size=4), st.integers(1, 1500)
)
KEYS = st.sampled_from(["originalFile", "base64", "file", "content", "filePath", "data", "type", "lines", *sorted(PROTECTED)]) | st.text(max_size=5)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans() | st.just("image") | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)  # fmt: skip
PAYLOADS = st.dictionaries(KEYS, VALUES, max_size=8)
SMALL = st.builds(Caps, string=st.integers(1, 1500), entry=st.integers(8192, 20_000))


@settings(max_examples=100, deadline=None)
@given(PAYLOADS, SMALL)
def test_what_comes_out_fits_and_cutting_it_again_changes_nothing(payload: dict, caps: Caps) -> None:
    data, _ = cut(payload, caps)
    assert len(data) <= caps.entry
    assert b"\n" not in data
    assert cut(json.loads(data), caps) == (data, 0)


@settings(max_examples=100, deadline=None)
@given(PAYLOADS, SMALL)
def test_fields_that_identify_an_event_stay_as_they_are(payload: dict, caps: Caps) -> None:
    payload = {key: "i" * 80 if key in PROTECTED else value for key, value in payload.items()}
    shown = made(payload, caps)
    assert {key: shown[key] for key in payload if key in PROTECTED} == {
        key: "i" * 80 for key in payload if key in PROTECTED
    }


@settings(max_examples=100, deadline=None)
@given(PAYLOADS, SMALL)
def test_what_needs_no_cut_is_not_changed_by_one(payload: dict, caps: Caps) -> None:
    raw = json.dumps(payload).encode()
    if not needs_cut(raw, caps):
        assert cut(payload, Caps(caps.string, 10**6))[1] == 0

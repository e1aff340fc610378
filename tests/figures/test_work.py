"""How varied work is, what prompts came before, and how agents work: traces, fingerprints, drift."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.figures.fingerprint import Trace, compare, drift_of, fingerprint_of, trace_of
from karl.figures.variety import alike_of, prompts_of, variety_of
from karl.schema.trajectory import Calls, ToolCall, Trajectory
from tests.figures.rows import row

PROMPT = (
    "please rename this option of the export command in every place where the documentation names it as {}"
)


def reading(*calls: tuple[str, dict[str, object], bool]) -> Trajectory:
    made = [ToolCall(tool_name=name, key_params=params, success=ok) for name, params, ok in calls]
    return Trajectory(trajectory=Calls(events=made, total_tools=len(made)))


def trace(session: int, letters: str, time_ms: int = 0) -> Trace:
    none = dict.fromkeys(("read_first", "checked", "recovered", "looking", "scope"), (0, 0))
    return Trace(f"s{session}", time_ms, letters, {**none, "files": (0, 1)})


def test_equal_use_of_four_tools_is_four() -> None:
    found = variety_of([Counter(a=2, b=2), Counter(c=2, d=2)] * 5)
    assert (found.n, found.kinds, found.effective) == (40, 4, pytest.approx(4.0))
    assert found.low is not None
    assert found.low <= 4.0 <= (found.high or 0)


def test_one_session_has_no_interval_and_nothing_no_number() -> None:
    assert variety_of([Counter(a=3)]).low is None
    assert variety_of([]).effective is None


def test_the_same_words_and_nearly_the_same_are_found_and_others_are_not() -> None:
    texts = [
        PROMPT.format("alpha"),
        PROMPT.format("alpha"),
        PROMPT.format("beta"),
        "why does the ledger refuse to start when another process holds its folder on this machine",
    ]
    assert alike_of(texts) == {0, 1, 2}


def test_numbers_do_not_make_prompts_different() -> None:
    assert alike_of(["retry job 17 of queue 4 now please", "retry job 18 of queue 5 now please"]) == {0, 1}


def test_prompts_are_counted_once_and_short_ones_not_at_all() -> None:
    words = [PROMPT.format("alpha"), PROMPT.format("alpha"), PROMPT.format("beta"), "go on", None]
    found = prompts_of([row(at, 0.5, words=text) for at, text in enumerate(words)])
    assert (found.compared, found.same.hits, found.alike.hits) == (3, 2, 3)


@given(st.lists(st.sampled_from(["a b c d e f", "g h i j k l", "a b c d e f g h"]), max_size=12))
def test_what_has_a_twin_is_always_found(texts: list[str]) -> None:
    twins = {at for at, text in enumerate(texts) if texts.count(text) > 1}
    assert twins <= alike_of(texts)


def test_a_turn_is_told_by_its_acts_and_what_they_hit() -> None:
    turn = reading(
        ("Read", {"file_path": "/p/src/a.py"}, True),
        ("Edit", {"file_path": "/p/src/a.py"}, False),
        ("Edit", {"file_path": "/p/src/a.py"}, True),
        ("Edit", {"file_path": "/p/src/deep/b.py"}, True),
        ("Grep", {"pattern": "x"}, True),
    )
    found = trace_of("s", 5, turn)
    assert found.letters == "reees"
    assert found.counts["read_first"] == (1, 2)
    assert found.counts["recovered"] == (1, 1)
    assert found.counts["looking"] == (1, 5)
    assert found.counts["files"] == (2, 1)
    assert found.counts["scope"] == (3, 4)


def test_a_fingerprint_adds_up() -> None:
    found = fingerprint_of([trace(0, "rre"), trace(1, "rc")])
    assert (found.turns, found.sessions, found.signature) == (2, 2, "r60 e20 c20")
    assert found.acts.mean == 2.5
    assert found.steps["^r"] == pytest.approx(2 / 7)
    assert sum(found.steps.values()) == pytest.approx(1.0)


def test_a_fingerprint_of_nothing_says_nothing() -> None:
    found = fingerprint_of([trace(0, "")])
    assert (found.signature, found.steps, found.acts.mean) == ("", {}, 0.0)


def test_work_that_changed_has_drifted_and_work_that_did_not_has_not() -> None:
    old = [trace(at, "rrec" * 5, at) for at in range(12)]
    for letters, drifted in (("rrec" * 5, False), ("eexx" * 5, True)):
        new = [trace(100 + at, letters, 100 + at) for at in range(12)]
        found = drift_of([*old, *new], 100, random.Random(1).shuffle)
        assert (found.recent, found.earlier, found.drifted) == (12, 12, drifted)


def test_few_sessions_say_nothing_of_drift() -> None:
    found = drift_of([trace(at, "rrec", at) for at in range(8)], 4, random.Random(1).shuffle)
    assert (found.recent, found.earlier, found.p, found.drifted) == (4, 4, None, False)


def test_a_session_is_compared_with_its_agents_others_and_short_ones_are_left_out() -> None:
    usual = [trace(at, "rrec" * 4 + "r" * (at % 3)) for at in range(10)]
    found = compare([*usual, trace(50, "xxvv" * 4), trace(51, "o")], "s50")
    assert (found.others, found.place) == (10, 1.0)
    assert compare([*usual, trace(51, "o")], "s51").place is None

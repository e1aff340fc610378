"""Pairs for DPO and KTO: only where both sides answer the very same messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from karl.errors import NotFound
from karl.export.pairs import asks_the_same
from karl.learning.marks import mark
from tests.cli.running import karl
from tests.export.sessions import (
    EDIT,
    FAILED,
    HOUR_MS,
    READ,
    RUN,
    START_MS,
    TOPICS,
    Asked,
    Did,
    many,
    recorded,
    session,
)
from workers.datasets import check

OTHER = Did("Edit", {"file_path": "/w/shop/src/other.py", "old_string": "a", "new_string": "c"})
NO = "no, that's wrong, revert that: "


def made(folder: Path, form: str, told: Sequence[bytes], *more: str) -> dict[str, Any]:
    data = recorded(folder / "data", told)
    words = (
        "--format",
        form,
        "--output",
        str(folder / "out"),
        "--no-record",
        "--split",
        "hash",
        "--valid",
        "0.5",
    )
    result = karl(data, "export", *words, *more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads((folder / "out" / "manifest.json").read_bytes())


def pairs_in(folder: Path) -> list[dict[str, Any]]:
    check(folder / "out")
    return [
        json.loads(line)
        for part in ("train", "valid")
        for line in (folder / "out" / f"{part}.jsonl").read_bytes().splitlines()
    ]


def twice(at: int, first: Sequence[Did], second: Sequence[Did], again: str = "") -> list[bytes]:
    """A session whose first turn is corrected, and asked again."""
    asked = again or NO + TOPICS[at]
    turns = [Asked(TOPICS[at], first, "One."), Asked(asked, second, "Two."), Asked("thanks, that is good")]
    return list(session(f"s{at:02}", turns, at_ms=START_MS + at * HOUR_MS))


def forked(at: int, first: Sequence[Did], second: Sequence[Did]) -> list[bytes]:
    """Two sessions that begin alike; the one that went on is corrected."""
    begin = [Asked(f"read about this first: {TOPICS[at]}", [READ], "Read.")]
    bad = [
        *begin,
        Asked(TOPICS[at], first, "One."),
        Asked("no, that's wrong, undo that", [RUN]),
    ]
    good = [*begin, Asked(TOPICS[at], second, "Two.")]
    when = START_MS + at * HOUR_MS
    return [*session(f"bad{at}", bad, at_ms=when), *session(f"good{at}", good, at_ms=when + 600_000)]


def events_of_forks() -> list[bytes]:
    return [event for at in range(8) for event in forked(at, [READ, OTHER], [READ, EDIT])]


def test_a_history_that_was_answered_twice_is_a_pair_at_the_first_step_that_differs(tmp_path: Path) -> None:
    manifest = made(tmp_path, "dpo", events_of_forks())
    found = pairs_in(tmp_path)
    assert len(found) == manifest["counts"]["pairs: fork"] == 8
    for pair in found:
        assert [message["role"] for message in pair["prompt"]] == ["user", "assistant", "tool"]
        (chosen,), (rejected,) = pair["chosen"], pair["rejected"]
        assert chosen["tool_calls"][0]["function"]["arguments"]["file_path"] == "/w/shop/src/till.py"
        assert rejected["tool_calls"][0]["function"]["arguments"]["file_path"] == "/w/shop/src/other.py"
        about = pair["karl"]
        assert about["chosen"]["session"].replace("good", "bad") == about["rejected"]["session"]
        marks = {mark(about[side]["session"]) for side in ("chosen", "rejected")}
        assert sum(bool(marks & set(sessions)) for sessions in manifest["sessions"].values()) == 1


def test_kto_has_both_sides_of_each_pair_with_a_thumb(tmp_path: Path) -> None:
    made(tmp_path, "kto", events_of_forks(), "--detail", "brief")
    found = pairs_in(tmp_path)
    assert sorted(row["label"] for row in found) == [False] * 8 + [True] * 8
    assert {(row["completion"][0]["content"], row["label"]) for row in found} == {
        ('{"tool":"Edit","target":"src/till.py"}', True),
        ('{"tool":"Edit","target":"src/other.py"}', False),
    }


def test_a_corrected_turn_and_its_redo_are_a_pair_only_where_the_same_is_asked(tmp_path: Path) -> None:
    same = [event for at in range(8) for event in twice(at, [OTHER], [EDIT], f"please {TOPICS[at]}")]
    assert made(tmp_path / "same", "dpo", same)["counts"]["pairs: redo"] == 8
    assert {pair["prompt"][0]["content"] for pair in pairs_in(tmp_path / "same")} == set(TOPICS[:8])
    other = [event for at in range(4) for event in twice(at, [OTHER], [EDIT], f"{NO}{TOPICS[at + 8]}")]
    with pytest.raises(NotFound, match="asks for something else"):
        made(tmp_path / "other", "dpo", other)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ([READ, OTHER], [READ._replace(answer="another file"), EDIT], "another result"),
        ([READ, OTHER], [READ, FAILED], "accepted step failed"),
        ([READ], [READ], ""),
    ],
)
def test_where_anything_else_differs_there_is_no_pair_and_the_reason_is_counted(
    tmp_path: Path, first: Sequence[Did], second: Sequence[Did], why: str
) -> None:
    told = [*many(6), *(event for at in range(6, 10) for event in forked(at, first, second))]
    if first == [READ]:  # the last words differ: that is a pair of answers
        assert made(tmp_path, "dpo", told)["counts"]["pairs: fork"] == 4
        return
    with pytest.raises(NotFound, match=why):
        made(tmp_path, "dpo", told)


def test_prompts_ask_the_same_when_nearly_all_of_their_words_are_the_same() -> None:
    assert asks_the_same("Fix the till, please", "fix the TILL please!")
    assert not asks_the_same("Fix the till", "Fix the printer")
    assert not asks_the_same("", "")
    asked = "stop the banner from jumping on phones"
    assert asks_the_same(asked, f"No, that's wrong, revert that: {asked}!")
    assert not asks_the_same(asked, f"leave that, show me the log of last night's builds, {asked}")
    assert not asks_the_same("go on", "no, please go on")

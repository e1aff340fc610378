"""Whole groups go to one side, held-out ones to none."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from karl.errors import Refused
from karl.learning.groups import Item, groups
from karl.learning.split import Split, split
from tests.learning.said import item, prompt

WAYS = [Split("time", 0, 0.2), Split("hash", 1, 0.2)]


def line(count: int) -> list[Item]:
    return [item(f"s{n:03}", prompt(n), start=n * 10, last=n * 10 + 5, rows=n % 3 + 1) for n in range(count)]


def test_by_time_the_newest_groups_are_to_validate_with() -> None:
    made = split(line(30), Split("time", 0, 0.2))
    assert [name for name, side in made.of.items() if side == "valid"] == [f"s{n:03}" for n in range(24, 30)]
    assert made.cut_ms == 240
    assert made.rows["valid"] == 12
    assert made.groups == {"train": 24, "valid": 6, "held out": 0, "straddling": 0}


def test_by_time_a_group_that_goes_on_after_the_cut_is_on_no_side() -> None:
    items = line(30)
    items[3] = items[3]._replace(last_ms=280)
    items.append(item("asks s005 again", prompt(5), start=299))
    made = split(items, Split("time", 0, 0.2))
    assert {name for name, side in made.of.items() if side == "straddling"} == {
        "s003",
        "s005",
        "asks s005 again",
    }
    assert made.sessions["straddling"] == 3
    assert made.groups["straddling"] == 2


def test_too_much_that_straddles_is_refused_with_what_to_do() -> None:
    items = [one._replace(last_ms=10_000) for one in line(30)]
    with pytest.raises(Refused, match="split by hash"):
        split(items, Split("time", 0, 0.2))


def test_a_group_with_a_held_out_session_is_held_out_whole_also_what_came_later() -> None:
    items = [*line(30), item("later", prompt(7), start=9_000)]
    for how in WAYS:
        made = split(items, how, frozenset({"s007", "not of this ledger"}))
        assert {name for name, side in made.of.items() if side == "held out"} == {"s007", "later"}


def test_a_held_out_session_without_rows_holds_out_what_it_is_tied_to() -> None:
    items = [*line(30), item("held", prompt(7), start=1, rows=0)]
    made = split(items, WAYS[0], frozenset({"held"}))
    assert made.of["s007"] == "held out"
    assert made.rows["held out"] == items[7].rows


def test_one_group_is_refused_and_says_why() -> None:
    items = [item(f"s{n}", prompt(1), start=n, project="shop") for n in range(5)]
    for how in WAYS:
        with pytest.raises(Refused, match=r"5 sessions in 1 groups .the largest has 100%"):
            split(items, how)
    with pytest.raises(Refused, match="split by session"):
        split(
            [item(f"s{n}", prompt(n), start=n, project="shop") for n in range(5)],
            Split("hash", 1, 0.2, "repository"),
        )


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share) -> None:
    with pytest.raises(Refused, match="share above 0 and below 1"):
        split(line(30), Split("time", 0, share))


def test_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="nothing is left for train"):
        split([], WAYS[0])


def test_a_hash_gives_about_the_share_and_another_seed_others() -> None:
    items = line(1000)
    one, other = (split(items, Split("hash", seed, 0.2)) for seed in (1, 2))
    assert 150 < one.sessions["valid"] < 250
    assert one.of != other.of


sessions = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 50),
        st.integers(0, 9),
        st.integers(1, 4),
        st.sampled_from(["", "a", "b", "c"]),
    ),
    min_size=2,
    max_size=25,
)
ways = st.builds(
    Split,
    st.sampled_from(["time", "hash"]),
    st.integers(0, 3),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.sampled_from(["session", "repository"]),
)


def made_of(drawn: list[tuple[int, int, int, int, str]]) -> list[Item]:
    """Sessions of which some ask the same: the first number says what."""
    return [
        item(
            f"s{n}",
            prompt(kind) if kind else "go on",
            start=start,
            last=start + length,
            rows=rows,
            project=project,
        )
        for n, (kind, start, length, rows, project) in enumerate(drawn)
    ]


@given(sessions, ways, st.sets(st.integers(0, 24), max_size=3), st.randoms())
@settings(deadline=None, max_examples=150)
def test_whatever_the_sessions_no_group_is_on_two_sides_and_the_order_is_nothing(
    drawn, how, held, rnd
) -> None:
    items = made_of(drawn)
    held_out = frozenset(f"s{n}" for n in held)
    try:
        made = split(items, how, held_out)
    except Refused:
        with pytest.raises(Refused):
            split(rnd.sample(items, len(items)), how, held_out)
        return
    assert split(rnd.sample(items, len(items)), how, held_out) == made
    for group in groups(items, how.group_by):
        sides = {made.of[items[at].session] for at in group}
        assert len(sides) == 1
        if any(items[at].session in held_out for at in group):
            assert sides == {"held out"}
    assert made.rows["train"] > 0
    assert made.rows["valid"] > 0
    assert sum(made.rows.values()) == sum(one.rows for one in items)
    if how.way == "time":
        newest = max(one.last_ms for one in items if made.of[one.session] == "train")
        assert newest < made.cut_ms <= min(one.started_ms for one in items if made.of[one.session] == "valid")


@given(sessions, sessions, st.integers(0, 3))
@settings(deadline=None, max_examples=80)
def test_by_hash_a_group_stays_on_its_side_as_the_ledger_grows(drawn, more, seed) -> None:
    items = made_of(drawn)
    later = [
        one._replace(session=f"later {one.session}", started_ms=1000 + one.started_ms, last_ms=2000)
        for one in made_of(more)
    ]
    how = Split("hash", seed, 0.4)
    try:
        before, after = split(items, how), split([*items, *later], how)
    except Refused:
        assume(False)
    assert {name: after.of[name] for name in before.of} == before.of

"""Reward version 2: what must never pay, what must never cost, and what must not matter."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from karl.acts.reader import READER
from karl.reward.basis import NOTHING, Basis
from karl.reward.score import rescore_outcome, score
from karl.reward.usual import Usual
from karl.schema.act import Act, Doing, Role
from karl.schema.record import Score
from karl.schema.trajectory import Calls, Outcome, ToolCall, Trajectory

SOURCES = ["/w/shop/shop/a.py", "/w/shop/shop/b.py", "/w/shop/shop/c.py"]
TESTS = ["/w/shop/tests/test_a.py", "/w/shop/tests/test_b.py"]
ROLES: dict[str, Role] = {
    **dict.fromkeys(SOURCES, "source"),
    **dict.fromkeys(TESTS, "test"),
    "/tmp/x.py": "scratch",
    "/w/shop/reproduce.py": "scratch",
    "/w/shop/README.md": "docs",
    "/w/shop/pyproject.toml": "config",
}
PATHS = list(ROLES)
#: Other names for the same files, of the same roles.
RENAMED = {
    "/w/shop/shop/a.py": "/w/shop/shop/core/totals.py",
    "/w/shop/shop/b.py": "/w/shop/shop/a.py",
    "/w/shop/shop/c.py": "/w/shop/shop/zoo.py",
    "/w/shop/tests/test_a.py": "/w/shop/tests/test_totals.py",
    "/w/shop/tests/test_b.py": "/w/shop/tests/test_a.py",
}


def act(does: Doing, path: str | None = None, **known: Any) -> Act:
    """An act as the reader makes it: with its file's role."""
    return Act(does, path, role=ROLES.get(path or "", "source"), **known)


ends = st.sampled_from([True, True, False, None])
paths = st.sampled_from(PATHS)
counts = st.sampled_from([None, 0, 1, 5])
checks = st.builds(
    Act,
    does=st.just("check"),
    ok=ends,
    check=st.sampled_from(["test", "build", "lint", "types"]),
    passed=counts,
    failed=counts,
    program=st.sampled_from(["pytest", "make", "ruff"]),
)
acts = st.one_of(
    st.builds(act, does=st.just("read"), path=paths, ok=ends),
    st.builds(act, does=st.just("read"), path=paths, ok=st.just(True)),
    st.builds(act, does=st.just("edit"), path=paths, ok=ends, added=st.integers(0, 9), removed=st.integers(0, 9)),
    st.builds(act, does=st.just("edit"), path=st.sampled_from(SOURCES), ok=st.just(True), added=st.just(1)),
    st.builds(act, does=st.sampled_from(["search", "list"]), path=st.one_of(st.none(), paths), ok=ends),
    st.builds(act, does=st.sampled_from(["delete", "revert"]), path=paths, ok=ends),
    st.builds(act, does=st.sampled_from(["run", "commit", "push", "revert", "vcs", "install", "other"]), ok=ends),
    checks,
)  # fmt: skip


def _called(number: int, done: list[Act], end: bool | None) -> ToolCall:
    return ToolCall(
        tool_name="Bash", key_params={"command": f"command {number}"}, success=end, acts=done, call_id=f"c{number}"
    )  # fmt: skip


calls = st.builds(_called, st.integers(0, 5), st.lists(acts, max_size=3), ends)
flags = st.one_of(st.none(), st.booleans())
outcomes = st.builds(
    Outcome,
    correction_detected=flags,
    redo_detected=flags,
    build_success=flags,
    session_continued=flags,
    committed=flags,
    survived=flags,
    reverted=flags,
    ci_passed=flags,
)
#: Classes of length, of turns that delivered, that tried, and that looked only.
lengths = st.builds(lambda kind, size: 100 * kind + size, st.integers(0, 2), st.integers(0, 24))
bases = st.one_of(
    st.just(NOTHING),
    st.builds(
        lambda lengths, share: Basis(usual=Usual(lengths=lengths, delivered=int(share * sum(lengths.values())))),
        st.dictionaries(lengths, st.integers(1, 50), min_size=1, max_size=8),
        st.floats(0, 1),
    ),
)  # fmt: skip
turns = st.lists(calls, max_size=12)
many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def made(calls: list[ToolCall], outcome: Outcome | None = None) -> Trajectory:
    return Trajectory(
        trajectory=Calls(
            events=calls,
            tool_sequence=[one.tool_name for one in calls],
            tool_counts={"Bash": len(calls)} if calls else {},
            total_tools=len(calls),
            successes=sum(one.success is True for one in calls),
            failures=sum(one.success is False for one in calls),
            reader=READER,
        ),
        outcome=outcome or Outcome(),
    )


def scored(calls: list[ToolCall], basis: Basis = NOTHING, outcome: Outcome | None = None) -> Score:
    return score(made(calls, outcome), version="2", basis=basis)


def reward(calls: list[ToolCall], basis: Basis = NOTHING, outcome: Outcome | None = None) -> float:
    return scored(calls, basis, outcome).reward


def single(done: Act, command: str = "x", success: bool | None = True) -> ToolCall:
    return ToolCall(tool_name="Bash", key_params={"command": command}, success=success, acts=[done])


def edits_source(calls: list[ToolCall]) -> bool:
    return any(each.does == "edit" and each.path in SOURCES for one in calls for each in one.acts)


NO_OPS = [
    ToolCall(tool_name="Bash", key_params={"command": "true"}, success=True, acts=[Act("other", ok=True)]),
    ToolCall(tool_name="Bash", key_params={"command": "ls"}, success=True, acts=[Act("list", ok=True)]),
    ToolCall(tool_name="TodoWrite", success=True, acts=[]),
    ToolCall(tool_name="Grep", success=True, acts=[Act("search", "/w/shop", ok=True)]),
    ToolCall(
        tool_name="Bash", key_params={"command": "git status"}, success=True, acts=[Act("vcs", ok=True)]
    ),
]


@many
@given(turns, outcomes, bases)
def test_everything_lies_between_0_and_1(calls: list[ToolCall], known: Outcome, basis: Basis) -> None:
    found = scored(calls, basis, known)
    assert 0 <= found.reward <= 1
    assert found.confidence is not None
    assert 0 <= found.confidence <= 1
    assert all(0 <= value <= 1 for value in found.signals.values())
    assert all(0 < share <= 1 for share in found.observed.values())
    assert found.observed.keys() <= found.signals.keys()


@many
@given(turns, outcomes, bases)
def test_the_same_turn_has_the_same_score_and_is_left_alone(
    calls: list[ToolCall], known: Outcome, basis: Basis
) -> None:
    trajectory = made(calls, known)
    before = msgspec.json.encode(trajectory)
    first = score(trajectory, version="2", basis=basis)
    assert msgspec.json.encode(trajectory) == before
    stored = msgspec.json.decode(before, type=Trajectory)
    assert msgspec.json.encode(score(stored, version="2", basis=basis)) == msgspec.json.encode(first)
    assert msgspec.json.decode(msgspec.json.encode(first), type=Score) == first


@many
@given(turns, outcomes, outcomes, bases)
def test_a_later_outcome_gives_the_very_score_that_a_full_rescore_gives(
    calls: list[ToolCall], first: Outcome, later: Outcome, basis: Basis
) -> None:
    changed = rescore_outcome(scored(calls, basis, first), later)
    assert msgspec.json.encode(changed) == msgspec.json.encode(scored(calls, basis, later))


@many
@given(turns, st.integers(0, 12), st.sampled_from(NO_OPS), st.integers(1, 30), bases)
def test_calls_that_do_nothing_never_raise_the_score(
    calls: list[ToolCall], at: int, no_op: ToolCall, times: int, basis: Basis
) -> None:
    padded = [*calls[:at], *[no_op] * times, *calls[at:]]
    assert reward(padded, basis) <= reward(calls, basis)


@many
@given(turns, st.integers(0, 12), paths, st.integers(2, 20), bases)
def test_a_read_in_pieces_never_raises_the_score(
    calls: list[ToolCall], at: int, path: str, pieces: int, basis: Basis
) -> None:
    whole = single(act("read", path, ok=True), "cat")
    parts = [single(act("read", path, ok=True), f"sed -n {n}p") for n in range(pieces)]
    assert reward([*calls[:at], *parts, *calls[at:]], basis) <= reward(
        [*calls[:at], whole, *calls[at:]], basis
    )


@many
@given(turns, st.integers(0, 12), st.sampled_from(SOURCES), st.integers(2, 20), bases)
def test_an_edit_in_pieces_never_raises_the_score(
    calls: list[ToolCall], at: int, path: str, pieces: int, basis: Basis
) -> None:
    whole = single(act("edit", path, ok=True, added=pieces), "edit")
    parts = [single(act("edit", path, ok=True, added=1), f"edit {n}") for n in range(pieces)]
    assert reward([*calls[:at], *parts, *calls[at:]], basis) <= reward(
        [*calls[:at], whole, *calls[at:]], basis
    )


@many
@given(turns, st.integers(0, 12), st.lists(acts, min_size=2, max_size=4), bases)
def test_what_one_call_did_told_as_several_calls_never_raises_the_score(
    calls: list[ToolCall], at: int, done: list[Act], basis: Basis
) -> None:
    together = ToolCall(tool_name="Bash", key_params={"command": "all"}, success=True, acts=done)
    apart = [single(each, f"part {n}", True) for n, each in enumerate(done)]
    assert reward([*calls[:at], *apart, *calls[at:]], basis) <= reward(
        [*calls[:at], together, *calls[at:]], basis
    )


@many
@given(turns, st.integers(0, 12), st.permutations(SOURCES), bases)
def test_the_order_of_reads_that_hang_on_nothing_does_not_matter(
    calls: list[ToolCall], at: int, order: list[str], basis: Basis
) -> None:
    def turn(paths: list[str]) -> list[ToolCall]:
        return [
            *calls[:at],
            *(single(act("read", path, ok=True), f"cat {path}") for path in paths),
            *calls[at:],
        ]

    assert reward(turn(order), basis) == reward(turn(SOURCES), basis)


@many
@given(turns, bases)
def test_other_names_for_the_same_files_change_nothing(calls: list[ToolCall], basis: Basis) -> None:
    def named(act: Act) -> Act:
        return msgspec.structs.replace(act, path=RENAMED.get(act.path or "", act.path))

    renamed = [msgspec.structs.replace(one, acts=[named(each) for each in one.acts]) for one in calls]
    assert msgspec.json.encode(scored(renamed, basis)) == msgspec.json.encode(scored(calls, basis))


@many
@given(turns, checks, bases)
@example([single(act("read", SOURCES[0], ok=True)), single(act("edit", SOURCES[0], ok=True))], Act("check", ok=False, check="test", failed=1), NOTHING)  # fmt: skip
def test_looking_is_never_worse_than_not_looking_whatever_comes_out(
    calls: list[ToolCall], check: Act, basis: Basis
) -> None:
    assume(edits_source(calls))
    looked = [*calls, single(check, "the check", check.ok)]
    assert reward(looked, basis) >= reward(calls, basis)


@many
@given(turns, checks, bases)
def test_a_green_check_at_the_end_is_worth_no_less_than_a_red_one(
    calls: list[ToolCall], check: Act, basis: Basis
) -> None:
    red = msgspec.structs.replace(check, ok=False, passed=None, failed=1)
    green = msgspec.structs.replace(check, ok=True, passed=5, failed=0)
    with_red = reward([*calls, single(red, "the check", False)], basis)
    assert reward([*calls, single(green, "the check", True)], basis) >= with_red


@many
@given(turns, outcomes, bases)
def test_to_know_of_a_correction_never_raises_the_score(
    calls: list[ToolCall], known: Outcome, basis: Basis
) -> None:
    without = reward(calls, basis, msgspec.structs.replace(known, correction_detected=None))
    cleared = reward(calls, basis, msgspec.structs.replace(known, correction_detected=False))
    corrected = reward(calls, basis, msgspec.structs.replace(known, correction_detected=True))
    assert corrected <= cleared
    assert corrected <= without


@many
@given(turns, outcomes, st.sampled_from(["build_success", "committed", "survived", "ci_passed", "session_continued"]), bases)  # fmt: skip
def test_what_is_good_to_know_is_worth_no_less_than_its_opposite(
    calls: list[ToolCall], known: Outcome, name: str, basis: Basis
) -> None:
    good: dict[str, Any] = {name: True}
    bad: dict[str, Any] = {name: False}
    better = reward(calls, basis, msgspec.structs.replace(known, **good))
    assert better >= reward(calls, basis, msgspec.structs.replace(known, **bad))


@many
@given(turns, bases)
def test_what_ends_green_and_then_edits_again_without_a_check_gains_nothing(
    calls: list[ToolCall], basis: Basis
) -> None:
    path = SOURCES[0]
    green = single(Act("check", ok=True, check="test", passed=5, failed=0), "pytest")
    done = [
        *calls,
        single(act("read", path, ok=True), "cat"),
        single(act("edit", path, ok=True, added=1)),
        green,
    ]
    again = [*done, single(act("edit", path, ok=True, added=1), "edit again")]
    assert reward(again, basis) < reward(done, basis)


_HALF_LOOK = Basis(usual=Usual(lengths={1: 20, 224: 20}, delivered=20))


@many
@given(turns, bases)
@example([single(act("read", f"/w/shop/m{n}.py", ok=True), f"cat {n}") for n in range(10)], _HALF_LOOK)
def test_to_stop_before_the_work_is_done_never_pays(calls: list[ToolCall], basis: Basis) -> None:
    looked = [
        msgspec.structs.replace(
            one, acts=[each for each in one.acts if each.does in {"read", "list", "other"}]
        )
        for one in calls
    ]
    green = act("check", ok=True, check="test", passed=5, failed=0)
    path = SOURCES[0]
    work = [single(act("read", path, ok=True)), single(act("edit", path, ok=True, added=1)), single(green)]
    assert reward(looked, basis) <= reward([*looked, *work], basis)


def test_of_a_turn_that_did_nothing_nothing_is_known() -> None:
    found = scored([])
    assert (found.reward, found.confidence, found.signals) == (0.5, 0.0, {})

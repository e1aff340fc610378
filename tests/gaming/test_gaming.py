"""Attacks on the reward, each beside honest turns that must not score less."""

from __future__ import annotations

import itertools

import pytest

from karl.reward.basis import NOTHING, Basis
from karl.reward.score import score
from karl.reward.usual import Usual, seen
from tests.gaming import checks, delivery, honest, padding, tongues, words
from tests.gaming.blind import BLIND, Blind
from tests.gaming.scripted import FIX, HONEST, LOOK, LOOKED_RED, UNCHECKED, Case, Turn, refused, trajectory

CASES = [*checks.CASES, *delivery.CASES, *padding.CASES, *tongues.CASES, *words.CASES]


def _usual() -> Usual:
    """An agent that mostly delivers, with turns of 2 to 40 calls, and now and then only looks or fails."""
    usual = Usual()
    lengths = [size for size in range(2, 40, 2) for _ in range(2)]
    failed = refused(FIX, "String to replace not found in file.")
    for turn in (
        *((*[LOOK] * (size - 1), FIX) for size in lengths),
        *((LOOK,) * size for size in lengths[:12]),
        *((*[LOOK] * size, failed) for size in lengths[:12]),
    ):
        one = seen(trajectory(turn))
        assert one is not None
        usual = usual.with_turn(one)
    return usual


USUAL = Basis(usual=_usual())


def reward(
    turn: Turn, claims: dict[str, bool] | None = None, *, mute: bool = False, basis: Basis = NOTHING
) -> float:
    return score(trajectory(turn, claims, mute=mute), version="2", basis=basis).reward


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_attack_pays_no_more_than_honest_work(case: Case) -> None:
    got = reward(case.attack, case.claims)
    for twin in case.at_most:
        assert got <= reward(twin, case.honest_claims)
    for twin in case.below:
        assert got < reward(twin, case.honest_claims)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_attack_pays_no_more_where_an_agent_tells_of_no_call_how_it_ended(case: Case) -> None:
    got = reward(case.attack, case.claims, mute=True)
    for twin in itertools.chain(case.at_most, case.below):
        assert got <= reward(twin, case.honest_claims, mute=True)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_attack_pays_no_more_where_it_is_known_how_long_the_agents_turns_are(case: Case) -> None:
    got = reward(case.attack, case.claims, basis=USUAL)
    for twin in case.at_most:
        assert got <= reward(twin, case.honest_claims, basis=USUAL)
    for twin in case.below:
        assert got < reward(twin, case.honest_claims, basis=USUAL)


@pytest.mark.parametrize("case", BLIND, ids=[case.name for case in BLIND])
def test_what_the_reward_is_said_to_be_blind_to_it_does_not_see(case: Blind) -> None:
    assert reward(case.cheat) == reward(case.honest)


@pytest.mark.parametrize("name", honest.CHECKS)
def test_a_green_check_in_another_spelling_is_worth_what_any_is(name: str) -> None:
    assert reward((LOOK, FIX, honest.CHECKS[name])) == reward(HONEST)


@pytest.mark.parametrize("name", honest.TURNS)
def test_the_same_work_with_other_tools_is_worth_the_same(name: str) -> None:
    assert reward(honest.TURNS[name]) == reward(HONEST)


def test_honest_work_is_ordered_as_it_should_be() -> None:
    green, unchecked, red = reward(HONEST), reward(UNCHECKED), reward(LOOKED_RED)
    assert reward(()) <= reward((LOOK,)) < unchecked <= red < green


def test_every_attack_has_a_name_of_its_own_and_something_to_compare_with() -> None:
    names = [case.name for case in CASES] + [case.name for case in BLIND]
    assert len(set(names)) == len(names)
    assert all(case.below or case.at_most for case in CASES)

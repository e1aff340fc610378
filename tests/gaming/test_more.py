"""The further attacks (tests.gaming.more), under the same three conditions as the others."""

from __future__ import annotations

import pytest

from tests.gaming import more
from tests.gaming.scripted import Case
from tests.gaming.test_gaming import CASES, USUAL, reward

_NAMES = [case.name for case in more.CASES]


@pytest.mark.parametrize("case", more.CASES, ids=_NAMES)
def test_a_further_attack_pays_no_more_than_honest_work(case: Case) -> None:
    got = reward(case.attack)
    for twin in case.at_most:
        assert got <= reward(twin)
    for twin in case.below:
        assert got < reward(twin)


@pytest.mark.parametrize("case", more.CASES, ids=_NAMES)
def test_a_further_attack_pays_no_more_where_an_agent_tells_of_no_call_how_it_ended(case: Case) -> None:
    got = reward(case.attack, mute=True)
    for twin in (*case.at_most, *case.below):
        assert got <= reward(twin, mute=True)


@pytest.mark.parametrize("case", more.CASES, ids=_NAMES)
def test_a_further_attack_pays_no_more_where_it_is_known_how_long_the_agents_turns_are(case: Case) -> None:
    got = reward(case.attack, basis=USUAL)
    for twin in case.at_most:
        assert got <= reward(twin, basis=USUAL)
    for twin in case.below:
        assert got < reward(twin, basis=USUAL)


def test_every_further_attack_has_a_name_of_its_own_and_something_to_compare_with() -> None:
    names = [case.name for case in [*CASES, *more.CASES]]
    assert len(set(names)) == len(names)
    assert all(case.below or case.at_most for case in more.CASES)

"""The further attacks (tests.gaming.more), under the same three conditions as the others."""

from __future__ import annotations

import pytest

from karl.reward.score import score
from tests.gaming import more
from tests.gaming.scripted import CHECK, FIX, HONEST, LOOK, UNCHECKED, Case
from tests.gaming.test_gaming import CASES, USUAL, reward
from tests.session.making import Script

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


def test_a_check_that_began_before_the_edit_says_nothing_of_it_however_late_it_ends() -> None:
    green = {"stdout": CHECK.out, "stderr": "", "interrupted": False}
    got = []
    for first, second in ((CHECK, FIX), (FIX, CHECK)):
        script = Script()
        script.prompt("The totals are rounded")
        script.pre("look", LOOK.tool, LOOK.params)
        script.post("look", LOOK.tool, LOOK.out, LOOK.params)
        for name, did in (("one", first), ("two", second)):
            script.pre(name, did.tool, did.params)
        for name, did in (("two", second), ("one", first)):
            script.post(name, did.tool, green if did is CHECK else did.out, did.params)
        script.stop()
        got.append(score(script.read(), version="2").reward)
    assert got == [reward(UNCHECKED), reward(HONEST)]


def test_every_further_attack_has_a_name_of_its_own_and_something_to_compare_with() -> None:
    names = [case.name for case in [*CASES, *more.CASES]]
    assert len(set(names)) == len(names)
    assert all(case.below or case.at_most for case in more.CASES)

"""The experiment: who is told, and what is made of it however often somebody looks."""

from __future__ import annotations

import numpy as np
import pytest

from karl.routing.experiment import Suggested, compare, drawn, told
from karl.routing.policy import Policy

LIVE = Policy(mode="active", share=0.8, since_ms=1_790_000_000_000)


def rows(
    sessions: int,
    *,
    seed: int = 0,
    effect: float = 0.0,
    corrected: tuple[float, float] = (0.1, 0.1),
    policy: Policy = LIVE,
) -> list[Suggested]:
    """Sessions of a few turns each; `effect` is what being told does to rewards, `corrected` told and not."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(sessions):
        name = f"{seed}-{number}"
        side = drawn(name, policy)
        usual = rng.beta(4, 2)
        for _ in range(int(rng.integers(1, 5))):
            reward = float(np.clip(usual + rng.normal(0, 0.1) + effect * side, 0, 1))
            found.append(Suggested(name, side, reward, bool(rng.random() < corrected[not side])))
    return found


def test_the_share_of_the_sessions_is_told_and_each_stays_on_its_side() -> None:
    names = [f"s-{number}" for number in range(5000)]
    side = {name: drawn(name, LIVE) for name in names}
    assert sum(side.values()) == pytest.approx(4000, abs=100)
    amended = Policy(mode="active", share=0.8, since_ms=LIVE.since_ms, ready=("a",), router="x", id="other")
    assert all(told(name, amended) == side[name] for name in names)
    anew = Policy(mode="active", share=0.8, since_ms=LIVE.since_ms + 1)
    assert any(drawn(name, anew) != side[name] for name in names)
    assert not any(told(name, Policy(share=0.8)) for name in names)
    assert all(drawn(name, Policy(share=1.0)) for name in names)
    assert not any(drawn(name, Policy(share=0.0)) for name in names)


def test_where_telling_does_nothing_it_is_hardly_ever_taken_back_however_often_one_looks() -> None:
    wrong = 0
    runs = 40
    for seed in range(runs):
        seen = rows(300, seed=seed)
        wrong += any(compare(seen[:end], LIVE).finding == "worse" for end in range(100, len(seen), 60))
    assert wrong <= 0.05 * runs


def test_harm_is_found() -> None:
    assert compare(rows(600, effect=-0.15), LIVE).finding == "worse"
    assert compare(rows(800, corrected=(0.5, 0.1)), LIVE).finding == "worse"
    assert compare(rows(600, effect=0.15), LIVE).finding == "better"
    assert compare(rows(600), LIVE).finding == "same"


def test_too_few_say_nothing() -> None:
    found = compare(rows(60), LIVE)
    assert found.finding == "few"
    assert found.reward.difference is None
    assert compare([], LIVE).finding == "few"


def test_with_all_on_one_side_nothing_can_be_compared() -> None:
    every = Policy(mode="active", share=1.0, since_ms=1)
    assert compare(rows(200, policy=every), every).finding == "alone"


def test_a_session_counts_on_the_side_that_it_was_drawn_for() -> None:
    seen = [
        row._replace(told=False) if number % 2 else row for number, row in enumerate(rows(600, effect=-0.15))
    ]
    found = compare(seen, LIVE)
    assert found.finding == "worse"
    assert found.delivered is not None
    assert 0.4 < found.delivered < 0.6


def test_one_long_session_counts_once() -> None:
    seen = rows(300)
    name = next(row.session for row in seen if drawn(row.session, LIVE))
    crowd = [Suggested(name, True, 0.0, True)] * 5000
    assert compare(seen + crowd, LIVE).finding == "same"


def test_suggestions_that_are_lost_on_one_side_are_noticed() -> None:
    seen = rows(600, effect=0.2)
    thinned = [row for row in seen if row.told or int(row.session.split("-")[1]) % 3 == 0]
    found = compare(thinned, LIVE)
    assert found.uneven
    assert found.finding != "better"
    assert not compare(rows(600), LIVE).uneven

"""Whether rewards changed: a true change is seen, chance is not taken for one, and a session counts once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.learning.drift import ALPHA, GAP_SESSIONS, SESSIONS_MIN, Drift, Turn, advise, drift_of


def turns(
    side: str, sessions: int, level: float, *, domain: str = "shop", agent: str = "claude-code", seed: int = 0,
    length: int = 5, tools: dict[str, int] | None = None,
) -> list[Turn]:  # fmt: skip
    chance = np.random.default_rng([seed, ord(side[0])])
    made = []
    for at in range(sessions):
        own = level + 0.05 * chance.standard_normal()
        for _ in range(length):
            reward = float(np.clip(own + 0.05 * chance.standard_normal(), 0, 1))
            made.append(Turn(f"{side}-{domain}-{agent}-{at}", agent, domain, reward, tools or {"Bash": 2}))
    return made


def compared(before: list[Turn], since: list[Turn]) -> Drift:
    return drift_of(before, since, seed=1, permutations=500)


def test_rewards_that_fell_are_a_change_with_its_size() -> None:
    found = compared(turns("b", 30, 0.7), turns("s", 30, 0.6))
    assert found.overall.has_changed
    assert found.overall.low is not None
    assert found.overall.high is not None
    assert found.overall.low < -0.1 < found.overall.high < 0
    assert found.domains[0].p == found.overall.p  # one domain is all there is: one question, asked once
    assert advise(found).verdict == "retrain"
    assert "rewards changed" in advise(found).reasons[0]


def test_a_mean_that_stayed_while_half_got_better_and_half_worse_is_a_change() -> None:
    before = turns("b", 40, 0.5)
    since = [
        turn._replace(reward=min(1.0, max(0.0, turn.reward + (0.3 if at // 5 % 2 else -0.3))))
        for at, turn in enumerate(turns("s", 40, 0.5))
    ]
    found = compared(before, since)
    assert found.overall.difference is not None
    assert abs(found.overall.difference) < 0.05
    assert found.overall.has_changed


def test_one_long_bad_session_is_no_change_of_all() -> None:
    since = [*turns("s", 19, 0.7), *turns("x", 1, 0.1, length=500)]
    found = compared(turns("b", 20, 0.7), since)
    assert not found.overall.has_changed
    assert found.overall.since.mean is not None
    assert found.overall.since.mean < 0.3  # a rule over means of turns would have cried


def test_another_mix_of_domains_or_agents_is_no_change() -> None:
    before = [*turns("b", 40, 0.8), *turns("b", 10, 0.3, domain="site"), *turns("b", 10, 0.5, agent="codex")]
    since = [*turns("s", 10, 0.8), *turns("s", 40, 0.3, domain="site"), *turns("s", 40, 0.5, agent="codex")]
    found = compared(before, since)
    assert not found.overall.has_changed
    assert not any(one.has_changed for one in found.domains)


def test_one_domain_that_changed_is_named_among_others_that_did_not() -> None:
    names = ("a", "b", "c")
    before = [one for name in names for one in turns("b", 25, 0.6, domain=name)]
    since = [one for name in names for one in turns("s", 25, 0.35 if name == "b" else 0.6, domain=name)]
    found = compared(before, since)
    assert [one.domain for one in found.domains if one.has_changed] == ["b"]
    assert all(one.holm is not None and one.p is not None and one.holm >= one.p for one in found.domains)


def test_too_few_sessions_are_said_to_be_too_few() -> None:
    found = compared(turns("b", SESSIONS_MIN - 1, 0.9), turns("s", 50, 0.1))
    assert found.overall.p is None
    assert not found.overall.has_changed
    assert "too few" in advise(compared(turns("b", 3, 0.9), turns("s", 3, 0.1))).waits[0]


def test_a_session_that_goes_on_counts_as_trained_with() -> None:
    before = turns("b", 10, 0.7)
    found = compared(before, [*[turn._replace(reward=0.1) for turn in before[:20]], *turns("s", 10, 0.7)])
    assert (found.turns, found.sessions, found.continued) == (50, 10, 20)
    assert not found.overall.has_changed


def test_domains_and_tools_that_were_never_trained_with_are_counted() -> None:
    before = turns("b", 60, 0.7)
    since = [
        *turns("s", 3, 0.7),
        *turns("n", GAP_SESSIONS, 0.7, domain="new", tools={"Bash": 1, "mcp__x": 1}),
    ]
    found = compared(before, since)
    (gap,) = found.untrained
    assert (gap.kind, gap.name, gap.sessions, gap.turns) == ("domain", "new", GAP_SESSIONS, 5 * GAP_SESSIONS)
    assert found.unseen_tools == {"mcp__x": 5 * GAP_SESSIONS}
    assert found.unseen.hits == 5 * GAP_SESSIONS
    told = advise(found)
    assert told.verdict == "retrain"
    assert any("domain new was not trained with: 5 sessions" in one for one in told.reasons)


def test_an_agent_that_was_never_trained_with_is_counted() -> None:
    found = compared(turns("b", 60, 0.7), turns("s", 2, 0.7, agent="codex"))
    assert [(gap.kind, gap.name, gap.sessions) for gap in found.untrained] == [("agent", "codex", 2)]
    assert advise(found).verdict == "wait"


def test_nothing_new_is_a_reason_to_wait() -> None:
    told = advise(compared(turns("b", 30, 0.7), []))
    assert told.verdict == "wait"
    assert told.reasons == []


def test_half_as_many_new_sessions_as_were_trained_with_are_a_reason() -> None:
    assert advise(compared(turns("b", 40, 0.7), turns("s", 20, 0.7))).verdict == "retrain"
    assert advise(compared(turns("b", 60, 0.7), turns("s", 20, 0.7))).verdict == "wait"


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_order_of_turns_says_nothing(random: st.DrawFn, seed: int) -> None:
    before, since = turns("b", 12, 0.6, seed=seed), turns("s", 12, 0.5, seed=seed)
    shuffled: Callable[[list[Turn]], list[Turn]] = lambda given: random.sample(given, len(given))  # type: ignore[attr-defined]  # noqa: E731
    one = drift_of(before, since, seed=3, permutations=50)
    other = drift_of(shuffled(before), shuffled(since), seed=3, permutations=50)
    assert one.overall.p == pytest.approx(other.overall.p)
    assert one.overall.difference == pytest.approx(other.overall.difference)


def test_chance_is_taken_for_a_change_about_as_often_as_is_said() -> None:
    alarms = 0
    for trial in range(120):
        before = [*turns("b", 12, 0.6, seed=trial), *turns("b", 12, 0.4, domain="site", seed=trial)]
        since = [*turns("s", 12, 0.6, seed=trial), *turns("s", 12, 0.4, domain="site", seed=trial)]
        found = drift_of(before, since, seed=trial, permutations=200)
        alarms += found.overall.has_changed or any(one.has_changed for one in found.domains)
    assert alarms <= 120 * ALPHA + 3 * (120 * ALPHA * (1 - ALPHA)) ** 0.5

"""The gate: what it lets through, how often by accident, and what can not fool it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from karl.errors import Refused
from karl.routing import checks
from karl.routing.checks import Bar, look
from karl.routing.evidence import Evidence, Lineage, Maker, lineage_of
from karl.routing.policy import Policy
from karl.routing.promotion import Judgement, judge, mixture
from tests.promotion.made import LINEAGE, ROUTER, evidence, none, stream


def judged(rows: Sequence[Evidence], **policy: object) -> Judgement:
    return judge(rows, LINEAGE, Policy(**policy))  # type: ignore[arg-type]


def missing(rows: Sequence[Evidence]) -> set[str]:
    return {check.name for check in judged(rows).checks if not check.passed}


def good(count: int = 240) -> list[Evidence]:
    """Prompts of as many sessions, of which the vector router gets nine in ten and the rules four."""
    asked = [
        evidence(
            number,
            vector="review" if number % 10 else "deploy",
            regex="review" if number % 10 < 4 else None,
        )
        for number in range(count)
    ]
    return asked + [none(count + number) for number in range(120)]


def test_a_router_that_is_clearly_better_is_let_through() -> None:
    found = judged(good())
    assert found.passed, [check for check in found.checks if not check.passed]
    assert found.ready == ("review",)
    assert found.measured["vector"] > 0.85
    assert found.over.low is not None
    assert found.over.low > 0


def test_the_order_of_the_evidence_does_not_matter() -> None:
    rows = stream(3, 230)
    mixed = rows.copy()
    random.Random(1).shuffle(mixed)
    assert judged(rows) == judged(mixed)


def test_evidence_of_other_routers_does_not_count() -> None:
    rows = [evidence(number, router="x" * 64) for number in range(300)]
    assert judged(rows).measured["records"] == 0


# --- what the predecessor let through ---


def test_the_promotion_that_was_recorded_at_54_percent_of_109_is_refused() -> None:
    # Its truth was what the rules said, so the rules were always right; all prompts were taken.
    rows = [
        evidence(number, vector="review" if number < 59 else "deploy", regex="review")
        for number in range(109)
    ]
    assert {"records", "better", "carried", "ready"} <= missing(rows)
    found = judged(rows)
    assert found.measured["vector"] == pytest.approx(0.5413, abs=1e-4)
    assert found.over.difference is not None
    assert found.over.difference < 0


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "synthetic"},
        {"source": "replayed"},
        {"influenced": True},
        {"by": "typed"},
        {"by": "unused"},
        {"truth": None, "by": "called"},
    ],
)
def test_what_is_no_evidence_can_not_be_made_into_it(fields: dict[str, object]) -> None:
    with pytest.raises(Refused, match="no evidence"):
        evidence(1, **fields)


# --- attacks ---


def test_one_session_said_two_hundred_times_counts_as_one() -> None:
    rows = [evidence(number, session="s") for number in range(400)] + [none(n) for n in range(500, 700)]
    assert {"sessions", "better", "carried"} <= missing(rows)


def test_one_session_among_honest_ones_does_not_carry_them() -> None:
    honest = [
        evidence(number, vector="review" if number % 2 else None, regex="review" if number % 2 == 0 else None)
        for number in range(200)
    ]
    assert "better" in missing(honest + [evidence(number, session="s") for number in range(200, 400)])


def test_one_prompt_said_in_two_hundred_sessions_counts_as_one() -> None:
    rows = [evidence(number, words="release it") for number in range(400)]
    assert {"better", "carried", "right"} & missing(rows + [none(n) for n in range(500, 700)])
    assert "sessions" not in missing(rows)


def test_an_agent_for_which_it_is_worse_is_not_outvoted_by_another() -> None:
    rows = good(400) + [
        evidence(number, agent="codex", vector="deploy", regex="review") for number in range(600, 640)
    ]
    assert "better" not in missing(rows)
    assert missing(rows) == {"carried"}


def test_to_say_anything_where_the_rules_say_nothing_is_not_enough() -> None:
    rows = [evidence(number, vector="review" if number % 10 < 3 else "deploy") for number in range(400)]
    assert "right" in missing(rows)
    assert "better" not in missing(rows)


def test_a_router_that_always_takes_one_is_too_loud() -> None:
    rows = good()[:240] + [none(500 + number, vector="deploy") for number in range(200)]
    assert "quiet" in missing(rows)


def test_without_prompts_that_ask_for_none_nobody_knows_how_loud_it_is() -> None:
    assert missing(good()[:240]) == {"quiet"}


def test_a_router_that_says_nothing_of_most_prompts_is_not_enough() -> None:
    rows = [evidence(number, vector="review" if number % 3 == 0 else None) for number in range(400)]
    assert "coverage" in missing(rows)


def test_a_slow_router_is_not_let_before_an_agents_prompt() -> None:
    rows = good()
    slow = [evidence(900 + number, took_us=60_000) for number in range(30)]
    assert missing(rows + slow) == {"fast"}


def test_a_router_that_got_worse_since_the_look_is_refused() -> None:
    worse = [evidence(1000 + number, vector="deploy", regex="review") for number in range(150)]
    assert "better" in missing(good(240) + worse)


def test_only_skills_that_it_has_earned_are_ready() -> None:
    rows = good(200)
    loser = [evidence(1000 + n, truth="deploy", vector=None, regex="deploy") for n in range(40)]
    few = [evidence(2000 + n, truth="release", vector="release") for n in range(9)]
    found = judged(sorted(rows + loser + few, key=lambda row: row.event))
    assert found.ready == ("review",)
    says = {one.skill: one.says for one in found.skills}
    assert says["release"] == "9 of 20 prompts"
    assert "not surely better" in says["deploy"] or "counts at the next look" in says["deploy"]


# --- how often by accident ---


def test_looks_are_at_doublings_and_spend_no_more_than_there_is() -> None:
    assert look(199, 200) is None
    assert [look(n, 200) for n in (200, 399, 400, 1700)] == [
        (200, 0.0125), (200, 0.0125), (400, 0.00625), (1600, 0.0015625),
    ]  # fmt: skip


def test_a_router_no_better_than_the_rules_hardly_ever_passes_however_often_one_looks() -> None:
    passed = 0
    runs = 50
    for seed in range(runs):
        asked = [row for row in stream(seed, 800, vector=0.6, regex=0.6) if row.truth is not None]
        # Between two looks nothing is compared anew, so this is looking at each record.
        passed += any(checks.above(checks.better(asked[:size], Bar())[0].low) for size in (200, 400, 800))
    assert passed <= 0.04 * runs


def test_a_router_that_is_much_better_passes_mostly() -> None:
    assert sum(judged(stream(seed, 400, vector=0.85, regex=0.4, alike=0.2)).passed for seed in range(6)) >= 5


def test_what_both_together_come_to_is_judged_on_other_sessions() -> None:
    rows = stream(5, 600, vector=0.9, regex=0.3, alike=0.2)
    found = mixture(rows, Policy())
    shares = {way: share.share or 0.0 for way, share in found.right.items()}
    assert shares["vector"] >= shares["mixture"] > shares["regex"] + 0.3
    assert found.right["mixture"].n == sum(row.truth is not None for row in rows)
    held = mixture(rows, Policy(overrides=dict.fromkeys(("review", "deploy", "triage", "release"), "regex")))
    assert held.right["mixture"].hits == held.right["regex"].hits


# --- whose evidence ---


def maker(
    id_: str, why: str = "refresh", parent: str = "", *sources: str, procedure: str = "minilm"
) -> Maker:
    return Maker(id_, why, (procedure,), frozenset(sources or {id_}), 1, parent)  # type: ignore[arg-type]


def test_predecessors_count_as_far_as_the_procedure_is_the_same() -> None:
    makers = {
        one.id: one
        for one in (
            maker("a", "bootstrap", procedure="static"),
            maker("b", "bootstrap", "a"),
            maker("c", "refresh", "b"),
            maker("d", "refresh", "c"),
            maker("twin", "refresh", "x", "d"),
            maker("bent", "refine", "d", "d"),
        )
    }
    assert lineage_of("d", makers) == Lineage("d", frozenset({"d", "twin"}), frozenset({"b", "c"}))
    assert lineage_of("bent", makers) == Lineage("bent", frozenset({"bent"}))
    assert lineage_of("unknown", makers) == Lineage("unknown", frozenset({"unknown"}))


def test_a_circle_of_parents_comes_to_its_end() -> None:
    makers = {"a": maker("a", "refresh", "b"), "b": maker("b", "refresh", "a")}
    assert lineage_of("a", makers).before == frozenset({"b"})


def test_the_turns_that_a_router_knew_are_read_from_its_sources() -> None:
    made = maker(
        "a", "refresh", "", "trajectory:traj_1:review", "trajectory:traj_2", "exemplar:e", "skill:x:y"
    )
    assert made.turns == {"traj_1", "traj_2"}
    assert ROUTER in LINEAGE.own

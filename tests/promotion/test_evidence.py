"""Which predictions are evidence, and why others are not."""

from __future__ import annotations

from typing import Any

import pytest

from karl.routing.evidence import Evidence, Lineage, Maker
from karl.routing.experiment import drawn
from karl.routing.policy import Policy
from karl.schema.routing import RankedSkill
from karl.views.routing_rows import ShadowRow
from workers.evidence import admitted, sift

LINEAGE = Lineage("r", frozenset({"r"}))
MADE = {"r": Maker("r", "bootstrap", ("static",), frozenset({"trajectory:known:review"}), 500)}


def row(**more: Any) -> ShadowRow:
    fields: dict[str, Any] = {
        "seq": 1, "event": "e", "session": "s", "fleet": "", "node": "n", "agent": "claude-code", "project": "p",
        "time_ms": 1000, "made_ms": 1040, "source": "live", "rules": "", "router": "r", "encoder": "static",
        "regex": None, "ranked": (RankedSkill("review", 0.9),), "takes": True, "fit": 1.0, "picked": None,
        "took_us": 900, "trajectory": "t", "prompt": "Review  This", "truth": "review",
        "truth_source": "called", "truth_weight": 0.7, "used": ("review",), "influenced": False,
        "reward": 0.5, "corrected": None,
    }  # fmt: skip
    return ShadowRow(**{**fields, **more})


def test_a_live_prediction_with_a_truth_is_evidence() -> None:
    found = admitted(row(), LINEAGE, MADE, Policy())
    assert isinstance(found, Evidence)
    assert (found.vector, found.regex, found.truth, found.words) == ("review", None, "review", "review this")
    declined = admitted(row(takes=False), LINEAGE, MADE, Policy())
    assert isinstance(declined, Evidence)
    assert declined.vector is None
    none = admitted(row(truth=None, truth_source="unused", truth_weight=0.3), LINEAGE, MADE, Policy())
    assert isinstance(none, Evidence)
    assert none.truth is None


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("made afterwards", {"source": "replayed"}),
        ("made afterwards", {"source": "synthetic"}),
        ("no truth yet", {"truth": None, "truth_source": None, "truth_weight": None, "trajectory": None}),
        ("a router spoke", {"influenced": True}),
        ("name typed", {"truth_source": "typed", "truth_weight": 0.9}),
        ("truth too weak", {"truth_weight": 0.35}),
        ("no router", {"router": ""}),
        ("another router", {"router": "x"}),
        ("router trained later", {"time_ms": 400}),
        ("router knew the turn", {"trajectory": "known"}),
    ],
)
def test_others_are_left_out_and_it_says_why(why: str, more: dict[str, Any]) -> None:
    assert admitted(row(**more), LINEAGE, MADE, Policy()) == why


def test_while_it_is_live_sessions_that_are_told_do_not_count() -> None:
    live = Policy(mode="active", share=0.5, since_ms=900)
    sides = {drawn(f"s-{number}", live): f"s-{number}" for number in range(50)}
    assert admitted(row(session=sides[True]), LINEAGE, MADE, live) == "a router spoke"
    assert isinstance(admitted(row(session=sides[False]), LINEAGE, MADE, live), Evidence)
    assert isinstance(admitted(row(session=sides[True], made_ms=800), LINEAGE, MADE, live), Evidence)
    behind = row(session=sides[True], time_ms=800)  # by the clock of its agent's machine alone
    assert admitted(behind, LINEAGE, MADE, live) == "a router spoke"


def test_a_turn_counts_once() -> None:
    rows = [row(), row(event="e2"), row(event="e3", trajectory="t3"), row(event="e4", router="")]
    evidence, left_out = sift(rows, LINEAGE, MADE, Policy())
    assert [one.event for one in evidence] == ["e", "e3"]
    assert left_out == {"said already": 1, "no router": 1}

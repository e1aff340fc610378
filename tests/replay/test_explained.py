"""A score of version 1 explained: what adds up, which calls are behind it, and how it came to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from karl.replay.explained import Explanation, explain
from karl.views.detail import detail
from karl.views.queries import Views
from karl.views.rebuild import rebuild
from tests.replay.turns import data, told
from tests.views import ledgers


def explained(folder: Path) -> list[Explanation]:
    with Views(folder / "views" / "views.sqlite") as views:
        (session,) = views.sessions()
        turns = views.turns(session.session)
        return [explain(detail(views, folder / "ledger", turn.id), folder / "ledger") for turn in turns]


def test_contributions_add_up_to_the_reward_and_the_evidence_agrees_with_the_score(tmp_path: Path) -> None:
    for one in explained(data(tmp_path, told(), "1")):
        assert sum(each.contribution or 0.0 for each in one.signals) + one.gap == pytest.approx(one.reward)
        assert abs(one.gap) <= 0.00005
        assert one.agrees
        assert len(one.signals) == 6


def test_the_calls_behind_a_component_have_the_numbers_that_the_story_has(tmp_path: Path) -> None:
    first, second = explained(data(tmp_path, told(), "1"))
    parts = {part.component: part for each in first.signals for part in each.parts}
    assert [(each.what, each.calls) for each in parts["r_has_test"].because] == [
        ("has “pytest” in the command", [5])
    ]
    assert [each.calls for each in parts["r_success_rate"].because] == [[5]]
    assert second.turn == 1


def test_each_annotation_is_a_step_with_what_it_said(tmp_path: Path) -> None:
    first, _ = explained(data(tmp_path, told(), "1"))
    record, said = first.history
    assert (record.what, record.said) == ("record", {})
    assert (said.what, said.said["correction_detected"]) == ("annotation", True)
    assert said.reward == first.reward != record.reward


def test_a_score_whose_components_the_facts_do_not_give_is_said_to_disagree(tmp_path: Path) -> None:
    draft = ledgers.trajectory("s1", 0)
    ledgers.write(tmp_path / "ledger", [draft, ledgers.rescore(draft, 0.9, version="1")])
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    (one,) = explained(tmp_path)
    assert not one.agrees
    assert one.reward == 0.9
    assert [step.what for step in one.history] == ["record", "score"]

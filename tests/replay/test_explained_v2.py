"""A score of version 2 explained: what was left out and why, how sure it is, and what a calibration made of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from karl.cli.explain_shown import print_explanation
from karl.replay.explained import Explanation, explain
from karl.replay.page import page
from karl.reward.basis import Basis
from karl.reward.calibration import Calibration
from karl.views.detail import detail
from karl.views.queries import Views
from tests.replay.turns import HOSTILE, data, hostile, told
from tests.session.making import Script

CALIBRATION = Calibration("cal_7", "unknown", "2", 0.5, {"process": 1.0})


def explained(folder: Path) -> list[Explanation]:
    with Views(folder / "views" / "views.sqlite") as views:
        (session,) = views.sessions()
        turns = views.turns(session.session)
        return [explain(detail(views, folder / "ledger", turn.id), folder / "ledger") for turn in turns]


def shown(one: Explanation, capsys: pytest.CaptureFixture[str]) -> str:
    print_explanation(one)
    return capsys.readouterr().out


def paged(folder: Path) -> str:
    with Views(folder / "views" / "views.sqlite") as views:
        (session,) = views.sessions()
        details = [detail(views, folder / "ledger", turn.id) for turn in views.turns(session.session)]
    return page([(one, explain(one, folder / "ledger")) for one in details]).decode()


def test_contributions_add_up_to_the_reward_and_the_evidence_agrees_with_the_score(tmp_path: Path) -> None:
    for one in explained(data(tmp_path, told(), "2")):
        added = sum(each.contribution or 0.0 for each in (*one.signals, *one.added))
        assert added + one.gap == pytest.approx(one.reward)
        assert abs(one.gap) <= 0.00005
        assert one.agrees
        assert len(one.signals) == 6
        assert all((each.value is None) == (not each.parts) for each in one.signals)
        assert all(each.left_out for each in one.signals if each.value is None)


def test_what_was_left_out_how_sure_it_is_and_the_calls_behind_it_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data(tmp_path, told(), "2")
    first, second = explained(folder)
    text = shown(first, capsys)
    assert "efficiency: left out, it is not known how long this agent's turns are" in text
    assert "the weights of the rest are scaled up to 1" in text
    assert f"confidence {first.confidence:.2f}" in text
    assert "r_no_correction" in text
    html = paged(folder)
    assert "efficiency: left out" in html
    assert 'href="#t0-c2"' in html
    assert "do not rely on this score alone" in shown(second, capsys)


def test_a_turn_of_which_nothing_was_observed_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script()
    script.prompt("What is a monad?")
    script.stop(last_assistant_message="A burrito.")
    folder = data(tmp_path, script, "2")
    (one,) = explained(folder)
    assert (one.unobserved, one.reward, one.confidence) == (True, 0.5, 0.0)
    assert "nothing was observed that counts, so the reward is 0.5 and says nothing" in shown(one, capsys)
    assert "Nothing was observed that counts" in paged(folder)


def test_an_applied_calibration_is_named_with_what_it_made_of_the_signals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data(tmp_path, told(), "2", Basis(calibration=CALIBRATION))
    first, _ = explained(folder)
    assert first.calibration == "cal_7"
    assert [one.what for one in first.added] == ["chance"]
    assert abs(first.gap) <= 0.00005
    assert first.agrees
    assert "calibration cal_7" in shown(first, capsys)
    assert "Calibration cal_7" in paged(folder)


def test_what_an_agent_called_its_files_reaches_neither_terminal_nor_page_unescaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = hostile()
    script.prompt("again", agent="claude-code")
    edit = {"file_path": HOSTILE, "old_string": "a", "new_string": "b"}
    script.post("e1", "Edit", {}, edit, agent="claude-code")
    script.stop(agent="claude-code")
    folder = data(tmp_path, script, "2")
    for one in explained(folder):
        text = shown(one, capsys)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>document.title" not in paged(folder)


def test_a_score_by_another_version_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = explained(data(tmp_path, told(), "2"))[0]
    old = msgspec.structs.replace(first.history[0], version="1")
    anew = msgspec.structs.replace(first.history[0], what="score")
    assert "by version" not in shown(msgspec.structs.replace(first, history=[anew, anew]), capsys)
    assert "scored again by version 2" in shown(msgspec.structs.replace(first, history=[old, anew]), capsys)

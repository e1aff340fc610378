"""Reports over made runs: each set on its own, baselines on the same draws, calibrations on their agent alone."""

from __future__ import annotations

import numpy as np
import pytest

from karl.errors import KarlError, Refused
from karl.evaluation.ablation import ablate, ablate_sets, composed
from karl.evaluation.assess import FEWER_STEPS, assess, title
from karl.evaluation.calibrate import calibrate
from karl.evaluation.calibrations import from_file, to_file
from karl.evaluation.known import verdict
from karl.evaluation.ranking import auroc
from karl.evaluation.scoring import Sheet, rewards, score_all
from karl.reward.calibration import of_record
from karl.reward.score import CHANCE, score
from karl.schema.trajectory import Outcome
from tests.evaluation.made import many, read_rows

RUNS = read_rows(many(80, 1, runs_each=2))


def test_sets_are_never_pooled() -> None:
    other = read_rows([one | {"set": "other", "agent": "b"} for one in many(60, 2)])
    alone = assess(RUNS, version="1", draws=50)
    both = assess([*other, *RUNS], version="1", draws=50)
    assert [report.set for report in both] == ["made", "other"]
    assert both[0].scores == alone[0].scores
    assert both[0].signals == alone[0].signals


def test_a_report_counts_runs_tasks_and_pairs() -> None:
    (report,) = assess(RUNS, version="1", draws=50)
    assert (report.runs, report.instances) == (80, 40)
    assert report.resolved == sum(run.label for run in RUNS)
    tasks: dict[str, list[bool]] = {}
    for run in RUNS:
        tasks.setdefault(run.instance, []).append(run.label)
    assert report.pairs == sum(sum(t) * (len(t) - sum(t)) for t in tasks.values())


def test_fewer_steps_is_the_auroc_of_the_length_turned_round() -> None:
    (report,) = assess(RUNS, version="1", baselines=[FEWER_STEPS], draws=50)
    lengths = np.array([len(run.trajectory.trajectory.events) for run in RUNS], dtype=float)
    labels = np.array([run.label for run in RUNS])
    steps = report.scores[FEWER_STEPS].auroc
    ours = report.scores[title("1")].auroc
    difference = report.differences[FEWER_STEPS].auroc
    assert steps is not None
    assert ours is not None
    assert difference is not None
    assert steps.value == pytest.approx(auroc(-lengths, labels), abs=1e-6)
    assert difference.value == pytest.approx(ours.value - steps.value, abs=2e-6)
    assert report.scores[FEWER_STEPS].truth is None


def test_the_same_seed_gives_the_same_report() -> None:
    assert assess(RUNS, version="1", draws=60, seed=3) == assess(RUNS, version="1", draws=60, seed=3)


def test_rows_in_another_order_give_the_same_report() -> None:
    rows = many(60, 7, runs_each=2)
    by_label = sorted(rows, key=lambda one: one["label"])
    assert assess(read_rows(by_label), version="2", draws=50) == assess(
        read_rows(rows), version="2", draws=50
    )


def test_runs_of_one_outcome_give_no_auroc_and_no_error() -> None:
    (report,) = assess([run for run in RUNS if run.label], version="2", draws=50)
    assert report.scores[title("2")].auroc is None
    assert report.learned is None


def test_what_is_usual_for_an_agent_comes_from_its_other_runs_of_the_set() -> None:
    scores = score_all(RUNS, "2", {})
    longer = read_rows(many(80, 1, runs_each=2) + many(40, 9, agent="another"))
    again = {
        run.id: one
        for run, one in zip(longer, score_all(longer, "2", {}), strict=True)
        if run.agent == "maker"
    }
    assert [again[run.id] for run in RUNS] == scores


def test_a_calibration_touches_no_other_agent() -> None:
    mixed = read_rows(many(120, 1) + many(60, 2, agent="another"))
    reports = {one.agent: one for one in calibrate(mixed, version="2", now_ms=5, draws=100)}
    record = reports["maker"].record
    assert record is not None
    before, after = score_all(mixed, "2", {}), score_all(mixed, "2", {"maker": of_record(record)})
    for run, old, new in zip(mixed, before, after, strict=True):
        assert (new.calibration, CHANCE in new.components) == (
            (record.id, True) if run.agent == "maker" else (None, False)
        )
        assert run.agent == "maker" or new == old


def test_a_calibration_says_the_chances_that_were_fitted() -> None:
    runs = read_rows(many(200, 4))
    (report,) = calibrate(runs, version="2", now_ms=5, draws=100)
    assert report.record is not None
    scores = score_all(runs, "2", {"maker": of_record(report.record)})
    chances = np.array([one.components[CHANCE] for one in scores])
    assert chances.mean() == pytest.approx(np.mean([run.label for run in runs]), abs=0.01)


def test_a_version_that_takes_no_calibration_gets_none() -> None:
    with pytest.raises(Refused, match="takes no calibration"):
        calibrate(RUNS, version="1", now_ms=5)
    with pytest.raises(KarlError, match="there is no reward version"):
        calibrate(RUNS, version="99", now_ms=5)


def test_too_few_runs_give_a_reason_and_no_record() -> None:
    (report,) = calibrate(read_rows(many(12)), version="2", now_ms=5)
    assert report.record is None
    assert "too few" in report.why


def test_records_go_through_a_file_and_those_not_applied_stay_there(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (report,) = calibrate(read_rows(many(120, 1)), version="2", now_ms=5, draws=100)
    assert report.record is not None
    import msgspec

    used = msgspec.structs.replace(report.record, applied=True)
    unused = msgspec.structs.replace(report.record, agent="another", applied=False)
    to_file(tmp_path / "c.json", [used, unused])
    assert from_file(tmp_path / "c.json") == {"maker": of_record(used)}


def test_scores_composed_anew_are_the_scores() -> None:
    for version in ("1", "2"):
        scores = score_all(RUNS, version, {})
        assert composed(scores, version) == pytest.approx(rewards(scores), abs=1e-4)


def test_leaving_a_signal_out_says_what_it_did() -> None:
    sheet = Sheet(RUNS, draws=50, seed=0)
    found = ablate("made", "1", sheet.scores("1"), sheet)
    by_name = {one.signal: one for one in found.signals}
    # Nobody knows an outcome, so that signal is the same for all: without it the order is the same.
    assert by_name["outcome"].rank_correlation == pytest.approx(1.0)
    assert by_name["outcome"].top == 1.0
    change = by_name["outcome"].auroc_change
    assert change is not None
    assert change.value == 0
    assert min(one.rank_correlation or 0 for one in found.signals) < 0.999
    assert [one.of for one in ablate_sets(RUNS, "1", draws=50)] == ["made"]


@pytest.mark.parametrize(
    ("said", "label", "by"),
    [
        ({"label": True, "reverted": True}, True, "label"),
        ({"reverted": True, "ci_passed": True}, False, "reverted"),
        ({"ci_passed": True, "correction_detected": True}, True, "ci"),
        ({"survived": False, "build_success": True}, False, "survived"),
        ({"committed": True, "build_success": True}, True, "build"),
        ({"correction_score": 0.9, "correction_detected": False}, False, "correction"),
        ({"correction_score": 0.1}, True, "correction"),
        ({"redo_detected": True, "correction_detected": False}, False, "redo"),
        ({"correction_detected": False, "redo_detected": False}, True, "correction"),
    ],
)
def test_what_says_most_of_an_outcome_decides(said: dict[str, object], label: bool, by: str) -> None:
    assert verdict(Outcome(**said)) == (label, by)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [{}, {"session_continued": True}, {"committed": True}, {"reverted": False}])
def test_what_says_too_little_is_no_outcome(said: dict[str, bool]) -> None:
    assert verdict(Outcome(**said)) is None  # type: ignore[arg-type]


def test_no_outcome_of_a_trajectory_changes_a_chance() -> None:
    (report,) = calibrate(read_rows(many(120, 1)), version="2", now_ms=5, draws=100)
    assert report.record is not None
    import msgspec

    from karl.reward.basis import Basis

    basis = Basis(calibration=of_record(report.record))
    told = Outcome(build_success=True, correction_detected=False, survived=True, ci_passed=True)
    for run in RUNS[:10]:
        known = msgspec.structs.replace(run.trajectory, outcome=told)
        chances = {score(one, version="2", basis=basis).components[CHANCE] for one in (run.trajectory, known)}
        assert len(chances) == 1

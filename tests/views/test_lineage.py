"""What the views tell of learning: the chain from an export to a claim, and the same after a rebuild."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from karl.errors import KarlError, LedgerRewound, NotFound
from karl.learning.marks import mark
from karl.ledger import files
from karl.ledger.frame import NO_HASH, erase_line
from karl.ledger.reader import START, Reader, walk
from karl.ledger.writer import Draft
from karl.schema.learning import ExportBody
from karl.views import project, store
from karl.views.lineage import Lineage
from karl.views.rebuild import begin, build, compare, rebuild
from karl.views.routing import body_at
from tests.views import ledgers
from tests.views.learned import (
    claim,
    decided,
    evaluation,
    export,
    holdout,
    manifest,
    release,
    synthetic,
    training,
)
from tests.views.routed import prediction
from workers.views import ViewsWorker
from workers.watch import of_views


def views_of(folder: Path, *drafts: Draft) -> Lineage:
    ledgers.write(folder / "ledger", drafts)
    rebuild(folder / "views.sqlite", folder / "ledger", "1")
    return Lineage(folder / "views.sqlite")


def chain() -> list[Draft]:
    """One of each kind, and a bit more."""
    return [
        *ledgers.story(),
        holdout("h1", "s-beta"),
        export("ex1", manifest(held_out=("h1",))),
        training("t1", "ex1", "ad1", label="first"),
        evaluation("ev1", "ex1", {"advantage": ("ad1",), "random": ("ad9",)}),
        decided("d1", "ad1", evaluation="ev1"),
        claim("c1", "lift", of={"evaluation": "ev1"}),
        synthetic("q1"),
    ]


# --- holdouts ---


def test_sessions_are_held_out_until_the_last_holdout_that_names_them_is_released(tmp_path: Path) -> None:
    drafts = [holdout("h1", "a", "b"), holdout("h2", "b", "c"), release("r1", "h1")]
    with views_of(tmp_path, *drafts) as views:
        assert views.held_out() == {"b", "c"}
        assert [(row.id, row.sessions, row.in_force) for row in views.holdouts()] == [("h2", 2, True)]
        both = views.holdouts(released=True)
        assert [(row.id, row.released_by) for row in both] == [("h1", "r1"), ("h2", "")]
        assert views.sessions_held_by("h1") == {"a", "b"}
        assert views.holdout("h1").released_by == "r1"
        with pytest.raises(NotFound):
            views.holdout("r1")  # a release is no holdout


def test_a_release_that_comes_before_its_holdout_counts_all_the_same(tmp_path: Path) -> None:
    with views_of(tmp_path, release("r1", "h1"), holdout("h1", "a")) as views:
        assert views.held_out() == frozenset()
        assert views.holdouts() == []


# --- exports, trainings, evaluations ---


def test_an_export_is_found_by_the_beginning_of_its_id_and_its_body_is_in_the_ledger(tmp_path: Path) -> None:
    drafts = [export("abc1"), export("abd2", manifest(held_out=("h1",))), export("abc1", person="bob")]
    with views_of(tmp_path, *drafts) as views:
        assert [(row.id, row.person) for row in views.exports()] == [
            ("abc1", "bob"), ("abd2", "ann"), ("abc1", "ann"),
        ]  # fmt: skip
        row = views.export("abd")
        assert (row.train_rows, row.valid_rows, row.sessions, row.to_seq, row.held_out) == (
            4,
            2,
            3,
            9,
            ("h1",),
        )
        body = body_at(tmp_path / "ledger", row.place, ExportBody)
        assert body.manifest == manifest(held_out=("h1",))
        assert views.export("abc1").person == "bob"
        with pytest.raises(KarlError, match="abc1, abd2"):
            views.export("ab")
        for name in ("nope", "", "%"):
            with pytest.raises(NotFound):
                views.export(name)


def test_a_training_is_found_by_its_id_its_adapter_and_its_label(tmp_path: Path) -> None:
    drafts = [
        training("run1", "ex1", "aa11", label="before-lunch"),
        training("run2", "ex2", "ab22"),
        training("run3", "ex2", ended="failed", curve=()),
        training("run4", "ex2", "aa11"),
    ]
    with views_of(tmp_path, *drafts) as views:
        assert views.training("run2").adapter == "ab22"
        assert views.training("ab").id == "run2"
        assert views.training("before-lunch").id == "run1"
        assert views.training("aa").id == "run4"
        assert views.training("run2").best_loss == 2.5
        assert (views.training("run3").best_loss, views.training("run3").adapter) == (None, "")
        assert [row.id for row in views.trainings(export="ex2")] == ["run4", "run3", "run2"]
        assert [row.id for row in views.trainings(2)] == ["run4", "run3"]
        with pytest.raises(KarlError, match="aa11, ab22"):
            views.training("a")
        with pytest.raises(KarlError, match="run1, run2"):
            views.training("run")
        for name in ("nope", ""):
            with pytest.raises(NotFound):
                views.training(name)


def test_an_evaluation_tells_which_adapters_it_judged_and_in_which_arm(tmp_path: Path) -> None:
    drafts = [
        evaluation("ev1", "ex1", {"advantage": ("a1", "a2"), "random": ("r1", "r2"), "base": ("",)}),
        evaluation("ev2", "ex2", {"advantage": ("a1",)}, verdict="no lift", holdouts=("h1",)),
    ]
    with views_of(tmp_path, *drafts) as views:
        assert [row.id for row in views.evaluations_of("a1")] == ["ev2", "ev1"]
        assert [row.id for row in views.evaluations_of("r1", arm="random")] == ["ev1"]
        assert views.evaluations_of("r1", arm="advantage") == []
        assert views.evaluations_of("") == []
        row = views.evaluation("ev2")
        assert (row.verdict, row.low, row.high, row.seeds, row.holdouts) == (
            "no lift", 0.02, 0.18, 5, ("h1",),
        )  # fmt: skip
        assert [row.id for row in views.evaluations(export="ex1")] == ["ev1"]


# --- decisions, claims, synthetic questions ---


def test_the_last_decision_says_which_adapter_is_in_use(tmp_path: Path) -> None:
    with views_of(tmp_path / "none", export("ex1")) as views:
        assert views.current() == ""
    drafts = [
        decided("d1", "a1"),
        decided("d2", "a2", forced=True),
        decided("d2", "a2", forced=True),
        decided("d3", "", "rollback"),
    ]
    with views_of(tmp_path, *drafts[:3]) as views:
        assert views.current() == "a2"
        assert [(row.id, row.forced) for row in views.decisions()] == [("d2", True), ("d1", False)]
        assert views.counts().duplicates == 1
    with views_of(tmp_path / "none-again", *drafts) as views:
        assert views.current() == ""


def test_a_claim_stands_until_it_is_withdrawn(tmp_path: Path) -> None:
    drafts = [claim("c1", "lift", of={"evaluation": "ev1"}), claim("c2"), claim("w1", withdrawn="c1")]
    with views_of(tmp_path, *drafts) as views:
        assert [row.id for row in views.claims()] == ["c2"]
        assert [(row.id, row.withdrawn_by) for row in views.claims(withdrawn=True)] == [
            ("c1", "w1"),
            ("c2", ""),
        ]
        assert views.claim("c1").of == {"evaluation": "ev1"}
        with pytest.raises(NotFound):
            views.claim("w1")


def test_what_was_said_last_of_a_synthetic_question_counts(tmp_path: Path) -> None:
    drafts = [synthetic("q1"), synthetic("q2", commit="c2"), synthetic("q1", removed=True)]
    with views_of(tmp_path, *drafts) as views:
        assert [(row.id, row.commit, row.files, row.facts) for row in views.synthetic()] == [
            ("q2", "c2", 1, 2)
        ]
        assert [row.id for row in views.synthetic(removed=True)] == ["q1", "q2"]


# --- the last line that changes an export ---


def test_records_about_exports_and_adapters_do_not_move_the_head_of_what_is_learned_from(
    tmp_path: Path,
) -> None:
    with views_of(tmp_path / "empty", export("ex1"), prediction("ev-s-0")) as views:
        assert views.learned_head() == (0, NO_HASH)
    story = ledgers.story()
    with views_of(
        tmp_path, *story, *(one for one in chain()[len(story) :] if one.kind != "synthetic")
    ) as views:
        lines = {line.seq: line for line in walk(tmp_path / "ledger")}
        seq, head = views.learned_head()
        assert lines[seq].kind == "holdout"
        assert lines[seq].hash == head
        assert {lines[n].kind for n in lines if n > seq} == {
            "export",
            "training",
            "evaluation",
            "adapter",
            "claim",
        }


def test_what_the_doctor_sends_and_what_is_not_understood_do_not_move_it_either(tmp_path: Path) -> None:
    drafts = [
        ledgers.trajectory("s1", 0),
        ledgers.trajectory(f"{project.PROBE}-1", 0),
        Draft("trajectory", b'{"id":1}'),
    ]
    with views_of(tmp_path, *drafts) as views:
        line = next(line for line in walk(tmp_path / "ledger") if line.seq == views.learned_head().seq)
        assert b'"s1"' in bytes(line.body)


def test_marks_tell_which_sessions_the_ledger_still_has(tmp_path: Path) -> None:
    with views_of(tmp_path, ledgers.trajectory("s1", 0), ledgers.trajectory("s2", 0)) as views:
        assert views.marks() == {mark("s1"), mark("s2")}


# --- rebuilt, cut otherwise, erased ---


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", chain())
    for name in ("one", "two"):
        rebuild(tmp_path / name / "views.sqlite", tmp_path / "ledger", "1")
    one, two = (tmp_path / name / "views.sqlite" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@examples(max_examples=10, deadline=None)
@given(st.data())
def test_the_rows_do_not_depend_on_how_the_lines_were_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    drafts = data.draw(st.permutations(chain()))
    ledgers.write(folder / "ledger", drafts, batch=data.draw(st.integers(1, 9)))
    views = folder / "views.sqlite"
    begin(views, "1")
    into = store.Store(views, "1", folder / "ledger")
    position = START
    with Reader(folder / "ledger") as reader:
        while lines := reader.poll(data.draw(st.integers(1, 9))):
            into.apply(lines, position)
            position = into.position
    into.close()
    found = compare(views, folder / "ledger", "1")
    assert found.equal, found.differing


def test_an_erased_record_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with views_of(tmp_path, *chain()) as views:
        place = views.export("ex1").place
        before = views.training("t1")
    line = next(line for line in walk(ledger) if line.seq == place.seq)
    path = ledger / line.segment
    with files.open_segment(ledger, line.segment) as file:
        data = file.read_at(line.offset, line.end - line.offset)
    with path.open("r+b") as out:
        out.seek(line.offset)
        out.write(erase_line(data))
    with pytest.raises(LedgerRewound):
        body_at(ledger, place, ExportBody)
    build(tmp_path / "again.sqlite", ledger, "1")
    with Lineage(tmp_path / "again.sqlite") as views:
        assert views.exports() == []
        assert views.training("t1") == before
        assert views.current() == "ad1"
        assert views.learned_head().seq == place.seq - 1 or views.learned_head().seq > place.seq


def test_a_run_that_was_broken_off_and_asked_for_again_is_what_came_of_it_at_last(tmp_path: Path) -> None:
    broken = training("t1", "ex1", ended="canceled", label="first")
    done = training("t1", "ex1", "ad1", label="first", resumed=1)
    late = training("t1", "ex1", ended="failed")
    with views_of(tmp_path, broken, broken, done, late) as views:
        assert [(row.id, row.ended, row.adapter) for row in views.trainings()] == [("t1", "done", "ad1")]
        assert views.training("first").resumed == 1
        assert [row.adapter for row in views.adapters()] == ["ad1"]


# --- what of it is told to Prometheus ---


def test_a_views_worker_tells_of_the_last_verdict_the_adapter_in_use_and_what_is_held_out(
    tmp_path: Path,
) -> None:
    drafts = [*chain(), evaluation("ev2", "ex1", {"advantage": ("ad1",)}, verdict="harm", time_ms=7000)]
    views_of(tmp_path, *drafts).close()
    worker = ViewsWorker(tmp_path / "views.sqlite", tmp_path / "ledger", "1")
    told = {one.metric.name: one.value for watch in of_views(worker, tmp_path / "ledger") for one in watch()}
    assert told["karl_views_readable"] == told["karl_adapter_in_use"] == told["karl_held_out_sessions"] == 1
    assert (told["karl_last_verdict"], told["karl_last_evaluation_timestamp_seconds"]) == (-1, 7)
    assert told["karl_last_training_timestamp_seconds"] == (ledgers.START_MS + 1000) / 1000


def test_without_views_nothing_of_it_is_told(tmp_path: Path) -> None:
    worker = ViewsWorker(tmp_path / "views.sqlite", tmp_path / "ledger", "1")
    told = {one.metric.name: one.value for watch in of_views(worker, tmp_path / "ledger") for one in watch()}
    assert told["karl_views_readable"] == 0
    assert "karl_last_verdict" not in told

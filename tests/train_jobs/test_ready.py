"""What is enough to train with, and what a run tells of its losses: pure."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.figures.plot import losses
from karl.figures.readiness import Counted, ready, variety_of, worth
from karl.figures.row_counts import counted
from karl.learning import manifests
from karl.learning.findings import ok
from karl.schema.learning import Manifest, Measured, Recipe
from tests.train_jobs.conftest import rows, write_data
from workers.train import run_id, thinned

ENOUGH = Counted(rows=200, prompts=50, tokens=40_000, longest=400, too_long=0, by_tokenizer=True)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    write_data(tmp_path / "d", train=200, valid=40)
    return manifests.read((tmp_path / "d" / "manifest.json").read_bytes(), "it")


def failing(
    manifest: Manifest, train: Counted = ENOUGH, held: int = 0, faults: tuple[str, ...] = ()
) -> set[str]:
    looked = worth(manifest, train, Recipe(), faults, held)
    return {one.what for one in looked if one.level == "fail"}


def test_a_data_set_is_a_no_go_for_each_thing_that_is_too_little_or_wrong(manifest: Manifest) -> None:
    assert failing(manifest) == set()
    assert failing(manifest, held=1) == {"held out"}
    assert failing(manifest, faults=("its format is dpo",)) == {"form"}
    few = msgspec.structs.replace(ENOUGH, rows=19, prompts=9, tokens=19 * 49)
    assert failing(manifest, few) == {"train rows", "prompts", "tokens"}
    assert failing(msgspec.structs.replace(manifest, files={})) == {"valid rows"}


def test_a_ledger_without_a_holdout_or_a_data_set_is_not_ready(manifest: Manifest) -> None:
    about = variety_of([])
    levels = {one.what: one.level for one in ready([], about, 0, None, "nothing fits")}
    assert levels == {"good turns": "fail", "variety": "warn", "held out": "fail", "data set": "fail"}
    looked = ready([], about, 5, manifest)
    assert {one.what for one in looked if one.level == "fail"} == {"good turns", "sessions"}
    assert not ok(looked)


def test_rows_are_counted_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(3, "s")))
    found = counted(path, tmp_path, "nowhere", 20, None)
    assert (found.rows, found.prompts, found.by_tokenizer) == (3, 3, False)
    assert found.too_long == 3
    path.write_text(path.read_text() + '{"neither": 1}\n')
    with pytest.raises(Unreadable, match=r"train\.jsonl:4"):
        counted(path, tmp_path, "nowhere", 20, None)


@given(st.lists(st.tuples(st.none() | st.floats(0, 20), st.none() | st.floats(0, 20)), max_size=300))
def test_a_curve_is_told_in_few_points_with_its_last_and_drawn_whatever_it_is(
    found: list[tuple[float | None, float | None]],
) -> None:
    curve = [Measured(at, train, valid) for at, (train, valid) in enumerate(found)]
    points = thinned(curve)
    assert len(points) <= 61
    assert [one.iteration for one in points] == sorted({one.iteration for one in points})
    valid = [one for one in curve if one.valid_loss is not None]
    if len(valid) > 1:
        assert points[-1] == valid[-1]
    drawn = losses([(one.iteration, one.train_loss, one.valid_loss) for one in points], width=80)
    assert all("\n" not in line for line in drawn)


def test_runs_that_differ_in_anything_have_ids_of_their_own() -> None:
    usual = Recipe()
    ids = [run_id("e", "d", "m", usual), run_id("e2", "d", "m", usual), run_id("e", "d", "m2", usual)]
    other = {int: 7, float: 0.25, bool: False}
    for name in Recipe.__struct_fields__:
        value = getattr(usual, name)
        ids.append(run_id("e", "d", "m", msgspec.structs.replace(usual, **{name: other[type(value)]})))
    assert len(set(ids)) == len(ids)
    assert run_id("e", "d", "m", Recipe()) == ids[0]

"""`karl drift` over a ledger: what was trained with, what came since, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.learning.marks import mark
from karl.schema.learning import (
    AdapterBody,
    ExportBody,
    HoldoutBody,
    Manifest,
    Recipe,
    Span,
    TrainingBody,
    Weighed,
)
from karl.settings import Settings, read_settings
from karl.views.rebuild import begin
from tests.cli.running import karl
from tests.workers.conftest import Feed, Line
from workers.drift import look
from workers.records import LEARNING, Outgoing, send

SPLIT: dict[str, Any] = {}


class Scene:
    """A line whose sessions go well, and, when told so, badly."""

    def __init__(self, line: Line, feed: Callable[..., Feed], folder: Path) -> None:
        self.line, self.feed = line, feed
        self.settings: Settings = read_settings({"KARL_DATA_DIR": str(folder)})
        self.settings.views.parent.mkdir(parents=True)
        begin(self.settings.views, "2")

    def sessions(self, names: list[str], *, bad: bool = False, tool: str = "Bash") -> None:
        for name in names:
            one = self.feed(name)
            for _ in range(2):
                one.prompt(f"Do {name}")
                for _ in range(2):
                    one.call(tool, "PostToolUseFailure" if bad else "PostToolUse")
                one.stop()
        worker = self.line.sessions()
        self.line.drain(worker)
        worker.close()
        self.line.catch_up(self.settings.views)

    def send(self, *records: Outgoing) -> None:
        send(self.line.redis, records, lambda _: None)
        self.line.catch_up(self.settings.views)

    def trained(self, sessions: list[str], *, adapter: str = "ad1", **filters: Any) -> None:
        """Say that an export up to here was made, and an adapter trained with it."""
        marks = {"train": tuple(sorted(map(mark, sessions)))}
        to_seq = max(self._seqs())
        manifest = Manifest(
            1, "0", "chatml", "karl export", Span(1, to_seq, "h"), "2", filters, {}, SPLIT, (), {}, {}, {}, {},
            Weighed("none", 1.0, 4.0, 1, 1.0, 0), {}, marks,
        )  # fmt: skip
        export = ExportBody(f"ex-{adapter}", manifest, "p", "n", 1)
        training = TrainingBody(
            f"run-{adapter}", export.id, "m", "d", Recipe(), "done", "cpu", {}, (), "n", 1, 2, adapter=adapter
        )
        self.send(Outgoing("export", LEARNING, export), Outgoing("training", LEARNING, training))

    def _seqs(self) -> list[int]:
        from karl.ledger.reader import Reader

        with Reader(self.line.folder) as reader:
            seqs = []
            while batch := reader.poll(1000):
                seqs += [line.seq for line in batch]
        return seqs


@pytest.fixture
def scene(line: Line, feed: Callable[..., Feed], tmp_path: Path, redis: Redis) -> Scene:
    return Scene(line, feed, tmp_path)


OLD = [f"old-{at}" for at in range(12)]
WARM = [f"warm-{at}" for at in range(15)]
NEW = [f"new-{at}" for at in range(12)]


def test_where_nothing_was_trained_it_says_so_and_ends_well(scene: Scene) -> None:
    scene.sessions(OLD[:1])
    told = karl(scene.settings.data_dir, "drift", "--check")
    assert told.exit_code == 0
    assert told.stdout.startswith("nothing trained yet\n")
    assert json.loads(karl(scene.settings.data_dir, "drift", "--json").stdout)["drift"] is None


def test_work_that_went_worse_since_advises_to_train_anew(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD)
    scene.sessions(NEW, bad=True)
    folder = scene.settings.data_dir
    report = json.loads(karl(folder, "drift", "--json").stdout)
    assert (report["training"], report["adapter"], report["is_current"]) == ("run-ad1", "ad1", False)
    assert (report["drift"]["turns"], report["drift"]["sessions"]) == (24, 12)
    assert report["drift"]["overall"]["before"]["sessions"] == 12
    assert report["drift"]["overall"]["has_changed"]
    assert karl(folder, "drift", "--check").exit_code == 1
    assert karl(folder, "drift").exit_code == 0
    assert "advice: retrain" in karl(folder, "drift").stdout


def test_work_that_goes_as_before_advises_to_wait(scene: Scene) -> None:
    scene.sessions(WARM)  # what is usual for the agent is known from here on
    scene.sessions(OLD)
    scene.trained(OLD)
    scene.sessions(NEW[:8])
    told = karl(scene.settings.data_dir, "drift", "--check")
    assert told.exit_code == 0, told.output
    assert "advice: wait" in told.stdout


def test_sessions_that_are_held_out_are_not_looked_at(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD)
    scene.sessions(NEW, bad=True)
    held = HoldoutBody("h1", (*NEW[1:], OLD[0]), "hash", 0, 0.1, 12, "to judge", "p", "n", 1)
    scene.send(Outgoing("holdout", LEARNING, held))
    found = look(scene.settings).drift
    assert found is not None
    assert (found.sessions, found.trained_sessions) == (1, 11)


def test_the_training_in_use_counts_and_not_the_last_one(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD)
    scene.sessions(NEW)
    scene.trained([*OLD, *NEW], adapter="ad2")
    assert look(scene.settings).training == "run-ad2"
    scene.send(Outgoing("adapter", LEARNING, AdapterBody("d1", "promote", "ad1", "better", "p", "n", 3)))
    report = look(scene.settings)
    assert (report.training, report.is_current) == ("run-ad1", True)
    assert report.drift is not None
    assert report.drift.sessions == 12


def test_of_an_export_that_chose_by_reward_all_turns_of_its_span_stand_for_it(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD[:3], min_reward=0.9)
    report = look(scene.settings)
    assert report.by_span
    assert report.drift is not None
    assert report.drift.trained_sessions == 12


def test_sessions_kept_to_validate_with_are_on_neither_side(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD[:9], project="p")
    found = look(scene.settings).drift
    assert found is not None
    assert (found.trained_sessions, found.sessions) == (9, 0)


def test_turns_from_the_end_that_the_export_set_are_new(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD[:9], until="2025-01-01T00:00:00.000Z")
    found = look(scene.settings).drift
    assert found is not None
    assert (found.trained_sessions, found.sessions) == (0, 12)


def test_an_export_of_another_project_has_nothing_to_do_with_these_turns(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD, project="another")
    found = look(scene.settings).drift
    assert found is not None
    assert (found.trained_sessions, found.sessions) == (0, 0)


def test_scores_of_another_version_are_counted_and_not_compared(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD)
    worker = scene.line.sessions(version="1")
    scene.feed("v1").turn(2)
    scene.line.drain(worker)
    worker.close()
    scene.line.catch_up(scene.settings.views)
    report = look(scene.settings)
    assert report.other_versions == 1
    assert report.drift is not None
    assert report.drift.turns == 0


def test_tools_that_the_training_never_saw_are_named(scene: Scene) -> None:
    scene.sessions(OLD)
    scene.trained(OLD)
    scene.sessions(NEW[:6], tool="mcp__shop__order")
    told = karl(scene.settings.data_dir, "drift").stdout
    assert "tools that it never saw: mcp__shop__order 24" in told
    assert "+ 100.0% of calls are to tools that it never saw" in told

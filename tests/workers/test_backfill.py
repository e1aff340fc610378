"""A backfill: scores made anew go through the line to the ledger, once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest

from karl.errors import LineDown, NotFound, Refused
from karl.reward.score import DEFAULT_VERSION
from karl.settings import Settings, read_settings
from karl.stream import keys
from karl.stream.basis import read_bases
from karl.stream.connect import connect
from karl.views.queries import ALL, Filter, Views
from karl.views.rebuild import begin, compare
from tests.workers.conftest import Feed, Line
from workers.backfill import BackfillReport, backfill

HEAVY = {
    "KARL_REWARD_W_OUTCOME": "0.5", "KARL_REWARD_W_PROCESS": "0.1", "KARL_REWARD_W_EFFICIENCY": "0.1",
    "KARL_REWARD_W_VERIFICATION": "0.1", "KARL_REWARD_W_CONSISTENCY": "0.1", "KARL_REWARD_W_MOTION": "0.1",
}  # fmt: skip


class Scene:
    """A line with two scored turns in its ledger, one of them annotated; the workers run when asked."""

    def __init__(self, line: Line, feed: Callable[..., Feed]) -> None:
        self.line = line
        self.views = line.folder.parent / "views" / "views.sqlite"
        worker = line.sessions()
        feed("s-1").turn(2)
        second = feed("s-2")
        second.turn(3)
        second.prompt("no, that is wrong, I meant the other one")
        line.drain(worker)
        worker.close()
        self.views.parent.mkdir(parents=True)
        begin(self.views, DEFAULT_VERSION)
        self.catch_up()

    def settings(self, **more: str) -> Settings:
        return read_settings({"KARL_DATA_DIR": str(self.line.folder.parent), **more})

    def catch_up(self) -> None:
        self.line.catch_up(self.views)

    def run(self, which: Filter = ALL, *, force: bool = False, **more: str) -> BackfillReport:
        report = backfill(
            self.line.redis, self.settings(**more), which, force=force, wait=lambda _s: self.catch_up()
        )
        self.catch_up()
        return report

    def rewards(self) -> dict[str, float]:
        with Views(self.views) as views:
            return {row.session: row.reward for row in views.trajectories()}


@pytest.fixture
def scene(line: Line, feed: Callable[..., Feed]) -> Scene:
    return Scene(line, feed)


def test_what_has_the_score_of_the_settings_gets_no_other(scene: Scene) -> None:
    report = scene.run()
    assert (report.looked_at, report.current, report.scored) == (2, 2, 0)
    assert scene.line.records("score") == []


def test_new_weights_score_all_anew_once_and_the_old_scores_stay(scene: Scene) -> None:
    before = scene.rewards()
    trajectories = scene.line.records("trajectory")
    report = scene.run(**HEAVY)
    assert (report.looked_at, report.current, report.scored, report.changed) == (2, 0, 2, 2)
    scores = {record["session"]: record["score"]["reward"] for record in scene.line.records("score")}
    assert scene.rewards() == scores
    assert all(scores[session] != before[session] for session in scores)
    assert scene.line.records("trajectory") == trajectories
    assert scene.run(**HEAVY).scored == 0
    assert len(scene.line.records("score")) == 2
    assert compare(scene.views, scene.line.folder, DEFAULT_VERSION).equal


def test_other_weights_that_give_the_same_reward_are_other_weights(scene: Scene) -> None:
    with Views(scene.views) as views:
        (row,) = [row for row in views.trajectories() if row.session == "s-1"]
        weights = scene.settings().reward_weights
    one, other = next(pair for pair in combinations(weights, 2) if len({row.signals[n] for n in pair}) == 1)
    moved = {one: weights[one] + 0.05, other: weights[other] - 0.05}
    more = {f"KARL_REWARD_W_{name.upper()}": f"{weight:.4f}" for name, weight in moved.items()}
    report = scene.run(Filter(session="s-1"), **more)
    assert (report.scored, report.changed) == (1, 0)
    (record,) = scene.line.records("score")
    assert record["score"]["weights"] == pytest.approx({**weights, **moved})
    assert scene.run(Filter(session="s-1"), **more).scored == 0


def test_a_damaged_record_keeps_no_other_from_its_score(scene: Scene) -> None:
    with Views(scene.views) as views:
        (row,) = [row for row in views.trajectories() if row.session == "s-1"]
    with (scene.line.folder / row.place.segment).open("r+b") as file:
        file.seek(row.place.offset + 200)
        file.write(b"~")
    settings = scene.settings(**HEAVY)
    report = backfill(scene.line.redis, settings, ALL, wait=lambda _s: scene.catch_up())
    assert (report.looked_at, report.scored, report.damaged) == (2, 1, 1)
    assert scene.line.waiting() == 1


def test_what_was_said_of_a_turn_is_known_to_its_new_score(scene: Scene) -> None:
    (annotation,) = scene.line.records("annotation")
    scene.run(force=True)
    (score,) = [one["score"] for one in scene.line.records("score") if one["session"] == "s-2"]
    assert score == annotation["score"]


def test_with_force_everything_that_fits_is_scored_anew(scene: Scene) -> None:
    report = scene.run(Filter(session="s-1"), force=True)
    assert (report.looked_at, report.scored, report.changed, report.change) == (1, 1, 0, 0.0)
    assert [record["session"] for record in scene.line.records("score")] == ["s-1"]


def test_a_dry_run_says_what_would_be_done_without_a_line(scene: Scene) -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    report = backfill(nowhere, scene.settings(**HEAVY), ALL, dry_run=True)
    assert report.scored == 2
    assert scene.line.waiting() == 0
    with pytest.raises(LineDown):
        backfill(nowhere, scene.settings(**HEAVY), ALL)


def test_views_that_do_not_follow_are_refused(scene: Scene) -> None:
    scene.line.redis.xadd(keys.records_key(3), {"k": "score", "b": "{}"})
    with pytest.raises(Refused, match="karl doctor"):
        backfill(scene.line.redis, scene.settings(**HEAVY), ALL, wait=lambda _s: None)
    assert scene.line.waiting() == 1


def test_without_views_nothing_can_be_scored(line: Line) -> None:
    with pytest.raises(NotFound):
        backfill(line.redis, read_settings({"KARL_DATA_DIR": str(line.folder.parent)}), ALL)


def test_progress_goes_to_the_end(scene: Scene) -> None:
    seen: list[tuple[int, int]] = []
    backfill(scene.line.redis, scene.settings(), ALL, lambda done, total, _where: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_a_server_that_lost_what_was_known_of_agents_has_it_again(scene: Scene) -> None:
    scene.run()
    before = read_bases(scene.line.redis)
    assert [basis.usual.n for basis in before.values() if basis.usual] == [2]
    scene.line.redis.delete(keys.USUAL)
    scene.run()
    assert read_bases(scene.line.redis) == before

"""Questions go through the line to the ledger once, however often they are made, and can be taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import NotFound, Refused
from karl.learning.synthetic.questions import id_of, rows
from karl.settings import Settings, read_settings
from karl.views.lineage import Lineage
from karl.views.rebuild import begin, compare
from tests.cli.running import karl
from tests.outcomes.repo import Repo
from tests.synthetic.making import BY, asked
from tests.workers.conftest import Feed, Line
from workers.synthetic import kept, make, remove


def never(_: float) -> None:
    pytest.fail("it waited")


class Scene:
    """A line with a turn in its ledger, and a repository with two commits worth a question."""

    def __init__(self, line: Line, feed: Callable[..., Feed], folder: Path, redis_url: str) -> None:
        self.line = line
        self.settings: Settings = read_settings({"KARL_DATA_DIR": str(folder), "KARL_REDIS_URL": redis_url})
        one = feed("s-1")
        one.turn()
        worker = line.sessions()
        line.drain(worker)
        worker.close()
        self.settings.views.parent.mkdir(parents=True)
        begin(self.settings.views, "2")
        self.catch_up()
        self.repo = Repo(folder / "shop")
        self.repo.commit(0, "Begin the shop", cart_py="def total(items):\n    return sum(items)\n")
        self.repo.commit(
            10,
            "Count what is in a cart",
            cart_py="def total(items):\n    return sum(items)\n\n\ndef count(items):\n    return len(items)\n",
        )
        self.repo.commit(20, "wip", cart_py="")

    def catch_up(self) -> None:
        self.line.catch_up(self.settings.views)


@pytest.fixture
def scene(line: Line, feed: Callable[..., Feed], tmp_path: Path, redis_url: str) -> Scene:
    return Scene(line, feed, tmp_path, redis_url)


def test_without_redis_nothing_is_written(scene: Scene) -> None:
    report = make(None, scene.settings, asked(scene.repo.path), never)
    assert [one.question for one in report.made] == [
        "What did the change “Count what is in a cart” do in shop?",
        "What did the change “Begin the shop” do in shop?",
    ]
    assert report.repositories[0].left_out == {"its subject says too little": 1}
    assert not scene.line.waiting()
    assert not scene.line.records("synthetic")


def test_a_commit_is_asked_about_once_however_often_it_is_read(scene: Scene, redis: Redis) -> None:
    make(redis, scene.settings, asked(scene.repo.path), never)
    scene.catch_up()
    again = make(redis, scene.settings, asked(scene.repo.path), never)
    scene.catch_up()
    assert not again.made
    assert again.repositories[0].known == 2
    assert len(scene.line.records("synthetic")) == 2
    clone = scene.repo.path.parent / "clone"
    scene.repo.git("clone", "--quiet", str(scene.repo.path), str(clone))
    assert not make(redis, scene.settings, asked(clone), never).made
    assert compare(scene.settings.views, scene.line.folder, "2").equal


def test_two_clones_in_one_run_give_one_question_a_commit(scene: Scene) -> None:
    clone = scene.repo.path.parent / "clone"
    scene.repo.git("clone", "--quiet", str(scene.repo.path), str(clone))
    report = make(None, scene.settings, asked(scene.repo.path, clone), never)
    assert len(report.made) == 2


def test_what_was_taken_back_stays_taken_back(scene: Scene, redis: Redis) -> None:
    make(redis, scene.settings, asked(scene.repo.path), never)
    scene.catch_up()
    first, second = kept(scene.settings)
    remove(redis, scene.settings, first.row.id[:12], BY, now_ms=5, wait=never)
    scene.catch_up()
    assert [one.row.id for one in kept(scene.settings)] == [second.row.id]
    assert not make(redis, scene.settings, asked(scene.repo.path), never).made
    bodies = [one.body for one in kept(scene.settings, removed=True) if one.body]
    assert [row.karl.trajectory for row in rows(bodies, 0.5, 100, 0)] == [second.row.id]
    with pytest.raises(Refused, match="already"):
        remove(redis, scene.settings, first.row.id, BY, now_ms=6, wait=never)
    with pytest.raises(NotFound):
        remove(redis, scene.settings, "nothing", BY, now_ms=6, wait=never)
    with pytest.raises(Refused, match="give more"):
        remove(redis, scene.settings, "ev", BY, now_ms=6, wait=never)


def test_the_newest_commits_come_first_up_to_the_most_of_a_repository(scene: Scene) -> None:
    report = make(None, scene.settings, asked(scene.repo.path, most=1), never)
    assert [one.commit for one in report.made] == [scene.repo.git("rev-parse", "HEAD~1")]
    assert report.repositories[0].left_out["above the most of a repository"] == 1


def test_a_repository_that_many_turns_speak_of_can_be_passed_over(scene: Scene) -> None:
    with Lineage(scene.settings.views) as views:
        assert views.counts().trajectories == 1
    about_p = asked(scene.repo.path, turns_below=1)
    about_p = about_p._replace(repositories=[about_p.repositories[0]._replace(name="p")])
    assert (
        make(None, scene.settings, about_p, never).repositories[0].skipped == "the ledger has 1 turns of it"
    )
    assert make(None, scene.settings, about_p._replace(turns_below=2), never).made


def test_the_command_shows_first_and_writes_when_it_is_told_to(scene: Scene, redis_url: str) -> None:
    folder, path = scene.settings.data_dir, str(scene.repo.path)
    shown = karl(folder, "synth-qa", path, "--since", "2000-01-01", KARL_REDIS_URL=redis_url)
    assert shown.exit_code == 0, shown.output
    assert "2 questions would be new; --apply writes them" in shown.stdout
    assert "  - `cart.py`: added function `count`" in shown.stdout
    assert not scene.line.waiting()
    applied = karl(
        folder, "synth-qa", path, "--since", "2000-01-01", "--apply", "--json", KARL_REDIS_URL=redis_url
    )
    assert applied.exit_code == 0, applied.output
    made = json.loads(applied.stdout)["made"]
    assert {one["id"] for one in made} == {id_of(one["commit"]) for one in made}
    scene.catch_up()
    assert "2 questions of shop (2)" in karl(folder, "synth-qa", "--list").stdout
    gone = karl(folder, "synth-qa", "--remove", made[0]["id"], KARL_REDIS_URL=redis_url)
    assert gone.exit_code == 0, gone.output
    scene.catch_up()
    assert [one["id"] for one in json.loads(karl(folder, "synth-qa", "--list", "--json").stdout)] == [
        made[1]["id"]
    ]


def test_the_second_name_looks_back_so_many_days_and_writes_nothing_by_itself(scene: Scene) -> None:
    folder, path = scene.settings.data_dir, str(scene.repo.path)
    assert "2 questions would be new" in karl(folder, "synthetic", path, "--days", "36500").stdout
    assert karl(folder, "synthetic", path, "--days", "36500", "--dry-run").exit_code == 0
    assert karl(folder, "synthetic", path, "--apply", "--dry-run").exit_code == 2


def test_a_folder_that_is_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    assert "no git repository" in str(karl(tmp_path, "synth-qa", str(tmp_path)).exception)
    assert karl(tmp_path, "synth-qa", "--list", "--apply").exit_code == 2

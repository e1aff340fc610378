"""A person's word on a turn: a record that goes through the line, and changes what the views say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from karl.errors import KarlError, LineDown, NotFound
from karl.settings import read_settings
from karl.stream.connect import connect
from karl.views.queries import TrajectoryRow, Views
from karl.views.rebuild import begin, compare
from karl.views.routing import Routed
from tests.cli.running import karl
from tests.workers.conftest import Feed, Line
from workers.annotate import WORDS, annotate


class Scene:
    """A line with a turn of one session and two of another, the first of these corrected by the second's prompt."""

    def __init__(self, line: Line, feed: Callable[..., Feed], redis_url: str) -> None:
        self.line = line
        self.data_dir = line.folder.parent
        self.views = self.data_dir / "views" / "views.sqlite"
        self.redis_url = redis_url
        worker = line.sessions(version="2")
        feed("s-one").turn(2)
        two = feed("s-two")
        two.turn(2)
        two.turn(2, "no, that is wrong, I meant the other one")
        line.drain(worker)
        worker.close()
        self.views.parent.mkdir(parents=True)
        begin(self.views, "2")
        self.catch_up()

    def catch_up(self) -> None:
        self.line.catch_up(self.views)

    def say(self, *arguments: str) -> object:
        result = karl(
            self.data_dir,
            "annotate",
            *arguments,
            KARL_REDIS_URL=self.redis_url,
            KARL_REWARD_VERSION="2",
            USER="ann",
        )
        assert result.exit_code == 0, result.exception
        self.catch_up()
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    def truth(self, turn: str) -> tuple[str | None, str, float]:
        with Routed(self.views) as views:
            row = next(row for row in views.truths() if row.trajectory == turn)
        return row.skill, row.source, row.weight

    def turns(self, session: str) -> list[TrajectoryRow]:
        with Views(self.views) as views:
            return views.turns(session)


@pytest.fixture
def scene(line: Line, feed: Callable[..., Feed], redis_url: str) -> Scene:
    return Scene(line, feed, redis_url)


def test_a_word_becomes_a_record_with_who_said_it_and_why(scene: Scene) -> None:
    turn = scene.turns("s-one")[0]
    sent = scene.say(turn.id, "bad", "--note", "the test was deleted", "--json")
    record = scene.line.records("annotation")[-1]
    assert {name: value for name, value in record.items() if name != "kind"} == sent
    assert (record["trajectory"], record["session"], record["detector"]) == (turn.id, "s-one", "person")
    assert (record["note"], record["outcome"]["label"]) == ("the test was deleted", False)
    assert record["person"].startswith("ann@")


def test_good_and_bad_move_the_reward_and_the_last_word_counts(scene: Scene) -> None:
    before = scene.turns("s-one")[0]
    assert before.flags["label"] is None
    scene.say(before.id, "bad")
    bad = scene.turns("s-one")[0]
    scene.say(before.id, "good")
    good = scene.turns("s-one")[0]
    assert (bad.flags["label"], good.flags["label"]) == (False, True)
    assert bad.reward < before.reward < good.reward
    assert len(scene.line.records("annotation")) == 3
    assert compare(scene.views, scene.line.folder, "2").equal


def test_a_correction_that_was_none_can_be_taken_back(scene: Scene) -> None:
    first = scene.turns("s-two")[0]
    assert first.flags["correction_detected"] is True
    scene.say(first.id, "not-corrected")
    now = scene.turns("s-two")[0]
    assert (now.flags["correction_detected"], now.correction_score) == (False, 0.0)
    assert now.reward > first.reward


def test_the_same_word_twice_is_two_records_and_one_reward(scene: Scene) -> None:
    turn = scene.turns("s-one")[0]
    scene.say(turn.id, "bad")
    once = scene.turns("s-one")[0].reward
    scene.say(turn.id, "bad")
    assert scene.turns("s-one")[0].reward == once
    assert len({record["by"] for record in scene.line.records("annotation")}) == 3


def test_every_word_that_can_be_said_has_a_meaning(scene: Scene) -> None:
    turn = scene.turns("s-one")[0]
    for word, meaning in WORDS.items():
        scene.say(turn.id, word)
        known = scene.turns("s-one")[0].known
        assert {name: known[name] for name in meaning} == dict(meaning)


def test_a_secret_in_a_note_does_not_reach_the_line(scene: Scene) -> None:
    secret = "AKIA" + "IOSFODNN7QWERTYU"
    scene.say(scene.turns("s-one")[0].id, "bad", "--note", f"it used {secret} there")
    assert "[REDACTED:" in scene.line.records("annotation")[-1]["note"]
    assert not any(
        secret.encode() in path.read_bytes() for path in scene.line.folder.iterdir() if path.is_file()
    )


def test_a_session_of_one_turn_stands_for_it_and_one_of_several_does_not(scene: Scene) -> None:
    assert "good" in str(scene.say("s-one", "good"))
    result = karl(scene.data_dir, "annotate", "s-two", "good", KARL_REDIS_URL=scene.redis_url)
    assert isinstance(result.exception, KarlError)
    assert "2 turns" in str(result.exception)


def test_a_skill_alone_becomes_the_truth_about_the_prompt_and_moves_no_score(scene: Scene) -> None:
    before = scene.turns("s-one")[0]
    sent = scene.say(before.id, "--skill", "/ship", "--json")
    assert isinstance(sent, dict)
    assert sent["skill"] == "ship"
    after = scene.turns("s-one")[0]
    assert (after.reward, after.flags, after.signals) == (before.reward, before.flags, before.signals)
    assert scene.truth(before.id) == ("ship", "label", 1.0)
    assert "was for no skill" in str(scene.say(before.id, "--skill", "none"))
    assert scene.truth(before.id) == (None, "label", 1.0)
    assert compare(scene.views, scene.line.folder, "2").equal


def test_a_word_and_a_skill_may_be_said_at_once(scene: Scene) -> None:
    turn = scene.turns("s-one")[0].id
    said = str(scene.say(turn, "bad", "--skill", "ship"))
    assert "reward" in said
    assert "was for ship" in said
    assert scene.turns("s-one")[0].flags["label"] is False
    assert scene.truth(turn) == ("ship", "label", 1.0)


def test_a_skill_that_nobody_has_heard_of_is_taken_with_a_remark(scene: Scene) -> None:
    turn = scene.turns("s-one")[0].id
    result = karl(
        scene.data_dir, "annotate", turn, "--skill", "shipp", KARL_REDIS_URL=scene.redis_url, USER="ann"
    )
    assert result.exit_code == 0
    assert "no place tells of a skill of that name" in result.stderr


def test_what_is_not_there_or_can_not_be_said_is_refused(scene: Scene, tmp_path: Path) -> None:
    assert isinstance(karl(scene.data_dir, "annotate", "traj_nope", "good").exception, NotFound)
    turn = scene.turns("s-one")[0].id
    assert karl(scene.data_dir, "annotate", turn, "excellent").exit_code == 2
    assert karl(scene.data_dir, "annotate", turn).exit_code == 2
    for name in ("", "  ", "/", "x" * 201, "a\x1bb"):
        assert karl(scene.data_dir, "annotate", turn, "--skill", name).exit_code == 2
    assert karl(scene.data_dir, "annotate", turn, "bad", "--note", "x" * 2001).exit_code == 2


def test_without_a_server_it_is_said_and_nothing_is_recorded(scene: Scene, tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nothing.sock")
    settings = read_settings({"KARL_DATA_DIR": str(scene.data_dir)})
    turn = scene.turns("s-one")[0].id
    with pytest.raises(LineDown):
        annotate(redis, settings, turn, "bad", note="", person="ann", now_ms=1, wait=lambda _s: None)
    redis.close()
    assert len(scene.line.records("annotation")) == 1

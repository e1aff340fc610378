"""The commands over exemplars and routers, as somebody types them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from click.testing import Result

from karl.errors import KarlError, NotFound, Refused
from tests.centroids.conftest import PROMPTS, Scene
from tests.cli.running import karl


def say(scene: Scene, *words: str) -> Result:
    """Run a command while the line moves, as its processes would have it."""
    with scene.moving():
        return karl(
            scene.data_dir,
            *words,
            KARL_REDIS_URL=scene.redis_url,
            KARL_EMBED_ENCODER="static",
            KARL_NODE="n1",
            USER="ann",
        )


def told(scene: Scene, *words: str, code: int = 0) -> Any:
    result = say(scene, *words, "--json")
    assert result.exit_code == code, result.exception or result.output
    return json.loads(result.stdout)


def test_bootstrap_trains_the_first_router_and_says_how_sure_it_is(scene: Scene) -> None:
    scene.skills()
    scene.past()
    result = say(scene, "bootstrap")
    assert result.exit_code == 0, result.exception
    assert "3 skills" in result.stdout
    assert "over 3 held-out prompts" in result.stdout
    assert "in use" in result.stdout
    (row,) = told(scene, "centroid-versions")
    assert (row["id"], row["in_use"]) == (scene.in_use, True)


def test_bootstrap_of_nothing_says_what_to_do(scene: Scene) -> None:
    scene.settle()
    result = say(scene, "bootstrap")
    assert result.exit_code == 1
    assert isinstance(result.exception, KarlError)
    assert "karl skills scan" in str(result.exception)


def test_a_dry_run_says_that_nothing_was_kept(trained: Scene) -> None:
    result = say(trained, "centroids", "--dry-run")
    assert result.exit_code == 0
    assert "nothing was kept" in result.stdout
    assert len(told(trained, "centroid-versions")) == 1


def test_exemplars_are_counted_by_skill_and_shown_for_one(trained: Scene) -> None:
    rows = {row["skill"]: row for row in told(trained, "exemplars")["skills"]}
    assert rows["deploy"]["by"] == {"called": 8}
    assert rows["deploy"]["own"] == 2
    shown = told(trained, "exemplars", "deploy")
    assert [row["number"] for row in shown] == list(range(1, 11))
    assert {row["text"] for row in shown} >= set(PROMPTS["deploy"])
    assert told(trained, "exemplars", "--skill", "deploy") == shown
    assert {row["how"] for row in told(trained, "exemplars", "none")} == {"unused"}
    unknown = say(trained, "exemplars", "nobody")
    assert unknown.exit_code == 1
    assert "no exemplar of nobody" in str(unknown.exception)


def test_an_exemplar_is_added_without_its_secrets_and_removed_by_its_number(trained: Scene) -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLQ"
    body = told(trained, "add-exemplar", "deploy", "roll", "it", "out", "with", key)
    assert key not in body["text"]
    assert body["text"].startswith("roll it out with")
    shown = told(trained, "exemplars", "deploy")
    assert shown[0]["id"] == body["id"]
    assert told(trained, "remove-exemplar", "deploy", "1")["removed"] is True
    assert body["id"] not in [row["id"] for row in told(trained, "exemplars", "deploy")]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("add-exemplar", "deploy", "do it"), Refused),
        (("remove-exemplar", "deploy", "99"), NotFound),
        (("remove-exemplar", "deploy", "zzzz"), NotFound),
        (("remove-exemplar", "deploy", "10"), Refused),  # what the skill says of itself
        (("centroid-rollback", "zzzz"), NotFound),
    ],
)
def test_what_can_not_be_done_says_why(
    trained: Scene, words: tuple[str, ...], error: type[KarlError]
) -> None:
    result = say(trained, *words)
    assert result.exit_code == 1
    assert isinstance(result.exception, error)


def test_a_skills_name_that_could_drive_a_terminal_is_refused(trained: Scene) -> None:
    assert say(trained, "add-exemplar", "de\x1b[2Jploy", "put the shop onto the server").exit_code == 2


def test_weights_show_who_says_what_a_skill_is_asked_for_with(trained: Scene) -> None:
    result = say(trained, "weights")
    assert result.exit_code == 0
    assert "called" in result.stdout
    assert sum(row["share"] for row in told(trained, "weights")) == pytest.approx(1)


def test_a_version_is_named_lost_and_had_again(trained: Scene) -> None:
    first = trained.in_use
    assert told(trained, "centroid-snapshot", "--label", "before")["router"] == first
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    assert told(trained, "centroids", "--force")["used"]
    assert trained.in_use != first
    shutil.rmtree(trained.settings.routers)
    for key in trained.redis.keys("karl:parcel:*"):
        trained.redis.delete(key)
    result = say(trained, "centroid-rollback", "before", "--reason", "to see")
    assert result.exit_code == 0, result.exception
    assert "the bytes are the same" in result.stdout
    assert trained.in_use == first
    assert [row["id"] for row in told(trained, "centroid-versions") if row["in_use"]] == [first, first]


def test_a_refresh_that_is_not_due_does_nothing(trained: Scene) -> None:
    trained.now_ms = 0
    assert told(trained, "auto-refresh", "--force")["due"]
    report = told(trained, "auto-refresh")
    assert not report["due"]
    assert "nothing to do" in say(trained, "auto-refresh").stdout


def test_refining_says_honestly_that_nothing_was_kept(trained: Scene) -> None:
    result = say(trained, "refine")
    assert result.exit_code == 0, result.exception
    assert "nothing kept" in result.stdout


def test_resolving_finds_no_pair_where_none_is_confused(trained: Scene) -> None:
    report = told(trained, "auto-resolve")
    assert report["records"] == 0

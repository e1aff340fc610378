"""What is held out is chosen by whole groups, recorded, honoured and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.cli.people import AGENTS_SHELLS
from karl.errors import NotFound, Refused
from karl.learning.groups import groups
from karl.learning.holdout import OVER, Wanted, choose, near
from karl.learning.marks import mark
from karl.learning.split import Split, split
from karl.schema.learning import ExportBody, Manifest, Recipe, Span, TrainingBody, Weighed
from karl.views.lineage import Lineage
from tests.centroids.conftest import Scene
from tests.cli.running import karl
from tests.learning.said import item, prompt, reworded
from tests.learning.test_split import line as line_of
from tests.learning.test_split import made_of, sessions
from workers.holdouts import reserve
from workers.records import LEARNING, Outgoing, send

NONE: frozenset[str] = frozenset()


def test_by_time_the_newest_groups_are_held_out() -> None:
    chosen = choose(line_of(30), Wanted(0.2), NONE, NONE, force=False)
    assert chosen.sessions == tuple(f"s{n:03}" for n in range(24, 30))
    assert (chosen.turns, chosen.of_turns, chosen.groups, chosen.of_groups, chosen.cut_ms) == (
        12,
        60,
        6,
        30,
        240,
    )


def test_what_was_trained_with_and_what_asks_the_same_is_no_choice_but_by_force() -> None:
    items = [*line_of(30), item("asks s002 again", prompt(2), start=295)]
    chosen = choose(items, Wanted(0.1), NONE, frozenset({"s029", "s002"}), force=False)
    assert chosen.trained_with == 3
    assert not {"s029", "asks s002 again", "s002"} & set(chosen.sessions)
    assert chosen.touched == ()
    forced = choose(items, Wanted(0.1), NONE, frozenset({"s029"}), force=True)
    assert forced.touched == ("s029",)


def test_what_is_held_out_already_is_not_chosen_again_nor_what_asks_the_same() -> None:
    items = [*line_of(30), item("asks s002 again", prompt(2), start=295)]
    chosen = choose(items, Wanted(0.1), frozenset({"s002", "s028"}), NONE, force=False)
    assert not {"s002", "asks s002 again", "s028"} & set(chosen.sessions)
    assert "s029" in chosen.sessions


def test_by_hash_there_is_still_something_to_validate_with_by_the_same_seed() -> None:
    items = line_of(200)
    chosen = choose(items, Wanted(0.15, "hash", 0), NONE, NONE, force=False)
    made = split(items, Split("hash", 0, 0.15), frozenset(chosen.sessions))
    assert made.sessions["valid"] > 10
    assert choose(items, Wanted(0.15, "hash", 1), NONE, NONE, force=False).sessions != chosen.sessions


def test_nothing_or_everything_is_refused() -> None:
    with pytest.raises(Refused, match="no session that could be held out"):
        choose([], Wanted(), NONE, NONE, force=False)
    with pytest.raises(Refused, match="nothing would be left"):
        choose([item("a", prompt(1))], Wanted(), NONE, NONE, force=False)
    with pytest.raises(Refused, match="30 sessions are no choice, since they were trained with"):
        choose(line_of(30), Wanted(), NONE, frozenset(f"s{n:03}" for n in range(30)), force=False)
    with pytest.raises(Refused, match="above 0 and below 1"):
        choose(line_of(30), Wanted(1.0), NONE, NONE, force=False)
    large = [item(f"s{n}", prompt(n), rows=10) for n in range(3)]
    with pytest.raises(Refused, match="small enough"):
        choose(large, Wanted(0.1, "hash"), NONE, NONE, force=False)


@given(
    sessions,
    st.sampled_from([0.1, 0.3]),
    st.sampled_from(["time", "hash"]),
    st.sets(st.integers(0, 24), max_size=4),
    st.randoms(),
)
@settings(deadline=None, max_examples=80)
def test_whole_groups_are_held_out_in_whatever_order_the_sessions_come(
    drawn, share, way, trained, rnd
) -> None:
    items = made_of(drawn)
    known = frozenset(f"s{n}" for n in trained)
    try:
        chosen = choose(items, Wanted(share, way), NONE, known, force=False)
    except Refused:
        return
    assert choose(rnd.sample(items, len(items)), Wanted(share, way), NONE, known, force=False) == chosen
    for group in groups(items):
        names = {items[at].session for at in group}
        assert names <= set(chosen.sessions) or not names & set(chosen.sessions)
    assert not known & set(chosen.sessions)
    assert near(items, frozenset(chosen.sessions)) == []
    if way == "hash":
        assert chosen.turns <= OVER * share * chosen.of_turns


# --- on a line ---


def command(scene: Scene, *arguments: str, **more: str) -> Any:
    own = dict.fromkeys(AGENTS_SHELLS, "")
    with scene.moving():
        return karl(
            scene.data_dir,
            "holdout",
            *arguments,
            KARL_REDIS_URL=scene.redis_url,
            KARL_NODE="n1",
            **{**own, **more},
        )


def trained_with(scene: Scene, *names: str) -> None:
    """An export with these sessions, and an adapter that came of it."""
    manifest = Manifest(
        form=1, karl="0", format="chatml", command="", ledger=Span(1, 2, "h"), reward_version="2", filters={}, options={},
        split={}, held_out=(), counts={}, left_out={}, redactions={}, contamination={}, weights=Weighed("awr", 1, 4, 1, 1, 0),
        files={}, sessions={"train": tuple(sorted(map(mark, names))), "valid": ()},
    )  # fmt: skip
    export = ExportBody("e1", manifest, "ann", "n1", 1)
    training = TrainingBody(
        "t1", "e1", "tiny", "d", Recipe(), "done", "cpu", {}, (), "n1", 1, 2, adapter="a1"
    )
    send(
        scene.redis,
        [Outgoing("export", LEARNING, export), Outgoing("training", LEARNING, training)],
        scene.move,
    )
    scene.move()


def test_a_holdout_is_in_force_for_the_very_next_command(scene) -> None:
    done = command(scene, "reserve", "--share", "0.2", "--reason", "to judge by", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["holdout"]["sessions"] == ["s8", "s9"]
    assert made["holdout"]["reason"] == "to judge by"
    with Lineage(scene.settings.views) as views:
        assert views.held_out() == {"s8", "s9"}
        row = views.holdout(made["holdout"]["id"][:6])
    assert (row.way, row.share, row.groups, row.sessions) == ("time", 0.2, 2, 2)


def test_a_dry_run_says_the_same_and_leaves_no_record(scene) -> None:
    said = json.loads(command(scene, "reserve", "--share", "0.2", "--dry-run", "--json").stdout)
    assert said["dry_run"]
    assert said["holdout"]["sessions"] == ["s8", "s9"]
    assert said["of_turns"] == 20
    with Lineage(scene.settings.views) as views:
        assert views.holdouts(released=True) == []


def test_a_second_holdout_has_to_be_asked_for(scene) -> None:
    assert command(scene, "reserve", "--share", "0.2").exit_code == 0
    again = command(scene, "reserve", "--share", "0.2")
    assert isinstance(again.exception, Refused)
    assert "--more" in str(again.exception)
    assert json.loads(command(scene, "reserve", "--share", "0.2", "--more", "--json").stdout)["holdout"][
        "sessions"
    ] == ["s6", "s7"]
    with Lineage(scene.settings.views) as views:
        assert views.held_out() == {"s6", "s7", "s8", "s9"}


def test_what_was_trained_with_is_left_out_loudly_and_with_force_held_out_loudly(scene) -> None:
    trained_with(scene, "s9", "s1")
    done = command(scene, "reserve", "--share", "0.2", "--dry-run")
    assert "2 sessions were no choice" in done.stderr
    assert json.loads(command(scene, "reserve", "--share", "0.2", "--dry-run", "--json").stdout)["holdout"][
        "sessions"
    ] == ["s7", "s8"]
    assert command(scene, "reserve", "--force").exit_code == 2
    forced = command(scene, "reserve", "--share", "0.2", "--force", "--reason", "there is nothing else")
    assert "1 of these sessions WERE TRAINED WITH" in forced.stderr
    with Lineage(scene.settings.views) as views:
        (row,) = views.holdouts()
    shown = command(scene, "show", row.id)
    assert shown.exit_code == 1
    assert "touched   1 sessions were trained with, by t1" in shown.output
    assert "s9  TRAINED WITH" in shown.output


def test_a_later_session_that_asks_the_same_is_counted(scene) -> None:
    assert command(scene, "reserve", "--share", "0.1").exit_code == 0
    scene.session("later").turn(text=reworded(prompt(9)))
    scene.settle()
    listed = json.loads(command(scene, "list", "--json").stdout)
    assert (listed["sessions"], listed["near"]) == (1, ["later"])
    assert "exports leave out 1 more that ask the same" in command(scene, "list").output
    shown = command(scene, "show", listed["holdouts"][0]["id"])
    assert shown.exit_code == 0
    assert "touched   no" in shown.output


def test_a_released_holdout_counts_no_more_and_is_released_once(scene) -> None:
    name = json.loads(command(scene, "reserve", "--share", "0.2", "--json").stdout)["holdout"]["id"]
    assert command(scene, "release", name).exit_code == 2
    in_agents_shell = command(scene, "release", name, "--reason", "x", CLAUDECODE="1")
    assert isinstance(in_agents_shell.exception, Refused)
    assert "is released" in command(scene, "release", name[:8], "--reason", "a new one").output
    with Lineage(scene.settings.views) as views:
        assert views.held_out() == frozenset()
    assert isinstance(command(scene, "release", name, "--reason", "again").exception, Refused)
    assert "nothing is held out" in command(scene, "list").output
    assert "(released)" in command(scene, "list", "--all").output
    assert isinstance(command(scene, "show", "nothing").exception, NotFound)


def test_of_two_who_reserve_at_once_one_is_refused(scene) -> None:
    seen: list[str] = []

    def second(_seconds: float) -> None:
        if not seen:
            seen.append("asked")
            with pytest.raises(Refused, match="somebody else decides what is held out"):
                reserve(
                    scene.redis,
                    scene.settings,
                    Wanted(0.2),
                    reason="",
                    person="bob",
                    now_ms=2,
                    wait=scene.move,
                )
        scene.move()

    scene.session("late").turn(text=prompt(77))
    scene.line.drain(scene._worker)
    made = reserve(scene.redis, scene.settings, Wanted(0.2), reason="", person="ann", now_ms=1, wait=second)
    assert seen == ["asked"]
    assert made.body.sessions == ("late", "s8", "s9")

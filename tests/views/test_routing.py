"""What the views tell of routing: whatever came first, and the same after a rebuild."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from karl.errors import KarlError, NotFound
from karl.ledger.reader import START, Reader
from karl.ledger.writer import Draft
from karl.routing.policy import Policy
from karl.schema.routing import RouterBody
from karl.views import project, store
from karl.views.queries import Filter
from karl.views.rebuild import begin, build, compare, rebuild
from karl.views.routing import Routed, body_at
from tests.views import ledgers
from tests.views.ledgers import MINUTE_MS, START_MS
from tests.views.routed import (
    decision,
    exemplar,
    fact,
    late,
    place,
    prediction,
    router,
    said,
    suggestion,
    turn,
)


def views_of(folder: Path, *drafts: Draft) -> Routed:
    ledgers.write(folder / "ledger", drafts)
    rebuild(folder / "views.sqlite", folder / "ledger", "1")
    return Routed(folder / "views.sqlite")


# --- the catalogue ---


def test_what_was_told_last_of_a_place_takes_the_place_of_what_was_told_before(tmp_path: Path) -> None:
    drafts = [place("~/one", "a", "b"), place("~/two", "c"), place("~/one", "b", "d", time_ms=START_MS + 1)]
    with views_of(tmp_path, *drafts) as views:
        assert [skill.name for skill in views.catalogue().skills] == ["b", "c", "d"]
        assert [rule.skill for rule in views.catalogue().rules] == ["b", "c", "d"]
        rows = views.places()
        assert [(row.place, row.skills, row.rules) for row in rows] == [("~/one", 2, 2), ("~/two", 1, 1)]
        assert rows[0].id == "sk-~/one-b-d"


def test_the_same_place_of_another_machine_is_another_place(tmp_path: Path) -> None:
    with views_of(tmp_path, place("~/one", "a"), place("~/one", "b", node="n2")) as views:
        assert views.catalogue().names == {"a", "b"}


# --- exemplars, routers, decisions ---


def test_what_was_said_last_of_an_exemplar_counts(tmp_path: Path) -> None:
    drafts = [
        exemplar("e1", "a"),
        exemplar("e2", "b"),
        exemplar("e1", "a", removed=True),
        exemplar("e2", "c"),
    ]
    with views_of(tmp_path, *drafts) as views:
        assert [(row.id, row.skill) for row in views.exemplars()] == [("e2", "c")]
        assert [(row.id, row.removed) for row in views.exemplars(removed=True)] == [
            ("e1", True),
            ("e2", False),
        ]
        assert views.exemplars("b") == []


def test_a_router_is_found_by_its_id_the_beginning_of_it_and_its_label(tmp_path: Path) -> None:
    drafts = [router("abc1"), router("abd2", label="before-lunch"), router("abc1", why="snapshot", label="x")]
    with views_of(tmp_path, *drafts) as views:
        assert [(row.id, row.label, row.exemplars, row.skills) for row in views.routers()] == [
            ("abc1", "x", 7, 2), ("abd2", "before-lunch", 7, 2), ("abc1", "", 7, 2),
        ]  # fmt: skip
        assert views.router("abd").label == "before-lunch"
        assert views.router("before-lunch").id == "abd2"
        assert views.router("abc1").why == "snapshot"
        assert body_at(tmp_path / "ledger", views.router("x").place, RouterBody).counts == {"a": 3, "b": 4}
        with pytest.raises(KarlError, match="abc1, abd2"):
            views.router("ab")
        for name in ("nope", "", "%"):
            with pytest.raises(NotFound):
                views.router(name)


def test_the_last_decision_is_the_policy_and_one_that_comes_twice_counts_once(tmp_path: Path) -> None:
    assert views_before(tmp_path) == Policy()
    promoted = decision(
        "d2", "promote", mode="active", ready=("a",), overrides={"b": "vector"}, since_ms=7, forced=True
    )
    with views_of(tmp_path / "b", decision("d1"), promoted, promoted) as views:
        policy = views.policy()
        assert (policy.id, policy.mode, policy.ready, policy.overrides) == (
            "d2", "active", ("a",), {"b": "vector"},
        )  # fmt: skip
        assert (policy.router, policy.since_ms, policy.share) == ("r1", 7, 1.0)
        assert [(row.id, row.action, row.forced) for row in views.decisions()] == [
            ("d2", "promote", True), ("d1", "use", False),
        ]  # fmt: skip
        assert views.counts().duplicates == 1


def views_before(folder: Path) -> Policy:
    with views_of(folder / "a", turn("s", 0)) as views:
        return views.policy()


# --- truths ---


def test_each_turn_has_the_truth_that_is_surest(tmp_path: Path) -> None:
    drafts = [
        place("~/skills", "review", "ship"),
        turn("s", 0, "ship", "review"),
        turn("s", 1, "ship", prompt="/review the last commit"),
        turn("s", 2),
        turn("s", 3, prompt="/clear"),
        turn("s", 4, "ship", person=False),
        turn("s", 5, ended=False),
        labelled := turn("s", 6, "ship"),
        said(labelled, skill=""),
        said(labelled, skill="review", by="b"),
    ]
    with views_of(tmp_path, *drafts) as views:
        found = [(row.trajectory[-1], row.skill, row.source, row.weight, row.used) for row in views.truths()]
    assert found == [
        ("0", "ship", "called", 0.7, ("ship", "review")),
        ("1", "review", "typed", 0.9, ("review", "ship")),
        ("2", None, "unused", 0.3, ()),
        ("6", "review", "label", 1.0, ("ship",)),
    ]


def test_a_typed_name_becomes_a_truth_once_somebody_tells_or_calls_the_skill(tmp_path: Path) -> None:
    typed = turn("s", 0, prompt="/deploy to the test machine")
    with views_of(tmp_path / "before", typed) as views:
        assert list(views.truths()) == []
        assert views.skill_states() == []
    with views_of(tmp_path / "told", typed, place("~/skills", "deploy")) as views:
        assert [row.source for row in views.truths()] == ["typed"]
    with views_of(tmp_path / "called", typed, turn("t", 0, "deploy")) as views:
        assert [row.source for row in views.truths()] == ["typed", "called"]
        assert [(state.skill, state.activations) for state in views.skill_states()] == [("deploy", 2)]


@pytest.mark.parametrize("next_first", [False, True])
def test_a_corrected_turn_was_for_the_skill_of_the_next_one(tmp_path: Path, *, next_first: bool) -> None:
    first, then = turn("s", 0, "ship"), turn("s", 1, "review")
    other = turn("t", 1, "deploy")  # of another session, at the same time
    remark = said(first, corrected=True)
    with views_of(tmp_path, *([then, other, first] if next_first else [first, other, then]), remark) as views:
        row = next(row for row in views.truths(Filter(session="s")))
    assert (row.skill, row.source, row.weight, row.corrected) == ("review", "corrected", 0.9, True)


def test_what_no_person_asked_for_in_between_corrects_nothing(tmp_path: Path) -> None:
    report = turn("s", 1, "deploy", prompt="<task-notification>", person=False)
    with views_of(tmp_path, turn("s", 0, "ship", corrected=True), report, turn("s", 2, "review")) as views:
        assert [(row.skill, row.source) for row in views.truths()] == [
            ("review", "corrected"),
            ("review", "called"),
        ]


def test_a_corrected_turn_without_another_skill_after_it_counts_half(tmp_path: Path) -> None:
    with views_of(tmp_path, turn("s", 0, "ship", corrected=True), turn("s", 1, "ship")) as views:
        assert [(row.source, row.weight) for row in views.truths()] == [("called", 0.35), ("called", 0.7)]


def test_truths_are_filtered_and_come_oldest_first(tmp_path: Path) -> None:
    drafts = [turn("s", 3, "a"), turn("t", 1, "b", agent="codex"), turn("u", 2, "c")]
    with views_of(tmp_path, *drafts) as views:
        assert [row.skill for row in views.truths()] == ["b", "c", "a"]
        assert [row.skill for row in views.truths(Filter(agent="codex"))] == ["b"]
        assert [row.skill for row in views.truths(Filter(since_ms=START_MS + 2 * MINUTE_MS))] == ["c", "a"]


# --- predictions ---


@pytest.mark.parametrize("turn_first", [False, True])
def test_a_prediction_meets_its_turn_whichever_came_first(tmp_path: Path, *, turn_first: bool) -> None:
    guess = prediction("ev-s-0", "a", ("b", 0.75), ("c", 0.25))
    took = turn("s", 0, "b", prompt="do the thing")
    with views_of(tmp_path, *([took, guess] if turn_first else [guess, took])) as views:
        (row,) = views.shadows()
    assert (row.trajectory, row.prompt, row.truth, row.truth_source) == (
        "traj_s_0",
        "do the thing",
        "b",
        "called",
    )
    assert (row.regex, row.vector, row.margin, row.takes) == ("a", "b", 0.5, True)
    assert (row.used, row.reward is not None, row.influenced, row.organic) == (("b",), True, False, True)


def test_a_prediction_whose_turn_never_comes_has_no_truth(tmp_path: Path) -> None:
    with views_of(tmp_path, prediction("ev-s-0", "a"), turn("s", 1, "b")) as views:
        (row,) = views.shadows()
    assert (row.trajectory, row.truth, row.truth_source, row.reward, row.organic) == (
        None,
        None,
        None,
        None,
        False,
    )


def test_a_prediction_finds_a_prompt_that_was_told_late_or_by_another_agents_name(tmp_path: Path) -> None:
    told = turn("s", 0, "a")
    hook = late(told, "s", fact("ev-hook-1", "s", "UserPromptSubmit", prompt="x"))
    other = turn("t", 0, "b", more=[fact("ev-other-1", "t", "BeforeAgent", prompt="x")])
    drafts = [prediction("ev-hook-1", session="s"), told, hook, prediction("ev-other-1", session="t"), other]
    with views_of(tmp_path, *drafts) as views:
        assert [row.trajectory for row in views.shadows()] == ["traj_s_0", "traj_t_0"]


def test_the_first_live_prediction_of_a_prompt_counts_and_replayed_ones_stand_apart(tmp_path: Path) -> None:
    drafts = [
        prediction("ev-s-0", "first"),
        prediction("ev-s-0", "second"),
        prediction("ev-s-0", "again", source="replayed", router="r1"),
        prediction("ev-s-0", "again", source="replayed", router="r1"),
        prediction("ev-s-0", "newer", source="replayed", router="r2", trajectory="traj_s_0"),
        prediction("ev-made", "seed", source="synthetic", session="x", trajectory="traj_s_0"),
        turn("s", 0, "first"),
    ]
    with views_of(tmp_path, *drafts) as views:
        assert [(row.regex, row.organic) for row in views.shadows()] == [("first", True)]
        replayed = list(views.shadows(sources=("replayed", "synthetic")))
        assert [(row.regex, row.organic, row.trajectory) for row in replayed] == [
            ("again", False, "traj_s_0"), ("newer", False, "traj_s_0"), ("seed", False, "traj_s_0"),
        ]  # fmt: skip
        assert views.counts().duplicates == 2


def test_predictions_are_filtered_by_their_own_time_and_by_their_turns_reward(tmp_path: Path) -> None:
    drafts = [
        prediction("ev-s-0", "a", time_ms=START_MS + 1),
        prediction("ev-s-1", "b", time_ms=START_MS + 2, agent="codex"),
        turn("s", 0, "a", reward=0.9),
        turn("s", 1, "b", reward=0.1),
    ]
    with views_of(tmp_path, *drafts) as views:
        assert [row.regex for row in views.shadows(Filter(since_ms=START_MS + 2))] == ["b"]
        assert [row.regex for row in views.shadows(Filter(agent="codex"))] == ["b"]
        assert [row.regex for row in views.shadows(Filter(min_reward=0.5, agent="claude-code"))] == ["a"]
        assert [row.regex for row in views.shadows(Filter(search="make", session="s"))] == ["a", "b"]


# --- what agents were told ---


def test_a_turn_whose_agent_was_told_of_a_skill_is_no_organic_evidence(tmp_path: Path) -> None:
    told, held_back = suggestion("sg1", "s", "a", told=True), suggestion("sg2", "t", "a", told=False)
    drafts = [
        prediction("ev-s-0", "a"), turn("s", 0, "a", more=[told]),
        prediction("ev-t-0", "a"), turn("t", 0, "a", more=[held_back]),
        late(None, "u", suggestion("sg3", "u", "b", told=True)),
    ]  # fmt: skip
    with views_of(tmp_path, *drafts) as views:
        assert [(row.influenced, row.organic) for row in views.shadows()] == [(True, False), (False, True)]
        assert [row.influenced for row in views.truths()] == [True, False]
        rows = {row.event: row for row in views.suggestions()}
        assert [row.event for row in views.suggestions(Filter(session="s"))] == ["sg1"]
    assert (rows["sg1"].trajectory, rows["sg1"].told, rows["sg1"].skill) == ("traj_s_0", True, "a")
    assert (rows["sg1"].used, rows["sg1"].chance, rows["sg1"].policy) == (("a",), 0.9, "d1")
    assert (rows["sg2"].told, rows["sg2"].trajectory) == (False, "traj_t_0")
    assert (rows["sg3"].trajectory, rows["sg3"].reward, rows["sg3"].used) == (None, None, ())


def test_a_suggestion_that_says_nonsense_is_passed_over(tmp_path: Path) -> None:
    odd = [
        fact("o1", "s", "SkillSuggested", skill=["a"], told=True),
        fact("o2", "s", "SkillSuggested", skill="a", chance="high", policy=5, told="yes"),
    ]
    with views_of(tmp_path, turn("s", 0, "a", more=odd)) as views:
        assert [(row.event, row.told, row.chance, row.policy) for row in views.suggestions()] == [
            ("o2", False, 0.0, "")
        ]
        assert views.counts().trajectories == 1


# --- what is known of a skill ---


def test_what_is_known_of_a_skill_follows_scores_and_corrections(tmp_path: Path) -> None:
    good = turn("s", 0, "a", prompt="publish the release notes", reward=0.9)
    bad = turn("s", 1, "a", prompt="rewrite the parser", reward=0.2)
    with views_of(tmp_path / "one", good, bad) as views:
        (state,) = views.skill_states()
    assert (state.activations, state.useful, state.suppressed) == (2, 1, 0)
    assert (state.hot, state.cold) == (("publish", "release", "notes"), ())
    assert state.confidence == round(0.9 * (0.9 * 0.5 + 0.1 * 0.9) + 0.1 * 0.2, 4)
    assert state.last_ms == START_MS + MINUTE_MS
    later = [ledgers.rescore(bad, 0.8), said(good, corrected=True)]
    with views_of(tmp_path / "two", good, bad, *later) as views:
        (state,) = views.skill_states()
    assert (state.activations, state.useful, state.suppressed) == (2, 1, 1)
    assert (state.hot, state.cold) == (("rewrite", "parser"), ("publish", "release", "notes"))
    back = said(good, corrected=False, by="b")
    with views_of(tmp_path / "three", good, bad, *later, back) as views:
        (state,) = views.skill_states()
    assert state.suppressed == 0


def test_topics_are_those_of_the_newest_turns_whatever_came_first(tmp_path: Path) -> None:
    drafts = [turn("s", n, "a", prompt=f"topic{n:02} work", reward=0.9) for n in (7, 2, 30, 1)]
    with views_of(tmp_path, *drafts) as views:
        (state,) = views.skill_states()
    assert state.hot == ("topic30", "topic07", "topic02", "topic01")


# --- the rows depend on the lines alone ---


@examples(max_examples=40, deadline=None)
@given(st.data())
def test_any_batches_of_any_records_give_the_rows_of_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("routing")
    turns = [
        turn(
            f"s{n % 2}",
            n,
            *("abc"[: n % 3]),
            prompt=f"/{'xabc'[n % 4]} now",
            reward=n / 6,
            corrected=n == 4 or None,
        )
        for n in range(6)
    ]
    drafts: list[Draft] = []
    for n in data.draw(st.lists(st.sampled_from(range(6)), min_size=1, max_size=30)):
        kinds = [
            "turn", "remark", "label", "score", "skill late", "prompt late", "suggested", "live", "replayed",
            "place", "exemplar", "router", "decision",
        ]  # fmt: skip
        at, session = len(drafts), f"s{n % 2}"
        called = [
            fact(f"pre-{at}", session, "PreToolUse", tool_name="Skill", tool_input={"skill": "d"}, tool_use_id=f"c{at}"),
            fact(f"post-{at}", session, "PostToolUse", tool_name="Skill", tool_input={"skill": "d"}, tool_use_id=f"c{at}", tool_response={}),
        ]  # fmt: skip
        drafts.append({
            "turn": turns[n],
            "remark": said(turns[n], corrected=at % 2 == 0, by=f"r{at % 3}"),
            "label": said(turns[n], skill=["", "a", "q"][at % 3], by=f"l{at % 5}"),
            "score": ledgers.rescore(turns[n], at / 30, version=str(1 + at % 2)),
            "skill late": late(turns[n], session, *called),
            "prompt late": late(turns[n], session, fact(f"ev-late-{n}", session, "UserPromptSubmit", prompt="x")),
            "suggested": late(turns[n] if at % 2 else None, session, suggestion(f"sg{n}", session, "a", told=at % 3 == 0)),
            "live": prediction(f"ev-{['late', session][at % 2]}-{n}", "a", session=session),
            "replayed": prediction(f"ev-{session}-{n}", "a", source="replayed", router=f"r{at % 2}", trajectory=f"traj_{session}_{n}"),
            "place": place(f"~/{n % 2}", *("ab"[: at % 3])),
            "exemplar": exemplar(f"e{n % 2}", "a", removed=at % 2 == 0),
            "router": router(f"r{n}"),
            "decision": decision(f"d{n}"),
        }[data.draw(st.sampled_from(kinds))])  # fmt: skip
    ledgers.write(folder / "ledger", drafts, segment_max_bytes=4000)
    live = folder / "views.sqlite"
    begin(live, "1")
    with closing(store.Store(live, "1", folder / "ledger")) as opened, Reader(folder / "ledger") as reader:
        before = START
        while lines := reader.poll(data.draw(st.integers(1, 9))):
            opened.apply(lines, before)
            before = opened.position
    build(folder / "again.sqlite", folder / "ledger", "1")
    assert dump(live) == dump(folder / "again.sqlite")
    assert compare(live, folder / "ledger", "1").equal
    assert counted_again(live) == []
    with Routed(live) as views:
        truth = {row.trajectory: (row.skill, row.source, row.weight) for row in views.truths()}
        for row in views.shadows(sources=("live", "replayed")):
            found = (row.truth, row.truth_source, row.truth_weight)
            assert found == truth.get(row.trajectory or "", (None, None, None))
        assert {row.trajectory for row in views.suggestions()} <= {
            None,
            *(f"traj_s{n % 2}_{n}" for n in range(6)),
        }
        assert all(0 <= state.confidence <= 1 and state.last_ms for state in views.skill_states())


def dump(path: Path) -> list[str]:
    connection = store.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def counted_again(path: Path) -> list[tuple[object, ...]]:
    """Give the sums of skills that are not what one counts in the rows."""
    connection = store.connect(path)
    rows = connection.execute("""
        SELECT u.skill, count(*), sum(u.called), sum(t.reward >= 0.6 AND ifnull(t.correction_detected, 0) = 0),
          sum(ifnull(t.correction_detected, 0) = 1)
        FROM uses u JOIN trajectories t ON t.seq = u.of_seq GROUP BY u.skill
        EXCEPT SELECT * FROM skill_counts
    """).fetchall()
    rows += connection.execute("""
        SELECT t.id, value FROM trajectories t, json_each(t.used)
        EXCEPT SELECT t.id, u.skill FROM trajectories t JOIN uses u ON u.of_seq = t.seq WHERE u.called = 1
    """).fetchall()
    connection.close()
    return rows


def test_the_work_for_one_more_record_of_routing_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, which no noise of the computer changes."""

    def steps(rows: int) -> int:
        folder = tmp_path / str(rows)
        before = [turn(f"s{n}", 0, "a") for n in range(rows)]
        before += [prediction(f"ev-s{n}-0", "a", session=f"s{n}") for n in range(rows)]
        ledgers.write(folder / "ledger", before, batch=500)
        rebuild(folder / "views.sqlite", folder / "ledger", "1")
        with Routed(folder / "views.sqlite") as views:
            position = views.position()
        one = turn("one", 0, "a", more=[suggestion("sg", "one", "a", told=True)])
        more = [
            prediction("ev-one-0", "a"),
            one,
            said(one, skill="b", corrected=True),
            ledgers.rescore(one, 0.9),
        ]
        ledgers.write(folder / "ledger", [*more, exemplar("e", "a"), place("~/p", "a"), decision("d")])
        connection = store.connect(folder / "views.sqlite")
        done = 0

        def count() -> int:
            nonlocal done
            done += 1
            return 0

        connection.set_progress_handler(count, 1)
        with Reader(folder / "ledger", position) as reader, store.transaction(connection):
            project.apply(connection, reader.poll(20), "1", folder / "ledger")
        connection.set_progress_handler(None, 0)
        connection.close()
        return done

    few, many = steps(20), steps(2000)
    assert many <= few * 1.2

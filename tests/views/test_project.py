"""Records become rows: what is counted, what changes what, and that batches do not matter."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from karl.acts.reader import READER
from karl.errors import KarlError, NotFound
from karl.ledger.reader import START, Reader
from karl.ledger.writer import Draft
from karl.reward.baseline import Sums, advantage, baseline
from karl.reward.score import rescore_outcome, score
from karl.reward.usual import Usual, seen
from karl.schema.event import Event, encode_event
from karl.schema.record import CalibrationBody, TrajectoryBody
from karl.schema.trajectory import Outcome
from karl.views import project, store
from karl.views.columns import made_by
from karl.views.detail import detail
from karl.views.queries import Filter, Views
from karl.views.rebuild import begin, build, compare, rebuild
from karl.views.schema import FLAGS
from karl.views.whole import calibration_at
from tests.views import ledgers


def views_of(folder: Path, drafts: list[Draft], version: str = "1") -> Path:
    ledgers.write(folder / "ledger", drafts)
    rebuild(folder / "views.sqlite", folder / "ledger", version)
    return folder / "views.sqlite"


def body_of(draft: Draft) -> TrajectoryBody:
    return msgspec.json.decode(draft.body, type=TrajectoryBody)


def test_everything_is_counted_once(tmp_path: Path) -> None:
    with Views(views_of(tmp_path, ledgers.story())) as views:
        counts = views.counts()
    assert counts.records == 8
    assert (counts.trajectories, counts.sessions, counts.duplicates) == (3, 2, 1)
    assert (counts.events, counts.tool_calls) == (3 * 2 + 4, 9)
    assert (counts.annotations, counts.scores, counts.unreadable, counts.orphans) == (1, 1, 0, 0)


def test_a_session_adds_up_its_turns_and_stragglers(tmp_path: Path) -> None:
    drafts = ledgers.story()
    with Views(views_of(tmp_path, drafts)) as views:
        alpha = views.session("s-alpha")
        turns = views.turns("s-alpha")
    assert [turn.turn for turn in turns] == [0, 1]
    assert (alpha.turns, alpha.events, alpha.calls, alpha.failures) == (2, 7, 6, 1)
    assert alpha.reward == pytest.approx(sum(t.reward for t in turns) / 2, abs=1e-4)
    assert (alpha.corrections, alpha.ended) == (1, True)
    assert alpha.last_ms == ledgers.START_MS + 50 * ledgers.MINUTE_MS
    assert alpha.first_prompt == "add a login page\x1b[31m"


def test_an_annotation_changes_flags_score_sums_and_baseline(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    remark = ledgers.annotation(turn, Outcome(correction_detected=True))
    with Views(views_of(tmp_path, [turn, remark])) as views:
        row = views.trajectory("traj_s_0")
        later = views.later("traj_s_0")
    before = body_of(turn).score
    assert row.flags == {**dict.fromkeys(FLAGS), "correction_detected": True}
    assert row.known == {"correction_detected": True}
    assert row.reward == later[0].reward < before.reward
    assert row.signals["outcome"] != before.signals["outcome"]
    assert row.signals["motion"] == before.signals["motion"]
    assert (row.score_seq, later[0].kind, later[0].by) == (later[0].place.seq, "annotation", "ev1")
    alone = Sums().add(row.reward)
    assert row.advantage == round(advantage(row.reward, baseline(alone, alone)), 4)


def test_the_advantage_is_the_baselines_over_current_rewards(tmp_path: Path) -> None:
    rewards = {"api": [0.1, 0.5, 0.6, 0.7, 0.8, 0.9], "web": [0.3]}
    drafts = [
        ledgers.trajectory(f"s-{domain}-{n}", 0, domain=domain, reward=reward)
        for domain, group in rewards.items()
        for n, reward in enumerate(group)
    ]
    drafts.append(ledgers.rescore(drafts[0], 0.4))
    rewards["api"][0] = 0.4
    sums = {domain: Sums() for domain in rewards}
    everyone = Sums()
    for domain, group in rewards.items():
        for reward in group:
            sums[domain], everyone = sums[domain].add(reward), everyone.add(reward)
    with Views(views_of(tmp_path, drafts)) as views:
        for row in views.trajectories(limit=100):
            expected = baseline(sums[row.domain], everyone)
            assert row.advantage == round(advantage(row.reward, expected), 4)


def test_rewards_of_other_agents_change_nothing_of_what_is_expected(tmp_path: Path) -> None:
    own = [ledgers.trajectory(f"s{n}", 0, reward=0.2 + n / 10) for n in range(6)]
    others = [ledgers.trajectory(f"t{n}", 0, reward=0.9, agent="codex") for n in range(50)]
    alone, together = tmp_path / "alone", tmp_path / "together"
    with Views(views_of(alone, own)) as views:
        before = [(row.expected, row.advantage) for row in views.trajectories(Filter(agent="claude-code"))]
    with Views(views_of(together, own + others)) as views:
        assert before == [
            (row.expected, row.advantage) for row in views.trajectories(Filter(agent="claude-code"))
        ]
        assert {name: sums.n for name, sums in views.agents().items()} == {"claude-code": 6, "codex": 50}
        assert views.rewards_of("codex").mean == 0.9


def test_runs_of_one_task_are_compared_with_each_other(tmp_path: Path) -> None:
    prompt = "Make the flaky test of the parser pass again"
    runs = [ledgers.trajectory(f"s{n}", 0, prompt=prompt, reward=0.3) for n in range(3)]
    runs.append(ledgers.trajectory("best", 0, prompt=f"  {prompt.upper()}\n", reward=0.5))
    rest = [ledgers.trajectory(f"t{n}", 0, reward=0.8) for n in range(20)]
    later = ledgers.trajectory("later", 3, prompt=prompt, reward=0.8)  # asked within a session: another thing
    elsewhere = ledgers.trajectory("elsewhere", 0, prompt=prompt, reward=0.8, project="blog")
    with Views(views_of(tmp_path, [*runs, *rest, later, elsewhere])) as views:
        rows = {row.session: row for row in views.trajectories(limit=100)}
    assert len({rows[name].task for name in ("s0", "s1", "s2", "best")}) == 1
    assert rows["later"].task is None
    assert rows["t0"].task is None  # "make it work" names no task
    assert rows["elsewhere"].task not in {None, rows["s0"].task}
    assert rows["best"].advantage > 0 > rows["s0"].advantage
    assert rows["s0"].expected < 0.6 < rows["t0"].expected
    assert rows["elsewhere"].expected == rows["t0"].expected


def test_a_signal_that_was_not_observed_is_null_and_confidence_and_calibration_are_kept(
    tmp_path: Path,
) -> None:
    turn = ledgers.trajectory("s", 0)
    body = body_of(turn)
    signals = {name: value for name, value in body.score.signals.items() if name != "outcome"}
    sure = msgspec.structs.replace(body.score, signals=signals, confidence=0.4, calibration="cal-1")
    draft = Draft("trajectory", msgspec.json.encode(msgspec.structs.replace(body, score=sure)))
    with Views(views_of(tmp_path, [draft])) as views:
        row = views.trajectory("traj_s_0")
    assert (row.signals["outcome"], row.confidence, row.calibration) == (None, 0.4, "cal-1")
    assert row.made_by == made_by("1", sure.weights, "cal-1")
    others = {
        made_by("1", sure.weights, None),
        made_by("2", sure.weights, "cal-1"),
        made_by("1", {**sure.weights, "motion": 0.5}, "cal-1"),
    }
    assert len(others - {row.made_by}) == 3


def test_what_a_worker_did_not_know_of_is_put_into_the_score_here(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    built = ledgers.annotation(turn, Outcome(build_success=False), by="ci")  # says only what it found itself
    corrected = ledgers.annotation(
        turn, Outcome(annotation_status="annotated", correction_detected=True), by="worker"
    )
    path = views_of(tmp_path, [turn, built, corrected])
    both = rescore_outcome(body_of(turn).score, Outcome(build_success=False, correction_detected=True))
    with Views(path) as views:
        row, whole = views.trajectory("traj_s_0"), detail(views, tmp_path / "ledger", "traj_s_0")
    assert row.known == {"build_success": False, "correction_detected": True}
    assert row.reward == whole.score.reward == both.reward
    assert whole.score == both


def test_what_is_said_by_an_older_version_reaches_the_score_that_counts(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    body = body_of(turn)
    newer = msgspec.structs.replace(body, score=score(body.trajectory, version="2"))
    draft = Draft("trajectory", msgspec.json.encode(newer))
    remark = ledgers.annotation(turn, Outcome(correction_detected=True))  # with a score of version 1
    with Views(views_of(tmp_path, [draft, remark], version="2")) as views:
        row, whole = views.trajectory("traj_s_0"), detail(views, tmp_path / "ledger", "traj_s_0")
    known = rescore_outcome(newer.score, Outcome(correction_detected=True))
    assert (row.reward_version, row.reward) == ("2", known.reward)
    assert whole.score == known


def test_how_long_turns_are_is_counted_by_agent_and_late_facts_change_it(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    body = body_of(turn)
    reading = msgspec.structs.replace(
        body.trajectory, trajectory=msgspec.structs.replace(body.trajectory.trajectory, reader=READER)
    )
    draft = Draft("trajectory", msgspec.json.encode(msgspec.structs.replace(body, trajectory=reading)))
    late = ledgers.events("s", 2, of="traj_s_0")
    (tmp_path / "one").mkdir()
    with Views(views_of(tmp_path / "one", [draft])) as views:
        assert views.usual("claude-code") == Usual().with_turn(seen(reading))
        assert views.usual("codex") == Usual()
    (tmp_path / "two").mkdir()
    with Views(views_of(tmp_path / "two", [draft, late])) as views:
        whole = detail(views, tmp_path / "two" / "ledger", "traj_s_0")
        now = seen(whole.body.trajectory)
        assert views.usual("claude-code") == (Usual().with_turn(now) if now else Usual())


def test_a_reading_by_an_older_reader_of_acts_is_made_anew(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    body = body_of(turn)
    given = {"file_path": "/w/a.py", "old_string": "a", "new_string": "b"}
    told = [
        Event(
            id=f"ev{kind}", kind=kind, session="s", time_ms=ledgers.START_MS,
            payload=msgspec.Raw(msgspec.json.encode({"hook_event_name": kind, "tool_name": "Edit",
                "tool_input": given, "tool_use_id": "c1", "tool_response": {}})),
        )
        for kind in ("PreToolUse", "PostToolUse")
    ]  # fmt: skip
    one = ledgers.reading(ledgers.calls("Edit"))
    old = msgspec.structs.replace(
        body, trajectory=one, events=[msgspec.Raw(encode_event(event)) for event in told]
    )
    assert old.trajectory.trajectory.reader == 0
    with Views(views_of(tmp_path, [Draft("trajectory", msgspec.json.encode(old))])) as views:
        whole = detail(views, tmp_path / "ledger", "traj_s_0")
    (call,) = whole.body.trajectory.trajectory.events
    assert whole.body.trajectory.trajectory.reader == READER
    assert [act.does for act in call.acts] == ["edit"]
    assert whole.score == old.score


def test_a_calibration_is_found_by_agent_and_version_and_the_last_one_counts(tmp_path: Path) -> None:
    def learned(name: str, agent: str, *, applied: bool) -> Draft:
        body = CalibrationBody(name, agent, "2", 0.1, {"motion": 1.0}, {}, applied, "", 9, 4, 3, {}, {}, 5)
        return Draft("calibration", msgspec.json.encode(body))

    drafts = [
        learned("a", "codex", applied=True),
        learned("b", "codex", applied=False),
        learned("c", "x", applied=True),
    ]
    with Views(views_of(tmp_path, drafts)) as views:
        found = views.calibration("codex", "2")
        assert found is not None
        assert (found.id, found.applied, found.time_ms) == ("b", False, 5)
        assert calibration_at(tmp_path / "ledger", *found.place[1:]).terms == {"motion": 1.0}
        assert views.calibration("codex", "1") is None
        assert views.counts().records == 3


def test_a_score_of_another_version_is_kept_but_is_not_the_current_one(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    other = ledgers.rescore(turn, 0.123, version="0-old")
    with Views(views_of(tmp_path, [turn, other])) as views:
        row, later = views.trajectory("traj_s_0"), views.later("traj_s_0")
    assert (row.reward, row.reward_version) == (body_of(turn).score.reward, "1")
    assert [(score.reward, score.reward_version) for score in later] == [(0.123, "0-old")]


def test_scores_of_the_preferred_version_come_before_newer_ones(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    drafts = [turn, ledgers.rescore(turn, 0.2, version="2"), ledgers.rescore(turn, 0.9)]
    with Views(views_of(tmp_path, drafts, version="2")) as views:
        assert views.trajectory("traj_s_0").reward == 0.2


def test_what_names_no_known_trajectory_is_counted_and_changes_no_score(tmp_path: Path) -> None:
    turn, stranger = ledgers.trajectory("s", 0), ledgers.trajectory("t", 0)
    drafts = [turn, ledgers.annotation(stranger, Outcome(redo_detected=True)), ledgers.rescore(stranger, 0.1)]
    with Views(views_of(tmp_path, drafts)) as views:
        assert views.counts().orphans == 2
        assert views.session("s").reward == body_of(turn).score.reward


def test_an_annotation_that_comes_twice_counts_once(tmp_path: Path) -> None:
    turn = ledgers.trajectory("s", 0)
    remark = ledgers.annotation(turn, Outcome(correction_detected=True))
    with Views(views_of(tmp_path, [turn, remark, remark])) as views:
        assert (views.counts().annotations, views.counts().duplicates) == (1, 1)
        assert views.session("s").corrections == 1


def test_a_record_that_can_not_be_read_is_named_and_passed_over(tmp_path: Path) -> None:
    drafts = [Draft("trajectory", b'{"id":5}'), ledgers.trajectory("s", 0)]
    ledgers.write(tmp_path / "ledger", drafts)
    report = rebuild(tmp_path / "views.sqlite", tmp_path / "ledger", "1")
    assert len(report.complaints) == 1
    assert "record 2 (trajectory)" in report.complaints[0]
    with Views(tmp_path / "views.sqlite") as views:
        assert (views.counts().unreadable, views.counts().trajectories) == (1, 1)


def test_a_clock_that_says_anything_does_not_stop_the_views(tmp_path: Path) -> None:
    drafts = [
        ledgers.trajectory("s", 0, time_ms=10**30),
        ledgers.trajectory("s", 1, time_ms=-(10**30)),
        ledgers.trajectory("s", 2, started_at="not a time"),
    ]
    with Views(views_of(tmp_path, drafts)) as views:
        assert views.session("s").turns == 3


def test_a_session_that_goes_on_after_its_end_is_open_again(tmp_path: Path) -> None:
    drafts = [ledgers.trajectory("s", 0), ledgers.events("s", 1, ended=True), ledgers.trajectory("s", 1)]
    with Views(views_of(tmp_path, drafts)) as views:
        assert views.session("s").ended is False


def test_sessions_can_be_filtered_by_every_origin_and_come_newest_first(tmp_path: Path) -> None:
    kinds = {"fleet": "f2", "node": "n2", "agent": "codex", "project": "blog"}
    drafts = [ledgers.trajectory(f"s{n}", n) for n in range(4)]
    drafts += [
        ledgers.trajectory(name, 9 + n, **{name: value}) for n, (name, value) in enumerate(kinds.items())
    ]
    with Views(views_of(tmp_path, drafts)) as views:
        for name, value in kinds.items():
            assert [row.session for row in views.sessions(Filter(**{name: value}))] == [name]
            assert [row.session for row in views.trajectories(Filter(**{name: value}))] == [name]
        assert [row.session for row in views.sessions(limit=2)] == ["project", "agent"]
        since = Filter(since_ms=ledgers.START_MS + 10 * ledgers.MINUTE_MS, fleet="default")
        assert [row.session for row in views.sessions(since)] == ["project", "agent", "node"]


def test_an_id_is_found_by_a_beginning_that_only_it_has(tmp_path: Path) -> None:
    with Views(views_of(tmp_path, ledgers.story())) as views:
        assert views.find("s-a") == ("session", "s-alpha")
        assert views.find("traj_s-alpha_1") == ("trajectory", "traj_s-alpha_1")
        with pytest.raises(KarlError, match="s-alpha, s-beta"):
            views.find("s-")
        with pytest.raises(NotFound, match="karl sessions"):
            views.find("%")


@examples(max_examples=25, deadline=None)
@given(st.data())
def test_any_batches_give_the_rows_of_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    choices = st.sampled_from(range(6))
    prompt = "a prompt that is long enough to name a task"
    turns = [
        ledgers.trajectory(f"s{n % 3}", n, domain=f"d{n % 2}", agent=f"a{n % 2}", prompt=prompt)
        for n in range(6)
    ]
    drafts: list[Draft] = []
    for n in data.draw(st.lists(choices, min_size=1, max_size=25)):
        kind = data.draw(st.sampled_from(["turn", "remark", "all known", "found", "score", "events", "late"]))
        drafts.append({
            "turn": turns[n],
            "remark": ledgers.annotation(turns[n], Outcome(correction_detected=n % 2 == 0), by=f"ev{len(drafts) % 4}"),
            "all known": ledgers.annotation(turns[n], Outcome(annotation_status="annotated", redo_detected=True), by="w"),
            "found": ledgers.annotation(turns[n], Outcome(committed=True, correction_score=0.25), by="git"),
            "late": ledgers.events(f"s{n % 3}", 1, of=f"traj_s{n % 3}_{n}"),
            "score": ledgers.rescore(turns[n], len(drafts) / 100, version=str(n % 2)),
            "events": ledgers.events(f"s{n % 4}", n, ended=n == 3),
        }[kind])  # fmt: skip
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


def dump(path: Path) -> list[str]:
    connection = store.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def test_the_work_for_one_more_record_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, which no noise of the computer changes."""

    def steps(rows: int) -> int:
        folder = tmp_path / str(rows)
        ledgers.write(folder / "ledger", [ledgers.trajectory(f"s{n}", 0) for n in range(rows)], batch=500)
        rebuild(folder / "views.sqlite", folder / "ledger", "1")
        with Views(folder / "views.sqlite") as views:
            position = views.position()
        last = ledgers.trajectory("one-more", 0)
        ledgers.write(folder / "ledger", [last, ledgers.annotation(last, Outcome(redo_detected=True))])
        connection = store.connect(folder / "views.sqlite")
        done = 0

        def count() -> int:
            nonlocal done
            done += 1
            return 0

        connection.set_progress_handler(count, 1)
        with Reader(folder / "ledger", position) as reader, store.transaction(connection):
            project.apply(connection, reader.poll(10), "1", folder / "ledger")
        connection.set_progress_handler(None, 0)
        connection.close()
        return done

    few, many = steps(20), steps(2000)
    assert many <= few * 1.2

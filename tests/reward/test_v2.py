"""Reward version 2: what each signal looks at, what it leaves out, and how they are put together."""

from __future__ import annotations

import pytest

from karl.acts.reader import READER
from karl.reward import v2
from karl.reward.basis import NOTHING, Basis
from karl.reward.calibration import Calibration
from karl.reward.score import score
from karl.reward.usual import DELIVERED, LOOKED, TRIED, TURNS_MIN, Seen, Usual, class_of, seen
from karl.schema.act import Act, Role
from karl.schema.record import Score
from karl.schema.trajectory import Calls, Outcome, ToolCall, Trajectory

SRC, OTHER, TEST, README = "shop/billing.py", "shop/cart.py", "tests/test_billing.py", "README.md"


def call(*acts: Act, tool: str = "Bash", success: bool | None = True, **params: object) -> ToolCall:
    return ToolCall(tool_name=tool, key_params=dict(params), success=success, acts=list(acts))


def read(path: str = SRC, role: Role = "source") -> ToolCall:
    return call(Act("read", path, ok=True, role=role), command=f"cat {path}")


def edit(path: str = SRC, role: Role = "source", *, ok: bool | None = True, removed: int = 1) -> ToolCall:
    return call(Act("edit", path, ok, added=1, removed=removed, role=role))


def check(*, ok: bool | None = True, **told: object) -> ToolCall:
    return call(Act("check", ok=ok, check="test", program="pytest", **told))  # type: ignore[arg-type]


def turn(*calls: ToolCall, outcome: Outcome | None = None) -> Trajectory:
    return Trajectory(trajectory=Calls(events=list(calls), reader=READER), outcome=outcome or Outcome())


def scored(*calls: ToolCall, basis: Basis = NOTHING) -> Score:
    return score(turn(*calls), version="2", basis=basis)


def usual(kind: int, *lengths: int, times: int = TURNS_MIN) -> Usual:
    """Make what is usual of an agent whose turns of one kind had these lengths, each so many times."""
    found = Usual()
    for length in lengths:
        for _ in range(times):
            found = found.with_turn(Seen(kind * 100 + class_of(length), kind == DELIVERED))
    return found


# --- what a turn that delivers is judged by ---


def test_read_edit_and_a_green_check_is_all_that_can_be_seen() -> None:
    found = scored(read(), edit(), check())
    assert found.signals == {"process": 1.0, "verification": 1.0, "consistency": 1.0, "motion": 1.0}
    assert found.reward > 0.9


@pytest.mark.parametrize(
    ("told", "green"),
    [
        ({"ok": True}, 1.0),
        ({"ok": None, "passed": 5}, 1.0),
        ({"ok": None, "passed": 5, "failed": 1}, 0.0),
        ({"ok": True, "passed": 4, "failed": 1}, 0.0),
        ({"ok": False, "passed": 5}, 0.0),
        ({"ok": None}, 0.0),
    ],
)
def test_a_check_is_green_by_its_own_status_or_its_counts(told: dict[str, object], green: float) -> None:
    found = scored(read(), edit(), check(**told))  # type: ignore[arg-type]
    assert found.components["r_checked"] == green
    assert found.components["r_edits_checked"] == 1.0


def test_a_check_that_never_ran_is_no_look() -> None:
    found = scored(read(), edit(), check(ok=None, passed=0))
    assert found.signals["verification"] == 0.0


def test_a_check_before_the_last_edit_says_nothing_of_it() -> None:
    found = scored(read(), edit(), check(), edit())
    assert found.components["r_checked"] == 0.0
    assert found.components["r_edits_checked"] == 0.0


def test_each_changed_file_counts_for_what_was_followed_by_a_check_however_often_it_was_changed() -> None:
    found = scored(read(), edit(), edit(), edit(), check(ok=False), read(OTHER), edit(OTHER))
    assert found.components["r_edits_checked"] == 0.5


def test_a_lint_of_a_file_that_nobody_changed_is_no_check_of_the_work() -> None:
    of = {
        path: call(Act("check", path, ok=True, check="lint", program="ruff")) for path in (OTHER, SRC, "shop")
    }
    assert scored(read(), edit(), of[OTHER]).signals["verification"] == 0.0
    assert scored(read(), edit(), of[SRC]).signals["verification"] == 1.0
    assert scored(read(), edit(), of["shop"]).signals["verification"] == 1.0


def test_a_linter_of_another_language_is_no_check_of_the_work() -> None:
    lint, types = (Act("check", ok=True, check="lint", program=one) for one in ("ruff check", "eslint"))
    assert scored(read(), edit(), call(lint)).signals["verification"] == 1.0
    assert scored(read(), edit(), call(types)).signals["verification"] == 0.0


def test_a_target_that_the_turn_itself_wrote_is_green_by_its_counts_only() -> None:
    makefile = edit("Makefile", "config")
    bare = call(Act("check", ok=True, check="test", program="make test"))
    counted = call(Act("check", ok=True, check="test", program="make test", passed=3))
    assert scored(read(), edit(), makefile, bare).components["r_checked"] == 0.0
    assert scored(read(), edit(), makefile, counted).components["r_checked"] == 1.0


@pytest.mark.parametrize("path", ["/tmp/bin/pytest", "pytest.py", "tools/pytest"])
def test_a_runner_that_the_turn_itself_made_says_nothing(path: str) -> None:
    found = scored(read(), edit(), edit(path, "scratch", removed=0), check(passed=5))
    assert found.signals["verification"] == 0.0


def test_green_after_a_test_was_taken_away_is_not_green() -> None:
    gone = call(Act("delete", TEST, ok=True, role="test"))
    assert scored(read(), edit(), check(ok=False), gone, check()).components["r_checked"] == 0.0
    cache = call(Act("delete", "tests/__pycache__", ok=True, role="test"))
    assert scored(read(), edit(), cache, check()).components["r_checked"] == 1.0
    own = edit(TEST, "test", removed=0)
    assert scored(read(), edit(), own, gone, check()).components["r_checked"] == 1.0


@pytest.mark.parametrize(
    ("to", "role", "green"), [("tests/test_sums.py", "test", 1.0), ("old/x.py", "source", 0.0)]
)
def test_a_test_that_is_moved_must_stay_a_test(to: str, role: Role, green: float) -> None:
    moved = call(
        Act("delete", TEST, ok=True, role="test", program="mv"),
        Act("edit", to, ok=True, role=role, program="mv"),
    )
    assert scored(read(), edit(), moved, check()).components["r_checked"] == green


def test_a_file_counts_as_looked_into_when_it_was_read_or_searched_by_name_before() -> None:
    searched = call(Act("search", SRC, ok=True))
    assert scored(searched, edit()).components["r_read_before_edit"] == 1.0
    assert scored(edit(), read()).components["r_read_before_edit"] == 0.0
    assert scored(call(Act("read", SRC, ok=False)), edit()).components["r_read_before_edit"] == 0.0


def test_a_file_that_the_turn_made_needs_no_look_before() -> None:
    found = scored(read(), edit("shop/tax.py", removed=0))
    assert found.signals.keys() == {"process", "verification"}


def test_what_an_earlier_turn_of_the_session_may_have_looked_into_is_not_held_against_a_later_one() -> None:
    later = turn(read(), edit(OTHER), edit(), check())
    later.context.turn = 3
    found = score(later, version="2").components
    assert (found["r_read_before_edit"], found["r_localised"]) == (1.0, 1.0)
    blind = turn(edit(OTHER), check())
    blind.context.turn = 3
    assert score(blind, version="2").signals.keys() == {"process", "verification"}


def test_new_files_alone_are_half_as_sure_a_delivery() -> None:
    new = edit("shop/tax.py", removed=0)
    alone, beside = scored(new), scored(new, read(), edit())
    assert alone.observed == {"process": 0.5, "verification": 0.5}
    assert beside.observed == {}
    assert (
        scored(read()).reward
        < alone.reward
        < scored(new, check()).reward
        < scored(read(), edit(), check()).reward
    )


def test_localisation_is_the_share_of_the_files_read_or_changed_that_were_read_and_then_changed() -> None:
    found = scored(read(), read(OTHER), read(TEST, "test"), read(README, "docs"), edit())
    assert found.components["r_localised"] == 0.5
    assert scored(edit(), read()).components["r_localised"] == 0.0
    library = read("/usr/lib/python3/site-packages/money/core.py")
    assert scored(read(), library, edit()).components["r_localised"] == 1.0


# --- what stands in the end ---


@pytest.mark.parametrize(
    "undo",
    [
        Act("revert", SRC, ok=True, program="git checkout"),
        Act("revert", "shop", ok=True, program="git restore"),
        Act("revert", ok=True, program="git reset"),
        Act("revert", ok=True, program="git stash"),
    ],
)
def test_a_change_that_was_thrown_away_is_not_delivered(undo: Act) -> None:
    found = scored(read(), edit(), call(undo))
    assert found.components["r_delivered"] == 0.0
    assert found.reward == scored(read()).reward


def test_what_was_shelved_and_taken_back_stands() -> None:
    away = call(Act("revert", ok=True, program="git stash"))
    back = call(Act("vcs", ok=True, program="git stash pop"))
    found = scored(read(), edit(), away, check(), back).components
    assert (found["r_delivered"], found["r_checked"]) == (1.0, 0.0)
    assert scored(read(), edit(), away, back, check()).components["r_checked"] == 1.0
    assert scored(read(), edit(), check(), away, check(ok=False), back).components["r_checked"] == 1.0


def test_what_was_committed_stays_when_changes_are_thrown_away() -> None:
    found = scored(read(), edit(), call(Act("commit", ok=True)), call(Act("revert", ok=True)))
    assert found.components["r_delivered"] == 1.0


def test_a_file_that_was_made_and_deleted_again_is_not_delivered() -> None:
    found = scored(edit("shop/x.py", removed=0), call(Act("delete", "shop/x.py", ok=True)))
    assert found.components["r_delivered"] == 0.0


def test_a_revert_takes_back_what_was_committed_last() -> None:
    back = call(Act("revert", ok=True, program="git revert"))
    assert scored(read(), edit(), call(Act("commit", ok=True)), back).components["r_delivered"] == 0.0


def test_cleaning_up_takes_new_files_and_leaves_changed_ones() -> None:
    clean = call(Act("revert", ok=True, program="git clean"))
    assert scored(read(), edit(), clean).components["r_delivered"] == 1.0
    assert scored(edit("shop/x.py", removed=0), clean).components["r_delivered"] == 0.0


def test_a_file_that_is_touched_is_not_changed() -> None:
    touched = call(Act("edit", SRC, ok=True, program="touch"))
    assert scored(read(), touched).components["r_delivered"] == 0.0
    assert scored(touched).components["r_delivered"] == 0.0


def test_a_file_that_is_moved_and_moved_back_is_not_changed() -> None:
    def moved(source: str, to: str) -> ToolCall:
        return call(Act("delete", source, ok=True, program="mv"), Act("edit", to, ok=True, program="mv"))

    there, back = moved(SRC, OTHER), moved(OTHER, SRC)
    assert scored(read(), there).components["r_delivered"] == 1.0
    assert scored(read(), there, back).components["r_delivered"] == 0.0


@pytest.mark.parametrize("path", [".gitignore", ".vscode/settings.json", "package-lock.json", "a/Cargo.lock"])
def test_what_is_kept_beside_the_work_is_not_the_work(path: str) -> None:
    assert scored(read(), edit(path, "config"), check()).components["r_delivered"] == 0.5
    assert scored(read(), edit("setup.cfg", "config"), check()).components["r_delivered"] == 1.0


def test_a_change_in_place_is_one_of_a_file_that_was_there() -> None:
    blind = call(Act("edit", SRC, ok=True, program="sed"))
    assert scored(blind).components["r_read_before_edit"] == 0.0
    assert "consistency" not in scored(call(Act("edit", SRC, ok=True, program="cp"))).signals


@pytest.mark.parametrize(("ok", "delivered"), [(True, 1.0), (None, None), (False, 0.0)])
def test_a_patch_whose_files_nobody_names_counts_where_it_is_known_to_have_applied(
    ok: bool | None, delivered: float | None
) -> None:
    found = scored(call(Act("edit", ok=ok, program="git apply")))
    assert found.components.get("r_delivered") == delivered


def test_a_script_that_was_made_to_be_run_is_no_delivery() -> None:
    found = scored(edit("look.py", removed=0), call(Act("run", "look.py", ok=True)))
    assert found.components["r_delivered"] == 0.0


def test_a_file_that_was_there_is_nobodys_scratch_whatever_its_name() -> None:
    assert scored(read("fix.py", "scratch"), edit("fix.py", "scratch")).components["r_delivered"] == 1.0
    assert scored(edit("fix.py", "scratch", removed=0)).components["r_delivered"] == 0.0


def test_work_in_a_temporary_folder_is_work_and_a_copy_made_there_is_not() -> None:
    path = "/tmp/checkout/shop/billing.py"
    at = (read(path, "scratch"), edit(path, "scratch"))
    copied = call(Act("edit", "/tmp/checkout", ok=True, role="scratch", program="cp"))
    assert scored(*at).components["r_delivered"] == 1.0
    assert scored(copied, *at).components["r_delivered"] == 0.0
    there = call(Act("check", "/tmp/checkout", ok=True, check="test", program="pytest"))
    assert scored(*at, there).components["r_checked"] == 1.0
    assert scored(read(), edit(), there).components["r_checked"] == 0.0
    own = edit("/tmp/checkout/test_x.py", "scratch", removed=0)
    assert scored(read(), edit(), own, there).components["r_checked"] == 0.0


def test_a_failed_edit_that_was_made_good_costs_nothing() -> None:
    assert scored(read(), edit(ok=False), edit(), check()).reward == scored(read(), edit(), check()).reward


# --- what a turn that delivers nothing is judged by ---


def test_economy_counts_without_a_delivery_where_the_agent_hardly_ever_changes_a_file() -> None:
    known = Basis(usual(LOOKED, 2, 4, 8, 16))
    short, long = (scored(*[call(tool="ask", id=n) for n in range(size)], basis=known) for size in (2, 16))
    assert long.reward < short.reward <= 0.5


def test_of_a_turn_that_changed_nothing_and_failed_at_nothing_nothing_is_known() -> None:
    assert scored(read(), read(OTHER)).reward == 0.5
    assert (scored().reward, scored().confidence, scored().signals) == (0.5, 0.0, {})


@pytest.mark.parametrize("basis", [NOTHING, Basis(usual(TRIED, 5)), Basis(usual(LOOKED, 5))])
def test_to_try_in_vain_is_no_worse_than_not_to_try_and_to_do_nothing_no_better(basis: Basis) -> None:
    tried, looked, idle = (
        scored(*calls, basis=basis).reward for calls in ((read(), edit(ok=False)), (read(),), ())
    )
    assert tried >= looked
    assert idle <= max(0.5, looked)


def test_where_an_agent_always_changes_something_a_turn_without_calls_delivered_nothing() -> None:
    found = scored(basis=Basis(usual(TRIED, 5)))
    assert found.reward == scored(read(), basis=Basis(usual(TRIED, 5))).reward < 0.2


def test_whether_a_turn_delivered_is_not_known_where_nobody_names_the_file_that_was_changed() -> None:
    wrote = call(Act("edit", ok=None, program="python"))
    found = scored(read(), wrote)
    assert (found.reward, found.signals) == (0.5, {})
    assert scored(read(), wrote, edit()).components["r_delivered"] == 1.0


def test_a_turn_that_only_looks_costs_where_the_agent_nearly_always_sets_out_to_change_something() -> None:
    always, seldom = usual(TRIED, 5), Usual({class_of(5): 8, 200 + class_of(5): 12}, 8)
    looked = [scored(read(), basis=Basis(one)).components["r_needless"] for one in (always, seldom)]
    assert looked == [0.0, 1.0]


@pytest.mark.parametrize(("path", "role"), [(TEST, "test"), (README, "docs")])
def test_tests_or_documentation_alone_are_worth_more_than_nothing_and_less_than_the_source(
    path: str, role: Role
) -> None:
    beside = scored(read(path, role), edit(path, role), check()).reward
    assert scored(read()).reward < beside < scored(read(), edit()).reward


def test_tests_that_were_written_are_judged_as_the_source_would_be_and_count_for_half() -> None:
    test = edit(TEST, "test")
    blind, looked = scored(test), scored(read(TEST, "test"), test)
    checked = scored(read(TEST, "test"), test, check())
    assert blind.reward < looked.reward < checked.reward < scored(read(), edit()).reward
    assert looked.observed["consistency"] == checked.observed["verification"] == 0.5


def test_without_code_failed_calls_and_calls_said_again_count_and_a_shells_status_does_not() -> None:
    ask = call(tool="get_order", id="7")
    failed = call(tool="get_order", success=False, id="8")
    assert scored(ask, failed).components["r_clean"] == 0.5
    assert scored(ask, ask).components["r_once"] == 0.5
    grep = call(Act("search"), success=False, command="grep -rn nothing .")
    assert scored(ask, grep).components["r_clean"] == 1.0
    assert scored(ask, read(), read()).components["r_once"] == 1.0


def test_a_file_that_was_made_and_taken_away_again_was_a_try_and_not_work_in_vain() -> None:
    tried = (edit("shop/x.py", removed=0), call(Act("delete", "shop/x.py", ok=True)))
    assert scored(*tried, edit(TEST, "test")).reward == scored(edit(TEST, "test")).reward


def test_a_change_that_a_person_refused_was_not_made_in_vain() -> None:
    refused = edit(ok=False)
    refused.status = "denied"
    assert scored(read(), refused).components["r_needless"] == 1.0


def test_a_call_that_a_person_refused_is_no_failure_of_the_agent() -> None:
    refused = call(tool="get_order", success=False, id="7")
    refused.status = "denied"
    assert scored(refused).components["r_clean"] == 1.0


# --- what is usual ---


def test_economy_falls_with_the_share_of_the_agents_turns_of_the_kind_that_took_less() -> None:
    known = usual(DELIVERED, 2, 10, 50)
    work = [read(), edit(), *(read(OTHER) for _ in range(8))]
    assert len(work) == 10
    assert scored(*work, basis=Basis(known)).components["r_economy"] == pytest.approx(0.5 / v2.SHORT)
    assert scored(*work * 10, basis=Basis(known)).components["r_economy"] == 0.0


def test_to_be_among_the_shortest_turns_is_no_merit_of_its_own() -> None:
    known = Basis(usual(DELIVERED, 2, 3, 20, 20, 20, 20, 20, 20))
    short = [scored(*calls, basis=known) for calls in ((read(), edit()), (read(), edit(), read()))]
    assert [one.components["r_economy"] for one in short] == [1.0, 1.0]


def test_checks_are_no_length() -> None:
    known = Basis(usual(DELIVERED, 2, 3, 4))
    once = scored(read(), edit(), check(), basis=known)
    assert once.components["r_economy"] == scored(read(), edit(), basis=known).components["r_economy"]
    assert scored(read(), edit(), *[check()] * 50, basis=known).reward == once.reward


def test_a_short_turn_that_delivers_nothing_gains_nothing_where_turns_usually_deliver() -> None:
    known = Basis(usual(DELIVERED, 20, 40, 80))
    assert "efficiency" not in scored(read(), basis=known).signals
    assert scored(read(), basis=known).reward == scored(*[read()] * 30, basis=known).reward


def test_a_few_turns_do_not_say_what_is_usual() -> None:
    few = usual(DELIVERED, 2, times=TURNS_MIN - 1)
    assert "efficiency" not in scored(read(), edit(), basis=Basis(few)).signals


def test_a_turn_that_is_taken_out_again_leaves_no_trace_in_what_is_usual() -> None:
    known = usual(DELIVERED, 3, 5)
    one = seen(turn(read(), edit()))
    assert one is not None
    assert known.with_turn(one).without_turn(one) == known
    assert known.with_turn(one).n == known.n + 1 == known.with_turn(one).delivered


def test_a_turn_without_calls_says_nothing_of_what_is_usual() -> None:
    assert seen(turn()) is None


@pytest.mark.parametrize(
    ("calls", "kind"),
    [((read(), edit()), DELIVERED), ((read(), edit(TEST, "test")), TRIED), ((edit(ok=False),), TRIED), ((read(),), LOOKED)],
)  # fmt: skip
def test_turns_are_counted_by_what_they_did(calls: tuple[ToolCall, ...], kind: int) -> None:
    one = seen(turn(*calls))
    assert one is not None
    assert (one.length // 100, one.delivered) == (kind, kind == DELIVERED)


# --- outcome, weights, confidence ---


def test_an_outcome_is_taken_over_what_was_said_and_weighs_by_how_much_that_is() -> None:
    little = v2.outcome(Outcome(session_continued=True))
    much = v2.outcome(Outcome(correction_detected=False, build_success=True, survived=True))
    assert little is not None
    assert much is not None
    assert little.value == much.value == 1.0
    assert 0 < little.observed < 0.2
    assert 0.9 < much.observed < 1


def test_nobody_said_anything_is_no_outcome() -> None:
    assert v2.outcome(Outcome()) is None
    assert v2.outcome(Outcome(session_continued=False)) is None


def test_a_correction_counts_by_its_strength() -> None:
    values = [v2.outcome(Outcome(correction_detected=True, correction_score=one)) for one in (0.6, 0.9)]
    assert [round(one.value, 6) for one in values if one] == [0.4, 0.1]


def test_that_nothing_worse_was_said_is_no_praise_of_what_was_corrected() -> None:
    alone = v2.outcome(Outcome(correction_detected=True))
    mild = Outcome(correction_detected=True, session_continued=True, redo_detected=False, reverted=False)
    worse = v2.outcome(Outcome(correction_detected=True, redo_detected=True))
    assert alone == v2.outcome(mild)
    assert worse is not None
    assert worse.value == 0.0
    assert list(worse.components) == ["r_no_correction", "r_no_redo"]


def test_a_reverted_change_outweighs_that_the_user_went_on() -> None:
    found = v2.outcome(Outcome(reverted=True, session_continued=True, committed=True))
    assert found is not None
    assert found.value < 0.3


def test_confidence_is_the_share_of_the_weights_that_was_observed() -> None:
    weights = v2.WEIGHTS
    found = scored(read(), edit(), check())
    known = sum(weights[name] for name in found.signals)
    assert found.confidence == pytest.approx(known)
    better = score(turn(read(), edit(), check(), outcome=Outcome(correction_detected=False)), version="2")
    assert better.confidence is not None
    assert better.confidence > known


def test_one_weak_word_alone_does_not_make_a_turn_look_perfect() -> None:
    alone = score(turn(outcome=Outcome(session_continued=True)), version="2")
    assert alone.signals == {"outcome": 1.0}
    assert 0.5 < alone.reward < 0.7


def test_the_weights_of_the_version_sum_to_one() -> None:
    assert sum(v2.WEIGHTS.values()) == pytest.approx(1.0)


def test_a_calibration_stands_for_all_signals_but_the_outcome() -> None:
    fitted = Calibration("c1", "agent", "2", 0.0, {"r_localised": 1.0}, {"r_localised": 1.0})
    found = score(turn(read(), edit(), check()), version="2", basis=Basis(calibration=fitted))
    assert (found.reward, found.calibration) == (0.5, "c1")
    corrected = turn(read(), edit(), check(), outcome=Outcome(correction_detected=True))
    assert score(corrected, version="2", basis=Basis(calibration=fitted)).reward < 0.5


def test_calls_that_nobody_took_apart_are_taken_apart_first() -> None:
    params = {"file_path": "/w/a.py"}
    old = Trajectory(
        trajectory=Calls(
            events=[
                ToolCall("Read", key_params=params, success=True),
                ToolCall("Edit", key_params={**params, "old_string": "a", "new_string": "b"}, success=True),
            ]
        )
    )
    assert score(old, version="2").components["r_read_before_edit"] == 1.0

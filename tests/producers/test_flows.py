"""Which run an envelope belongs to, whatever runs beside it and however late it comes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.flows import ENDED_KEPT, OPEN_KEPT, Envelope, Flows


class Story:
    """Envelopes one by one, and the sessions that they went to."""

    def __init__(self) -> None:
        self.flows = Flows()
        self.seq = 0

    def tell(
        self, kind: str, flow: Any = "f", *, at: int = 0, step: int | None = None, **payload: Any
    ) -> str:
        self.seq += 1
        ts = f"2026-06-03T00:{at // 60:02}:{at % 60:02}Z"
        envelope = Envelope(self.seq, ts, kind, flow, step, payload)
        facts = self.flows.take(envelope, f"x:{self.seq}")
        (session,) = {fact.payload["session_id"] for fact in facts}
        return session


def test_two_runs_of_one_flow_that_follow_each_other_are_two_sessions() -> None:
    s = Story()
    one = {
        s.tell("flow:start"),
        s.tell("step:start", step=0),
        s.tell("step:complete", step=0),
        s.tell("flow:complete"),
    }
    two = {
        s.tell("flow:start"),
        s.tell("step:start", step=0),
        s.tell("step:complete", step=0),
        s.tell("flow:complete"),
    }
    assert (len(one), len(two), len(one | two)) == (1, 1, 2)


def test_steps_of_runs_at_once_go_to_the_oldest_run_that_lacks_them() -> None:
    s = Story()
    one, two = s.tell("flow:start"), s.tell("flow:start")
    assert [s.tell("step:start", step=n) for n in (0, 0, 1, 1)] == [one, two, one, two]
    assert [s.tell("step:complete", step=n) for n in (1, 0, 0, 1)] == [one, one, two, two]
    assert [s.tell("flow:complete"), s.tell("flow:complete")] == [one, two]


def test_a_run_with_a_step_under_way_is_not_the_one_that_is_complete() -> None:
    s = Story()
    one, two = s.tell("flow:start"), s.tell("flow:start")
    s.tell("step:start", step=0)
    assert s.tell("flow:complete") == two
    assert s.tell("step:complete", step=0) == one


def test_the_duration_of_a_completion_says_which_run_it_is_of() -> None:
    s = Story()
    one, two = s.tell("flow:start", at=0), s.tell("flow:start", at=30)
    assert s.tell("flow:complete", at=40, duration_ms=10_000) == two
    assert s.tell("flow:complete", at=60, duration_ms=60_000) == one


def test_a_late_envelope_goes_to_the_run_of_its_time() -> None:
    s = Story()
    one = s.tell("flow:start", at=0)
    s.tell("flow:complete", at=20)
    two = s.tell("flow:start", at=40)
    assert s.tell("step:start", at=10, step=0) == one
    assert s.tell("step:start", at=50, step=0) == two


def test_an_envelope_without_a_start_begins_a_run_that_the_rest_goes_on_with() -> None:
    s = Story()
    run = s.tell("step:complete", step=3)
    assert s.tell("step:start", step=4) == run
    assert s.tell("flow:complete") == run


def test_the_same_start_read_again_begins_no_other_run() -> None:
    flows, envelope = Flows(), Envelope(7, "2026-06-03T00:00:00Z", "flow:start", "f", None, {})
    assert flows.take(envelope, "a:0") == flows.take(envelope, "b:9")
    unnumbered = Envelope(None, "2026-06-03T00:00:00Z", "flow:start", "f", None, {})
    assert flows.take(unnumbered, "a:0") != flows.take(unnumbered, "a:99")


def test_a_failure_without_a_word_is_a_failure_and_a_step_that_says_nothing_is_not() -> None:
    s = Flows()
    failed, silent = (
        s.take(Envelope(n, None, "step:complete", "f", n, payload), "x:0")[0].payload
        for n, payload in enumerate(({"ok": False, "error": None}, {"step_kind": "ntfy_push"}))
    )
    assert failed["hook_event_name"] == "PostToolUseFailure"
    assert "without a word" in failed["error"]
    assert (silent["hook_event_name"], silent["tool_name"]) == ("PostToolUse", "NtfyPush")
    assert silent["tool_response"]["success"] is None


def test_what_is_remembered_is_bounded() -> None:
    s = Story()
    for number in range(2000):
        s.tell("flow:start", f"f{number}")
        s.tell("flow:complete", f"f{number}")
    for number in range(OPEN_KEPT + 10):
        s.tell("flow:start", f"open{number}")
    s.flows.forget()
    kept = [run for runs in s.flows.runs.values() for run in runs]
    assert len([run for run in kept if run.ended]) == ENDED_KEPT
    assert len([run for run in kept if not run.ended]) == OPEN_KEPT


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KIND = st.sampled_from(["flow:start", "step:start", "step:complete", "flow:complete", "x\x1b"]) | ANY


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ANY, ANY, KIND, st.sampled_from(["f", "g"]) | ANY, ANY, ANY), max_size=12))
def test_whatever_an_envelope_holds_it_becomes_facts_of_one_session(rows: list[tuple[Any, ...]]) -> None:
    flows = Flows()
    for number, row in enumerate(rows):
        facts = flows.take(Envelope(*row), f"x:{number}")
        assert facts
        assert len({fact.payload["session_id"] for fact in facts}) == 1
        assert len({fact.name for fact in facts}) == len(facts)
        flows.forget()


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_many_flows_side_by_side_keep_their_steps(seed: int) -> None:
    chance, s = random.Random(seed), Story()
    scripts = {
        f"f{n}": [
            ("flow:start", None),
            *((k, i) for i in range(4) for k in ("step:start", "step:complete")),
            ("flow:complete", None),
        ]
        for n in range(6)
    }
    sessions: dict[str, set[str]] = {name: set() for name in scripts}
    while left := [name for name, script in scripts.items() if script]:
        name = chance.choice(left)
        kind, step = scripts[name].pop(0)
        sessions[name].add(s.tell(kind, name, step=step))
    assert all(len(found) == 1 for found in sessions.values())

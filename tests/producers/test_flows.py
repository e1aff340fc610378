"""Which run an envelope belongs to, whatever runs beside it and however late it comes."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.schema.event import event_id
from producers.flow_facts import Envelope
from producers.flows import ENDED_KEPT, OPEN_KEPT, OPEN_OF_FLOW_KEPT, Fact, Flows, Source


def take(flows: Flows, envelope: Envelope, number: int = 0) -> list[Fact]:
    name = event_id("gateway", envelope.content, str(number))
    return flows.take(envelope, name, Source("events-2026-06-03.jsonl", number), now_ms=2**50)


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
        facts = take(self.flows, Envelope(self.seq, ts, kind, flow, step, payload))
        (session,) = {fact.payload["session_id"] for fact in facts} or {""}
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


def test_steps_of_runs_at_once_are_one_of_each_a_run_and_what_began_first_ends_first() -> None:
    s = Story()
    one, two = s.tell("flow:start"), s.tell("flow:start")
    assert [s.tell("step:start", step=n) for n in (0, 0)] == [two, one]
    assert [s.tell("step:complete", step=n) for n in (0, 0)] == [one, two]
    assert [s.tell("step:start", step=n) for n in (1, 1)] == [two, one]
    assert [s.tell("step:complete", step=n) for n in (1, 1)] == [one, two]
    assert [s.tell("flow:complete"), s.tell("flow:complete")] == [one, two]


def test_a_run_with_a_step_under_way_is_not_the_one_that_is_complete() -> None:
    s = Story()
    one, two = s.tell("flow:start"), s.tell("flow:start")
    assert s.tell("step:start", step=0) == two
    assert s.tell("flow:complete") == one
    assert s.tell("step:complete", step=0) == two


def test_a_step_begins_in_the_run_that_something_happened_in_last() -> None:
    s = Story()
    died, run = s.tell("flow:start"), s.tell("flow:start")
    assert {s.tell(kind, step=n) for n in (0, 1) for kind in ("step:start", "step:complete")} == {run}
    assert s.tell("flow:complete") == run != died


def test_a_gateway_that_died_in_a_step_spoils_no_later_run() -> None:
    s = Story()
    died = {s.tell("flow:start", at=0), s.tell("step:start", step=0, at=1)}
    for at in (60, 120, 180):
        run = {
            s.tell("flow:start", at=at),
            s.tell("step:start", at=at, step=0),
            s.tell("step:complete", at=at + 2, step=0, ok=True, duration_ms=2000),
            s.tell("flow:complete", at=at + 2, duration_ms=2000),
        }
        assert len(run) == 1
        assert run != died


def test_a_run_without_a_word_for_half_an_hour_comes_after_the_others() -> None:
    s = Story()
    died = s.tell("flow:start", at=0)
    s.tell("step:start", step=0, at=1)
    run = s.tell("flow:start", at=2000)
    s.tell("step:start", step=0, at=2001)
    assert s.tell("step:complete", step=0, at=2002) == run
    assert s.tell("flow:complete", at=2003) == run != died


def test_a_step_that_is_tried_again_is_another_call_and_so_is_one_without_an_index() -> None:
    s = Story()
    s.tell("flow:start")
    for step, payload in ((0, {}), (None, {"step_kind": "a"}), (None, {"step_kind": "b"})):
        calls = [
            take(s.flows, Envelope(100 + n, None, kind, "f", step, payload))[0].payload["tool_use_id"]
            for n, kind in enumerate(["step:start", "step:complete"] * 2)
        ]
        assert calls[0] == calls[1] != calls[2] == calls[3]
        s.flows.recent.clear()


def test_a_line_told_again_is_no_news_even_after_its_run() -> None:
    s = Story()
    s.tell("flow:start")
    end = Envelope(50, None, "flow:complete", "f", None, {})
    assert take(s.flows, end)
    s.tell("flow:start")
    assert take(s.flows, end) == []
    assert len(s.flows.open_sessions) == 1


def test_without_numbers_and_within_one_second_a_run_that_ended_takes_nothing_more() -> None:
    s = Story()
    for steps in (1, 3):
        kinds = [
            ("flow:start", None),
            *[(k, n) for n in range(steps) for k in ("step:start", "step:complete")],
        ]
        run = set()
        for kind, step in [*kinds, ("flow:complete", None)]:
            envelope = Envelope(None, "2026-06-03T00:00:00Z", kind, "f", step, {})
            run |= {fact.payload["session_id"] for fact in take(s.flows, envelope, steps)}
        assert len(run) == 1


def test_steps_wait_for_a_start_that_is_written_late_and_then_come_after_it() -> None:
    s = Story()
    s.tell("flow:start", at=0)
    s.tell("flow:complete", at=1)
    assert s.tell("step:start", at=11, step=0) == ""
    assert s.tell("step:complete", at=12, step=0) == ""
    assert s.flows.release(0) == []
    start = Envelope(99, "2026-06-03T00:00:10Z", "flow:start", "f", None, {})
    facts = take(s.flows, start)
    kinds = [fact.payload["hook_event_name"] for fact in facts]
    assert kinds == ["UserPromptExpansion", "UserPromptSubmit", "PreToolUse", "PostToolUse"]
    assert len({fact.payload["session_id"] for fact in facts}) == 1
    assert s.flows.held == []


def test_what_a_line_says_is_in_what_is_told() -> None:
    said = {"seq": 4, "ts": "2026-06-03T00:00:00Z", "type": "flow:start", "flow_id": "f", "tenant": "t"}
    facts = take(Flows(), Envelope.of(said))
    assert [fact.payload["gateway"] for fact in facts] == [
        {"seq": 4, "type": "flow:start", "tenant": "t"}
    ] * 2


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
    assert s.tell("step:complete", step=3) == ""
    (fact,) = s.flows.release(2**60)
    run = fact.payload["session_id"]
    assert s.tell("step:start", step=4) == run
    assert s.tell("flow:complete") == run


def test_the_same_start_read_again_begins_no_other_run() -> None:
    flows, envelope = Flows(), Envelope(7, "2026-06-03T00:00:00Z", "flow:start", "f", None, {})
    facts = take(flows, envelope)
    flows.recent.clear()
    assert take(flows, envelope) == facts
    assert take(flows, envelope, 1) != facts


def test_a_failure_without_a_word_is_a_failure_and_a_step_that_says_nothing_is_not() -> None:
    s = Flows()
    take(s, Envelope(9, None, "flow:start", "f"))
    failed, silent = (
        take(s, Envelope(n, None, "step:complete", "f", n, payload))[0].payload
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


def test_of_a_flow_that_is_never_completed_the_last_runs_are_remembered() -> None:
    s = Story()
    runs = [s.tell("flow:start") for _ in range(OPEN_OF_FLOW_KEPT + 10)]
    s.flows.forget()
    assert [run.session for run in s.flows.runs["f"]] == runs[10:]


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
        held = len(flows.held)
        facts = take(flows, Envelope(*row), number)
        assert facts or len(flows.held) > held
        assert len({fact.payload["session_id"] for fact in facts}) <= 1
        assert len({fact.name for fact in facts}) == len(facts)
        flows.forget()
    flows.release(2**60)
    assert flows.held == []
    assert msgspec.json.decode(msgspec.json.encode(flows), type=Flows) == flows


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

"""Trajectories made up for the tests of the reward."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from karl.schema.trajectory import Calls, Outcome, Timing, ToolCall, Trajectory

NAMES = ["Bash", "Read", "Edit", "Write", "NotebookEdit", "Grep", "unknown", "mcp__a__b", ""]
PATHS = ["/a.py", "/b.py", "/c.py", ""]
COMMANDS = ["pytest -q", "make x", "ls", "cargo build", ""]

_flag = st.one_of(st.none(), st.booleans())
_whole = st.one_of(st.integers(-3, 100), st.integers(-(2**63), 2**64), st.just(10**400))
_odd = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))

calls = st.builds(
    ToolCall,
    tool_name=st.sampled_from(NAMES),
    key_params=st.one_of(
        st.fixed_dictionaries({"file_path": st.sampled_from(PATHS), "command": st.sampled_from(COMMANDS)}),
        st.dictionaries(st.sampled_from(["file_path", "command", "x"]), _odd),
    ),
    success=_flag,
    exit_code=st.one_of(st.none(), st.integers()),
    placeholder=st.booleans(),
)
outcomes = st.builds(
    Outcome,
    correction_detected=_flag,
    redo_detected=_flag,
    build_success=_flag,
    session_continued=_flag,
)
trajectories = st.builds(
    Trajectory,
    trajectory=st.builds(
        Calls,
        events=st.lists(calls, max_size=40),
        tool_counts=st.dictionaries(st.sampled_from(NAMES), _whole),
        total_tools=_whole,
        successes=_whole,
        failures=_whole,
        bash_errors=_whole,
    ),
    outcome=outcomes,
    timing=st.builds(Timing, duration_s=st.one_of(st.none(), st.floats(), st.floats(0, 5000))),
)


def call(name: str, success: bool | None = True, **params: Any) -> ToolCall:
    return ToolCall(tool_name=name, key_params=params, success=success)


def turn(*made: ToolCall, duration_s: float | None = None, outcome: Outcome | None = None) -> Trajectory:
    """A trajectory of these calls, with the counters that its normaliser would give it."""
    counts: dict[str, int] = {}
    for each in made:
        counts[each.tool_name] = counts.get(each.tool_name, 0) + 1
    return Trajectory(
        trajectory=Calls(
            events=list(made),
            tool_sequence=[each.tool_name for each in made],
            tool_counts=counts,
            total_tools=len(made),
            successes=sum(each.success is True for each in made),
            failures=sum(each.success is False for each in made),
            bash_errors=sum(each.tool_name == "Bash" and each.success is False for each in made),
        ),
        outcome=outcome or Outcome(),
        timing=Timing(duration_s=duration_s),
    )

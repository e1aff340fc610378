"""Reward version 1: six signals over one trajectory, weighted and summed, as first published.

It is kept as it was, weaknesses included, so that the scores of older stores can be made again to
four decimals; a better reading of the same facts is another version. Nothing here raises on a
trajectory that could be decoded, and every signal lies in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby, pairwise
from typing import NamedTuple

from karl.reward.basis import NOTHING, Basis
from karl.reward.deeds import Deeds
from karl.reward.signal import Signal
from karl.schema.trajectory import Calls, Outcome, ToolCall, Trajectory

VERSION = "1"

#: Weight of each signal where nobody set others.
WEIGHTS = {
    "outcome": 0.25,
    "process": 0.22,
    "efficiency": 0.13,
    "verification": 0.13,
    "consistency": 0.13,
    "motion": 0.14,
}

MUTATIONS = ("Write", "Edit", "NotebookEdit")
TESTS = ("pytest", "npm test", "bun test", "cargo test", "go test", "make test")
BUILDS = ("xcodebuild", "cargo build", "make ", "npm run build", "bun build")
#: Larger counts than this are nobody's; they would only overflow a float.
_COUNT_MAX = 2**53


class Tally(NamedTuple):
    """The counters of a trajectory, made safe to compute with."""

    total: int
    by_tool: dict[str, int]
    mutations: int
    success_share: float  # of the calls whose success is known


class _Files(NamedTuple):
    """What the calls did to files; a path is what the agent wrote, compared as it stands."""

    reads: int
    reads_unused: int  # of files that no call edits
    edits: dict[str, int]  # by path
    edits_after_read: int
    read_after_edit: bool


def signals(trajectory: Trajectory, basis: Basis = NOTHING, done: Deeds | None = None) -> dict[str, Signal]:
    """Give the six signals by name, each with its components; no earlier turn changes them."""
    del basis, done
    calls = trajectory.trajectory
    events = calls.events
    failed = [call.success is False for call in events]
    edited = [edited_path(call) for call in events]
    tally = count_up(calls)
    files = _files(events, edited)
    return {
        "outcome": outcome(trajectory.outcome),
        "process": _process(tally, failed, calls.bash_errors),
        "efficiency": _efficiency(tally, trajectory.timing.duration_s),
        "verification": _verification(tally, events, files),
        "consistency": _consistency(tally, files),
        "motion": _motion(tally, events, failed, edited, files),
    }


def outcome(known: Outcome) -> Signal:
    """Add up what people and builds said; 0.5 when nobody did. No other signal reads `known`."""
    value = 0.5
    components: dict[str, float] = {}
    for name, good, if_good, if_bad in (
        ("r_no_correction", _negated(known.correction_detected), 0.35, -0.35),
        ("r_no_redo", _negated(known.redo_detected), 0.25, -0.25),
        ("r_build_pass", known.build_success, 0.20, -0.10),
        ("r_session_continued", known.session_continued, 0.20, 0.0),
    ):
        if good is not None:
            value += if_good if good else if_bad
            components[name] = 1.0 if good else 0.0
    components["outcome_signals_available"] = float(len(components))
    return Signal(_unit(value), components)


def _process(tally: Tally, failed: list[bool], bash_errors: int) -> Signal:
    """Say how much of what was tried worked; later calls weigh more, up to three times the first."""
    if tally.total == 0:
        return Signal(0.5, _process_components(0.5, 1.0, 1.0, 0.5))
    success_rate = _success_rate(failed) if failed else tally.success_share
    shells = tally.by_tool.get("Bash", 0)
    bash_clean = _unit(1.0 - _share(bash_errors, shells))
    run = max((len(list(calls)) for fails, calls in groupby(failed) if fails), default=0)
    density = _unit(1.0 - (run - 2) * 0.15)  # one or two in a row cost nothing
    late = _unit(1.0 - 0.15 * sum(failed[-max(1, len(failed) // 4) :]))
    value = 0.40 * success_rate + 0.25 * bash_clean + 0.20 * density + 0.15 * late
    return Signal(_unit(value), _process_components(success_rate, bash_clean, density, late))


def _process_components(rate: float, clean: float, density: float, late: float) -> dict[str, float]:
    return {
        "r_success_rate": rate,
        "r_bash_clean": clean,
        "r_error_density": density,
        "r_temporal_weight": late,
    }


def _success_rate(failed: list[bool]) -> float:
    """Give the share of calls that did not fail, weighted from 0.5 for the first to 1.5 for the last."""
    last = len(failed) - 1
    if last == 0:
        return 0.0 if failed[0] else 1.0
    lost = math.fsum(0.5 + place / last for place, fails in enumerate(failed) if fails)
    return _unit(1.0 - lost / len(failed))  # the weights sum to the number of calls


def _efficiency(tally: Tally, duration_s: float | None) -> Signal:
    """Judge the mix of tools, their pace, the share that changed files, and staying power."""
    if tally.total == 0:
        diversity = pace = touch = sustained = 0.5
    else:
        diversity = _diversity(tally.by_tool)
        pace = _pace(tally.total, duration_s)
        touch = min(1.0, tally.mutations / max(1.0, 0.3 * tally.total))
        sustained = _sustained(tally.total, tally.success_share)
    components = {
        "r_diversity": diversity,
        "r_duration_eff": pace,
        "r_file_touch": touch,
        "r_sustained": sustained,
    }
    return Signal(_unit(0.25 * diversity + 0.25 * pace + 0.20 * touch + 0.30 * sustained), components)


def _diversity(by_tool: dict[str, int]) -> float:
    """Give the entropy of the mix of tools over its maximum; 0.3 for a single tool."""
    if len(by_tool) <= 1:
        return 0.3
    total = sum(by_tool.values())
    entropy = -math.fsum(count / total * math.log2(count / total) for count in by_tool.values())
    return _unit(entropy / math.log2(len(by_tool)))


def _pace(total: int, duration_s: float | None) -> float:
    """Judge calls a minute; 0.5 when the duration is unknown."""
    minutes = duration_s / 60 if duration_s is not None else 0.0
    if not 0 < minutes < math.inf:
        return 0.5
    rate = total / minutes
    if rate > 8:
        return 0.8
    if rate >= 2:
        return 1.0
    if rate >= 1:
        return 0.6
    return max(0.2, 0.5 - (1.0 - rate) * 0.3)


def _sustained(total: int, success_share: float) -> float:
    if total >= 20:
        return min(1.0, 0.5 + 0.5 * (total - 20) / 40) if success_share >= 0.85 else 0.4
    return 0.6 if total >= 8 else 0.5


def _verification(tally: Tally, events: list[ToolCall], files: _Files) -> Signal:
    """Look for commands that test or build, and for files read again after an edit."""
    if tally.mutations == 0 or tally.total == 0:
        nothing = {"r_has_test": 0.0, "r_has_build": 0.0, "r_read_after_write": 0.0}
        return Signal(0.6, nothing | {"r_no_mutation": 1.0}) if tally.total else Signal(0.5, nothing)
    # The same few commands are run again and again, and each is looked through for a dozen words.
    commands = {param(call, "command") for call in events if call.tool_name == "Bash"}
    tested = any(word in command for command in commands for word in TESTS)
    built = any(word in command for command in commands for word in BUILDS)
    again = files.read_after_edit
    components = {
        "r_has_test": float(tested),
        "r_has_build": float(built),
        "r_read_after_write": float(again),
    }
    return Signal(0.4 * tested + 0.3 * built + 0.3 * (0.3 * again), components)


def _consistency(tally: Tally, files: _Files) -> Signal:
    """Judge whether files were read before they were changed, and not changed over and over."""
    if tally.total < 3:
        return Signal(0.6, {"r_read_before_write": 0.5, "r_no_thrashing": 1.0})
    edits = sum(files.edits.values())
    before = files.edits_after_read / edits if edits else 0.5
    calm = _unit(1.0 - 0.2 * sum(1 for count in files.edits.values() if count >= 3))
    return Signal(0.6 * before + 0.4 * calm, {"r_read_before_write": before, "r_no_thrashing": calm})


def _motion(
    tally: Tally, events: list[ToolCall], failed: list[bool], edited: list[str | None], files: _Files
) -> Signal:
    """Discount wasted motion: retries, repeated errors, edits on edits, reads that led nowhere.

    The components are counts, but for the share of reads of files that were never changed.
    """
    # Without a failure there is nothing to retry, and no error to repeat.
    retries, errors = (_retry_loops(events), _error_loops(events)) if any(failed) else (0, 0)
    undone = sum([before == now is not None for before, now in pairwise(edited)])
    unused = files.reads_unused / files.reads if files.reads else 0.0
    components = {
        "r_retry_loops": float(retries),
        "r_read_waste": unused,
        "r_error_loops": float(errors),
        "r_undo": float(undone),
    }
    if tally.total < 3:
        return Signal(0.8, components)
    waste = 2.0 * retries + 1.5 * errors + undone + 3.0 * unused
    return Signal(math.exp(-0.15 * waste), components)


def compose(
    signals: Mapping[str, Signal], weights: Mapping[str, float], chance: float | None = None
) -> tuple[float, None]:
    """Give the weighted sum; this version knows neither confidence nor calibration."""
    del chance
    # Added one by one, as the scores of older stores were: an exact sum, which is what `fsum` and
    # newer Pythons' `sum` give, rounds a few of them to another fourth decimal.
    reward = 0.0
    for name, signal in signals.items():
        reward += weights.get(name, 0.0) * signal.value
    return reward, None


def _retry_loops(events: list[ToolCall]) -> int:
    """Count runs of three or more calls of one tool that hold a failure."""
    loops = 0
    for _, run in groupby(events, key=lambda call: call.tool_name):
        failed = [call.success is False for call in run]
        loops += len(failed) >= 3 and any(failed)
    return loops


def _error_loops(events: list[ToolCall]) -> int:
    """Count failing shell calls that directly follow a failing shell call."""
    failed = [call.tool_name == "Bash" and call.success is False for call in events]
    return sum(before and now for before, now in pairwise(failed))


def _files(events: list[ToolCall], edited: list[str | None]) -> _Files:
    """Follow, by path, what was read and what was edited, in order; `edited` has each call's file, if any."""
    reads: dict[str, int] = {}
    edits: dict[str, int] = {}
    after_read = 0
    read_after_edit = False
    for call, changed in zip(events, edited, strict=True):
        if call.tool_name == "Read":
            path = param(call, "file_path")
            reads[path] = reads.get(path, 0) + 1
            read_after_edit = read_after_edit or path in edits
        elif changed is not None:
            edits[changed] = edits.get(changed, 0) + 1
            after_read += changed in reads
    unused = sum(count for path, count in reads.items() if path not in edits)
    return _Files(sum(reads.values()), unused, edits, after_read, read_after_edit)


def edited_path(call: ToolCall) -> str | None:
    """Give the file that a call edits, as version 1 counts edits."""
    return (param(call, "file_path") or None) if call.tool_name in {"Edit", "Write"} else None


def param(call: ToolCall, key: str) -> str:
    """Give a parameter that is a text, else an empty one."""
    value = call.key_params.get(key)
    return value if isinstance(value, str) else ""


def count_up(calls: Calls) -> Tally:
    """Give the counters of a trajectory, from its calls where the record does not count."""
    by_tool = {name: min(count, _COUNT_MAX) for name, count in calls.tool_counts.items() if count > 0}
    if not by_tool:
        for call in calls.events:
            by_tool[call.tool_name] = by_tool.get(call.tool_name, 0) + 1
    known = max(0, calls.successes) + max(0, calls.failures)
    return Tally(
        total=min(max(calls.total_tools, len(calls.events)), _COUNT_MAX),
        by_tool=by_tool,
        mutations=sum(by_tool.get(name, 0) for name in MUTATIONS),
        success_share=_share(calls.successes, known) if known else 1.0,
    )


def _share(part: int, whole: int) -> float:
    """Give part over whole, held to [0, 1]; 0 of nothing."""
    return min(max(part, 0), whole) / whole if whole > 0 else 0.0


def _negated(flag: bool | None) -> bool | None:
    return None if flag is None else not flag


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))

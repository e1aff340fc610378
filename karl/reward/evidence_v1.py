"""The evidence for a score of reward version 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from karl.reward import v1
from karl.reward.evidence_shape import NAME_MAX, Because, Evidence, Part, because, many
from karl.schema.trajectory import Outcome, ToolCall, Trajectory

_FORMULAS = {
    "outcome": "0.5, and for what is known: not corrected +0.35 (else -0.35), not redone +0.25 (else -0.25), "
    "build passed +0.20 (else -0.10), went on +0.20",
    "process": "0.40 * r_success_rate + 0.25 * r_bash_clean + 0.20 * r_error_density "
    "+ 0.15 * r_temporal_weight",
    "efficiency": "0.25 * r_diversity + 0.25 * r_duration_eff + 0.20 * r_file_touch + 0.30 * r_sustained",
    "verification": "0.40 * r_has_test + 0.30 * r_has_build + 0.09 * r_read_after_write",
    "consistency": "0.60 * r_read_before_write + 0.40 * r_no_thrashing",
    "motion": "exp(-0.15 * (2 * r_retry_loops + 1.5 * r_error_loops + r_undo + 3 * r_read_waste))",
}
_WITHOUT = {
    "process": ("total", 1, "0.5: there were no calls"),
    "verification": (
        "mutations",
        1,
        "0.6: nothing was edited (0.5 without calls)",
    ),
    "consistency": ("total", 3, "0.6: fewer than 3 calls"),
    "motion": ("total", 3, "0.8: fewer than 3 calls"),
}


class _Numbered(NamedTuple):
    number: int
    call: ToolCall
    failed: bool


class _Turn(NamedTuple):
    """A trajectory as the rules look at it; `values` are its components as version 1 gives them."""

    calls: list[_Numbered]
    tally: v1.Tally
    duration_s: float | None
    bash_errors: int
    outcome: Outcome
    values: dict[str, float]


def evidence(trajectory: Trajectory) -> dict[str, Evidence]:
    """Give each signal's evidence by its name."""
    turn = _turn(trajectory)
    found: dict[str, Evidence] = {}
    for name, formula in _FORMULAS.items():
        counted, least, instead = _WITHOUT.get(name, ("total", 0, ""))
        has = turn.tally.mutations if counted == "mutations" and turn.tally.total else turn.tally.total
        found[name] = Evidence(formula if has >= least else instead, _RULES[name](turn))
    return found


def _turn(trajectory: Trajectory) -> _Turn:
    calls = trajectory.trajectory
    values: dict[str, float] = {}
    for signal in v1.signals(trajectory).values():
        values.update(signal.components)
    return _Turn(
        [_Numbered(n, call, call.success is False) for n, call in enumerate(calls.events, 1)],
        v1.count_up(calls),
        trajectory.timing.duration_s,
        calls.bash_errors,
        trajectory.outcome,
        values,
    )


def _outcome(turn: _Turn) -> list[Part]:
    known = turn.outcome
    said = (
        ("r_no_correction", known.correction_detected, False, ("not corrected", "corrected")),
        ("r_no_redo", known.redo_detected, False, ("not asked to do it again", "asked to do it again")),
        ("r_build_pass", known.build_success, True, ("the build passed", "the build failed")),
        (
            "r_session_continued",
            known.session_continued,
            True,
            ("the user went on", "nobody went on"),
        ),
    )
    parts = [
        Part(name, float(flag is good), words[flag is not good])
        for name, flag, good, words in said
        if flag is not None
    ]
    means = f"{len(parts)} of 4 are known" if parts else "nobody said how it went"
    return [*parts, Part("outcome_signals_available", float(len(parts)), means)]


def _process(turn: _Turn) -> list[Part]:
    if not turn.tally.total:
        values = {
            "r_success_rate": 0.5,
            "r_bash_clean": 1.0,
            "r_error_density": 1.0,
            "r_temporal_weight": 0.5,
        }
        return [Part(name, value, "there were no calls") for name, value in values.items()]
    failed = [one for one in turn.calls if one.failed]
    return [_success_rate(turn, failed), _bash_clean(turn), _error_density(turn), _temporal_weight(turn)]


def _success_rate(turn: _Turn, failed: list[_Numbered]) -> Part:
    last = len(turn.calls) - 1
    if last < 0:
        return _counted(turn, "r_success_rate", "from the counts; the record has no calls")
    # From 0.5 for the first call to 1.5 for the last.
    lost = (
        math.fsum(0.5 + (one.number - 1) / last for one in failed) / len(turn.calls) if last else len(failed)
    )
    means = f"{len(failed)} of {len(turn.calls)} calls failed; later ones weigh up to three times the first"
    return Part("r_success_rate", _unit(1.0 - lost), means, _because("failed", failed))


def _bash_clean(turn: _Turn) -> Part:
    shells = turn.tally.by_tool.get("Bash", 0)
    dirty = [one for one in turn.calls if one.call.tool_name == "Bash" and (one.failed or one.call.exit_code)]
    errors = min(max(turn.bash_errors, 0), shells)
    means = f"{errors} of {shells} shell calls ended in error" if shells else "no shell calls"
    if len(dirty) != turn.bash_errors:
        means += f", as the record counts; {len(dirty)} of those that it holds did"
    value = _unit(1.0 - (errors / shells if shells else 0.0))
    return Part("r_bash_clean", value, means, _because("ended in error", dirty))


def _error_density(turn: _Turn) -> Part:
    runs = [list(run) for fails, run in groupby(turn.calls, key=lambda one: one.failed) if fails]
    longest = max(runs, key=len, default=[])
    means = f"the longest run of failures is {len(longest)}; up to 2 cost nothing, each more 0.15"
    value = _unit(1.0 - (len(longest) - 2) * 0.15)
    return Part("r_error_density", value, means, _because("failed one after another", longest))


def _temporal_weight(turn: _Turn) -> Part:
    late = turn.calls[-max(1, len(turn.calls) // 4) :]
    failed = [one for one in late if one.failed]
    means = f"{len(failed)} of the last {len(late)} calls failed (the last quarter); each costs 0.15"
    value = _unit(1.0 - 0.15 * len(failed))
    return Part("r_temporal_weight", value, means, _because("failed in the last quarter", failed))


def _efficiency(turn: _Turn) -> list[Part]:
    if not turn.tally.total:
        names = ("r_diversity", "r_duration_eff", "r_file_touch", "r_sustained")
        return [Part(name, 0.5, "there were no calls") for name in names]
    total, changes = turn.tally.total, turn.tally.mutations
    changed = [one for one in turn.calls if one.call.tool_name in v1.MUTATIONS]
    touch = Part(
        "r_file_touch",
        min(1.0, changes / max(1.0, 0.3 * total)),
        f"{changes} of {total} calls changed files; 30% are enough",
        _because("changed files", changed),
    )
    return [
        _counted(turn, "r_diversity", f"how even the mix of tools is: {_mix(turn.tally.by_tool)}"),
        _counted(turn, "r_duration_eff", _pace(total, turn.duration_s)),
        touch,
        _counted(turn, "r_sustained", f"{total} calls; it pays from 20 on when 85% of them succeed"),
    ]


def _mix(by_tool: dict[str, int]) -> str:
    most = sorted(by_tool.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name[:NAME_MAX]} {count}" for name, count in most[:6]]
    return ", ".join([*shown, "…"] if len(most) > 6 else shown)


def _pace(total: int, duration_s: float | None) -> str:
    minutes = duration_s / 60 if duration_s else 0.0
    if not 0 < minutes < math.inf:
        return "how long it took is unknown"
    return f"{total} calls in {minutes:.1f} min, {total / minutes:.1f} a minute; 2 to 8 are best"


def _verification(turn: _Turn) -> list[Part]:
    if not turn.tally.mutations or not turn.tally.total:
        nothing = ("r_has_test", "r_has_build", "r_read_after_write")
        parts = [Part(name, 0.0, "not looked for: nothing was edited") for name in nothing]
        return [*parts, Part("r_no_mutation", 1.0, "nothing was edited")] if turn.tally.total else parts
    again = _read_after_edit(turn.calls)
    return [
        _spoken("r_has_test", "a test command", v1.TESTS, turn.calls),
        _spoken("r_has_build", "a build command", v1.BUILDS, turn.calls),
        Part(
            "r_read_after_write",
            float(bool(again)),
            "a file was read after it was edited" if again else "no file was read after it was edited",
            _because("read after an edit of the same file", again),
        ),
    ]


def _spoken(component: str, what: str, words: Sequence[str], calls: list[_Numbered]) -> Part:
    shells = [(one, v1.param(one.call, "command")) for one in calls if one.call.tool_name == "Bash"]
    found = [
        Because(f"has “{word.strip()}” in the command", hits)
        for word in words
        if (hits := [one.number for one, command in shells if word in command])
    ]
    means = f"{what} was run" if found else f"none of {len(shells)} shell calls holds {what}"
    return Part(component, float(bool(found)), means, found)


def _read_after_edit(calls: list[_Numbered]) -> list[_Numbered]:
    edited: set[str] = set()
    found = []
    for one in calls:
        if one.call.tool_name == "Read":
            if v1.param(one.call, "file_path") in edited:
                found.append(one)
        elif (path := v1.edited_path(one.call)) is not None:
            edited.add(path)
    return found


def _consistency(turn: _Turn) -> list[Part]:
    if turn.tally.total < 3:
        few = "fewer than 3 calls"
        return [Part("r_read_before_write", 0.5, few), Part("r_no_thrashing", 1.0, few)]
    seen: set[str] = set()
    informed: list[_Numbered] = []
    blind: list[_Numbered] = []
    edits: dict[str, list[_Numbered]] = {}
    for one in turn.calls:
        if one.call.tool_name == "Read":
            seen.add(v1.param(one.call, "file_path"))
        elif (path := v1.edited_path(one.call)) is not None:
            (informed if path in seen else blind).append(one)
            edits.setdefault(path, []).append(one)
    made = len(informed) + len(blind)
    means = f"{len(informed)} of {made} edits were of a file that had been read" if made else "no edits"
    often = {path: calls for path, calls in edits.items() if len(calls) >= 3}
    calm = f"{many(len(often), 'file')} edited 3 times or more; each costs 0.2"
    return [
        Part(
            "r_read_before_write",
            len(informed) / made if made else 0.5,
            means,
            [
                *_because("read before it was edited", informed),
                *_because("edited without having been read", blind),
            ],
        ),
        Part(
            "r_no_thrashing",
            _unit(1.0 - 0.2 * len(often)),
            calm,
            [
                each
                for path, calls in often.items()
                for each in _because(f"edits of {path[:NAME_MAX]}", calls)
            ],
        ),
    ]


def _motion(turn: _Turn) -> list[Part]:
    runs = [list(run) for _, run in groupby(turn.calls, key=lambda one: one.call.tool_name)]
    loops = [run for run in runs if len(run) >= 3 and any(one.failed for one in run)]
    shells = [one for one in turn.calls if one.call.tool_name == "Bash" and one.failed]
    undone = [now for before, now in pairwise(turn.calls) if _same_file(before.call, now.call)]
    errors = [now for before, now in pairwise(shells) if now.number == before.number + 1]
    edits = {v1.edited_path(one.call) for one in turn.calls}
    reads = [one for one in turn.calls if one.call.tool_name == "Read"]
    unused = [one for one in reads if v1.param(one.call, "file_path") not in edits]
    waste = (
        f"{len(unused)} of {len(reads)} reads were of files that were never edited" if reads else "no reads"
    )
    return [
        Part(
            "r_retry_loops",
            float(len(loops)),
            f"{many(len(loops), 'run')} of 3 or more calls of one tool with a failure among them",
            [each for run in loops for each in _because(f"{run[0].call.tool_name[:NAME_MAX]} in a row", run)],
        ),
        Part(
            "r_read_waste",
            len(unused) / len(reads) if reads else 0.0,
            waste,
            _because("read, and never edited", unused),
        ),
        Part(
            "r_error_loops",
            float(len(errors)),
            f"{many(len(errors), 'time')} a shell call failed right after another",
            _because("failed right after another shell call had", errors),
        ),
        Part(
            "r_undo",
            float(len(undone)),
            f"{many(len(undone), 'time')} an edit directly followed an edit of the same file",
            _because("edits what the call before it had edited", undone),
        ),
    ]


def _same_file(before: ToolCall, now: ToolCall) -> bool:
    return v1.edited_path(before) == v1.edited_path(now) is not None


def _counted(turn: _Turn, component: str, means: str) -> Part:
    """Give a component that hangs on counts, not on single calls."""
    return Part(component, turn.values[component], means)


def _because(what: str, calls: Iterable[_Numbered]) -> list[Because]:
    return because(what, (one.number for one in calls))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


_RULES: dict[str, Callable[[_Turn], list[Part]]] = {
    "outcome": _outcome,
    "process": _process,
    "efficiency": _efficiency,
    "verification": _verification,
    "consistency": _consistency,
    "motion": _motion,
}

"""Reward version 2: six signals by evidence, renormalised over what could be observed, with a confidence.

Invariants:
- A signal that does not apply, or of which nothing is known, is not there; no default stands in for it.
- Padding never raises a score: calls that read nothing, say nothing or repeat others cost, or are not seen.
- A check never lowers a score, whatever comes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from karl.reward.basis import NOTHING, Basis
from karl.reward.deeds import Deeds, Edit, deeds, failed_calls, repeated_calls
from karl.reward.signal import Signal
from karl.reward.usual import kind_of
from karl.schema.trajectory import Outcome, ToolCall, Trajectory

VERSION = "2"

#: Weight of each signal where nobody set others.
WEIGHTS = {
    "outcome": 0.25,
    "process": 0.17,
    "efficiency": 0.15,
    "verification": 0.10,
    "consistency": 0.12,
    "motion": 0.21,
}

#: What nothing is known of, and what it weighs beside what is.
UNKNOWN, PRIOR = 0.5, 0.1
#: Of what can go right or wrong, a turn that delivers nothing shows what went wrong only.
HALF = 0.5
#: Who is shorter than this share of the agent's turns is short enough: a weak agent is short when it gives
#: up.
SHORT = 0.75


def signals(trajectory: Trajectory, basis: Basis = NOTHING, done: Deeds | None = None) -> dict[str, Signal]:
    """Give the signals that could be observed, by name, each with its components."""
    done = deeds(trajectory) if done is None else done
    found: dict[str, Signal | None] = {"outcome": outcome(trajectory.outcome)}
    edits = done.source_edits
    if edits:
        found |= _delivered(done, edits, basis)
    elif (done.calls or _lean(basis) > 0) and not done.unnamed:
        found |= _undelivered(trajectory.trajectory.events, done, basis)
    return {name: signal for name, signal in found.items() if signal is not None}


def _delivered(done: Deeds, edits: list[Edit], basis: Basis) -> dict[str, Signal | None]:
    """Judge a turn in which a change of a source file stands."""
    first = done.first_edits
    # New files may be scratch, and to take one away is quickly done.
    sure = 1.0 if any(edit.role == "source" and not edit.new and not edit.gone for edit in edits) else HALF
    economy = _efficiency(done, basis)
    return {
        "process": Signal(1.0, {"r_delivered": 1.0}, sure),
        "efficiency": economy and economy._replace(observed=sure),
        "verification": _verification(done, edits)._replace(observed=sure),
        "consistency": _consistency(first) if first else None,
        "motion": _motion(done, first) if first or _beside_the_point(done, edits) else None,
    }


def _beside_the_point(done: Deeds, edits: list[Edit]) -> bool:
    """Say whether sources were read and nothing but new configuration was written."""
    return bool(done.sources_read) and done.first and all(edit.role == "config" for edit in edits)


def _efficiency(done: Deeds, basis: Basis) -> Signal | None:
    """Say how many of the agent's turns of the kind took more; to be among the shortest is no merit."""
    longer = basis.usual.longer(done.length, kind_of(done)) if basis.usual else None
    if longer is None:
        return None
    economy = min(1.0, longer / SHORT)
    return Signal(economy, {"r_economy": economy})


def _verification(done: Deeds, edits: list[Edit]) -> Signal:
    """Say whether a check came after the last edit and was green, and how many files a check followed."""
    green = float(any(look.green and look.place > edits[-1].place for look in done.checks))
    last = {edit.path: edit.place for edit in edits}
    final = done.checks[-1].place if done.checks else 0
    followed = sum(place < final for place in last.values()) / len(last)
    return Signal(0.5 * green + 0.5 * followed, {"r_checked": green, "r_edits_checked": followed})


def _consistency(first: dict[str, Edit]) -> Signal:
    """Give the share of changed files, but for new ones, that were looked into before."""
    share = sum(edit.seen for edit in first.values()) / len(first)
    return Signal(share, {"r_read_before_edit": share})


def _motion(done: Deeds, first: dict[str, Edit]) -> Signal:
    """Give the share of the source files that were read or changed that were both, looked into first.

    Its root, so that a look around costs little and a look everywhere much.
    """
    share = sum(edit.seen for edit in first.values()) / len(done.sources_read.keys() | first.keys())
    return Signal(math.sqrt(share), {"r_localised": share})


def _undelivered(calls: list[ToolCall], done: Deeds, basis: Basis) -> dict[str, Signal | None]:
    """Judge a turn that delivered nothing: by how sure it is that it should have, and by what went wrong."""
    lean = _lean(basis)
    left = 1 - max(0.0, lean)
    beside = HALF if done.beside else 0.0
    clean = 1 / (1 + len(failed_calls(calls, done)))
    components = {"r_delivered": beside, "r_needless": left, "r_clean": clean}
    process = Signal((HALF + HALF * beside) * left * clean, components, 1 - HALF * left)
    if not left:
        return {"process": process}
    once = 1 / (1 + len(repeated_calls(calls, done)))
    economy = _efficiency(done, basis) if lean < 0 else None
    tests = [edit for edit in done.beside if edit.role == "test"]
    first = done.first_edits
    return {
        "process": process,
        "efficiency": economy and Signal(HALF * economy.value, economy.components, -lean),
        "verification": _halved(_verification(done, tests), left) if tests else None,
        "consistency": _halved(_consistency(first), left) if first else None,
        "motion": Signal(HALF * once, {"r_once": once}, HALF * left),
    }


def _halved(signal: Signal, left: float) -> Signal:
    return Signal(HALF * signal.value, signal.components, HALF * left)


def _lean(basis: Basis) -> float:
    """Say whether the agent's turns are there to change files: from -1, none is, to 1, all are."""
    share = basis.usual.share_tried() if basis.usual else None
    return 0.0 if share is None else 2 * share - 1


#: How much each word of people, builds and repositories is to be relied on, taken alone.
OUTCOME = {
    "r_no_correction": 0.6,
    "r_no_redo": 0.4,
    "r_build_pass": 0.4,
    "r_session_continued": 0.1,
    "r_committed": 0.1,
    "r_survived": 0.6,
    "r_not_reverted": 0.6,
    "r_ci_pass": 0.5,
    "r_label": 0.9,
}


#: Words that only say that nothing worse was said: where there was a correction, they say nothing.
_NOTHING_WORSE = frozenset({"r_no_redo", "r_session_continued", "r_not_reverted"})


def outcome(known: Outcome) -> Signal | None:
    """Renormalise over what people and builds said; null when nobody did. No other signal reads `known`."""
    uncorrected = _uncorrected(known)
    said = {
        "r_no_correction": uncorrected,
        "r_no_redo": _flag(known.redo_detected, good=False),
        "r_build_pass": _flag(known.build_success),
        "r_session_continued": 1.0 if known.session_continued else None,  # that it ended says nothing
        "r_committed": _flag(known.committed),
        "r_survived": _flag(known.survived),
        "r_not_reverted": _flag(known.reverted, good=False),
        "r_ci_pass": _flag(known.ci_passed),
        "r_label": _flag(known.label),
    }
    corrected = uncorrected is not None and uncorrected < HALF
    components = {
        name: value
        for name, value in said.items()
        if value is not None and not (corrected and value == 1.0 and name in _NOTHING_WORSE)
    }
    if not components:
        return None
    total = math.fsum(OUTCOME[name] for name in components)
    value = math.fsum(OUTCOME[name] * value for name, value in components.items()) / total
    unsaid = math.prod(1 - OUTCOME[name] for name in components)
    return Signal(_unit(value), components, 1 - unsaid)


def _uncorrected(known: Outcome) -> float | None:
    """Give 1 for no correction, 0 for one beyond doubt."""
    score = known.correction_score
    if score is not None and math.isfinite(score):
        return 1.0 - _unit(score)
    return _flag(known.correction_detected, good=False)


def _flag(value: bool | None, *, good: bool = True) -> float | None:
    return None if value is None else float(value is good)


def compose(
    signals: Mapping[str, Signal], weights: Mapping[str, float], chance: float | None = None
) -> tuple[float, float | None]:
    """Give the weighted mean of what was observed, and the share of the weights that was.

    It begins with a little of 0.5, so that one weak word alone does not make a turn look perfect. Where a
    calibration's `chance` is given, it stands for all signals but the outcome, with their whole weight.
    """
    seen = {name: weights.get(name, 0.0) * signal.observed for name, signal in signals.items()}
    whole = math.fsum(weights.values())
    confidence = _unit(math.fsum(seen.values()) / whole) if whole > 0 else 0.0
    if chance is None:
        parts = [(PRIOR, UNKNOWN), *((seen[name], signal.value) for name, signal in signals.items())]
    else:
        behaviour = math.fsum(weight for name, weight in weights.items() if name != "outcome")
        parts = [(behaviour, chance)]
        if "outcome" in signals:
            parts.append((seen["outcome"], signals["outcome"].value))
    total = math.fsum(weight for weight, _ in parts)
    value = math.fsum(weight * value for weight, value in parts)
    return (_unit(value / total) if total > 0 else UNKNOWN), confidence


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))

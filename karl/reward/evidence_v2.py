"""The evidence for a score of reward version 2.

Values come from `v2.signals` itself; what hangs on the agent's other turns, or on a calibration, comes from
the score, which keeps it. Added here are the calls behind each component, and why others are not there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from karl.reward import v2
from karl.reward.basis import NOTHING, Basis
from karl.reward.deeds import Deeds, Edit, deeds, failed_calls, repeated_calls
from karl.reward.evidence_shape import NAME_MAX, Because, Evidence, Part, because, many
from karl.reward.score import CHANCE
from karl.reward.signal import SIGNALS, Signal
from karl.reward.usual import TURNS_MIN, Usual
from karl.schema.record import Score
from karl.schema.trajectory import Trajectory

#: Components that hang on the agent's other turns: the facts of this one do not give them.
FROM_OTHER_TURNS = frozenset({"r_economy", "r_needless"})
#: What a score that no calibration made begins with: a little of what is unknown.
PRIOR = "prior"
#: An agent that changes files more often than not: with it a turn that delivered nothing has all components.
_LEANING = Basis(usual=Usual(lengths={1: 9, 201: 3}))
_OWED = "something was to be delivered and was not, so nothing else counts"
#: Files, or kinds of them, that one component names at most.
_NAMED = 12

#: What each word on the outcome says where it is good, and where it is bad.
_OUTCOME_WORDS = {
    "r_no_correction": ("not corrected", "corrected"),
    "r_no_redo": ("not asked to do it again", "asked to do it again"),
    "r_build_pass": ("the build passed", "the build failed"),
    "r_session_continued": ("the user went on without correcting", "the user did not go on"),
    "r_committed": ("the work was committed", "the work was not committed"),
    "r_survived": ("the changes are still there", "the changes did not stay"),
    "r_not_reverted": ("nothing was reverted", "the changes were reverted"),
    "r_ci_pass": ("CI passed", "CI failed"),
    "r_label": ("a person judged it good", "a person judged it bad"),
}
_NOT_SAID = {
    "r_no_correction": "a correction",
    "r_no_redo": "a redo",
    "r_build_pass": "the build",
    "r_session_continued": "whether the user went on",
    "r_committed": "a commit",
    "r_survived": "whether it stayed",
    "r_not_reverted": "a revert",
    "r_ci_pass": "CI",
    "r_label": "a person's word",
}


class _Turn(NamedTuple):
    """A trajectory as the rules look at it: what it did, and the values of its components.

    `edits` are the changes of sources that stand, `checkable` those or, without any, the changes of tests.
    """

    trajectory: Trajectory
    done: Deeds
    edits: list[Edit]
    checkable: list[Edit]
    values: Mapping[str, float]


def evidence(trajectory: Trajectory, known: Mapping[str, float]) -> dict[str, Evidence]:
    """Give each signal's evidence by its name; `known` are the components of the score."""
    found = v2.signals(trajectory, _LEANING if "r_needless" in known else NOTHING)
    values: dict[str, float] = {}
    for signal in found.values():
        values.update(signal.components)
    values |= {name: value for name, value in known.items() if name in FROM_OTHER_TURNS}
    done = deeds(trajectory)
    edits = done.source_edits
    tests = [edit for edit in done.beside if edit.role == "test"]
    turn = _Turn(trajectory, done, edits, edits or tests, values)
    told = {name: _evidence(name, found, turn) for name in SIGNALS}
    return {name: one for name, one in told.items() if one.parts or one.left_out}


def shares(score: Score) -> dict[str, float]:
    """Give each signal's share in the reward; a calibration's chance has that of all that it read."""
    seen = {name: score.weights.get(name, 0.0) * score.observed.get(name, 1.0) for name in score.signals}
    if CHANCE in score.components:
        behaviour = math.fsum(weight for name, weight in score.weights.items() if name != "outcome")
        spoken = {name: weight if name == "outcome" else 0.0 for name, weight in seen.items()}
        seen = {**spoken, CHANCE: behaviour}
    else:
        seen[PRIOR] = v2.PRIOR
    total = math.fsum(seen.values())
    return {name: weight / total if total > 0 else 0.0 for name, weight in seen.items()}


def _evidence(name: str, found: Mapping[str, Signal], turn: _Turn) -> Evidence:
    parts = [_part(one, turn) for one in _components(name, found, turn)]
    if not parts:
        return Evidence("", [], [_WHY_NOT[name](turn)])
    left_out = _unsaid(turn.values) if name == "outcome" else []
    return Evidence(_formula(name, turn), parts, left_out)


def _components(name: str, found: Mapping[str, Signal], turn: _Turn) -> Sequence[str]:
    if name == "efficiency":
        return ["r_economy"] if "r_economy" in turn.values else []
    if name in ("verification", "consistency", "motion") and _owed(turn):
        return []
    return list(found[name].components) if name in found else []


def _part(component: str, turn: _Turn) -> Part:
    value = turn.values[component]
    if component in _OUTCOME_WORDS:
        good, bad = _OUTCOME_WORDS[component]
        sure = "" if value in (0, 1) else f", as far as can be told: {max(value, 1 - value):.0%}"
        return Part(component, value, (good if value > v2.HALF else bad) + sure)
    means, calls = _RULES[component](turn)
    return Part(component, value, means, calls)


def _formula(name: str, turn: _Turn) -> str:
    if name == "outcome":
        said = [one for one in v2.OUTCOME if one in turn.values]
        weighed = " + ".join(f"{v2.OUTCOME[one]:.2f} * {one}" for one in said)
        return f"({weighed}) / {sum(v2.OUTCOME[one] for one in said):.2f}"
    return (_FORMULAS if turn.edits else _FORMULAS_UNDELIVERED)[name]


_FORMULAS = {
    "process": "r_delivered",
    "efficiency": "r_economy",
    "verification": "0.5 * r_checked + 0.5 * r_edits_checked",
    "consistency": "r_read_before_edit",
    "motion": "r_localised ** 0.5",
}
_FORMULAS_UNDELIVERED = {
    **_FORMULAS,
    "process": "(0.5 + 0.5 * r_delivered) * r_needless * r_clean",
    "efficiency": "0.5 * r_economy",
    "verification": "0.25 * r_checked + 0.25 * r_edits_checked",
    "consistency": "0.5 * r_read_before_edit",
    "motion": "0.5 * r_once",
}


# --- what is behind a component ---


def _delivered(turn: _Turn) -> tuple[str, list[Because]]:
    if turn.edits:
        files = {edit.path for edit in turn.edits}
        return f"changes of {many(len(files), 'file')} stand", _by_file(turn, "changed", turn.edits)
    beside = _by_file(turn, "a test, or documentation", turn.done.beside)
    means = f"no change of a source file stands{', but of tests or documentation' if beside else ''}"
    gone = [edit for edit in turn.done.edits if not edit.stands]
    other = [edit for edit in turn.done.edits if edit.stands and edit not in turn.done.beside]
    return means, [
        *beside,
        *_by_file(turn, "scratch", other),
        *_by_file(turn, "failed", turn.done.failed_edits),
        *_by_file(turn, "changed, then thrown away", gone),
    ]


def _needless(turn: _Turn) -> tuple[str, list[Because]]:
    if turn.values["r_needless"] == 0:
        return "something was to be changed: it was tried, or this agent's turns do", []
    return "how far it may be that nothing was to be changed, by what is usual for this agent", []


def _clean(turn: _Turn) -> tuple[str, list[Because]]:
    failed = failed_calls(turn.trajectory.trajectory.events, turn.done)
    return f"{many(len(failed), 'call')} of tools that do nothing to files failed", _because("failed", failed)


def _once(turn: _Turn) -> tuple[str, list[Because]]:
    again = repeated_calls(turn.trajectory.trajectory.events, turn.done)
    return f"{many(len(again), 'call')} said word for word what an earlier one had", _because("again", again)


def _economy(turn: _Turn) -> tuple[str, list[Because]]:
    steps = many(turn.done.length, "step")
    means = (
        f"the share of this agent's turns of this kind that took more than {steps}, "
        f"{v2.SHORT:.0%} being enough; checks are not counted"
    )
    return means, []


def _checked(turn: _Turn) -> tuple[str, list[Because]]:
    last = turn.checkable[-1] if turn.checkable else None
    after = [look for look in turn.done.checks if last is None or look.place > last.place]
    before = [look for look in turn.done.checks if look not in after]
    green = [look.call for look in after if look.green]
    rest = [look.call for look in after if not look.green]
    if green:
        means = "a check ran after the last change and was green"
    elif after:
        means = "checks ran after the last change, and none is known to be green"
    elif before:
        means = "no check ran after the last change"
    else:
        means = "no check ran"
    return means, [
        *_because("green", green),
        *_because("red, or its end is not known", rest),
        *_because("before the last change", [look.call for look in before]),
        *_because("the last change", [last.call] if last is not None else []),
    ]


def _edits_checked(turn: _Turn) -> tuple[str, list[Because]]:
    last = {edit.path: edit for edit in turn.checkable}
    final = max((look.place for look in turn.done.checks), default=0)
    looked = [edit for edit in last.values() if edit.place < final]
    unlooked = [edit for edit in last.values() if edit.place >= final]
    means = (
        f"{len(looked)} of {many(len(last), 'changed file')} had a check, red or green, after the last change"
    )
    return means, [
        *_because("last changes before a check", [edit.call for edit in looked]),
        *_by_file(turn, "no check came after", unlooked),
    ]


def _read_before(turn: _Turn) -> tuple[str, list[Because]]:
    first = turn.done.first_edits.values()
    seen = [edit for edit in first if edit.seen]
    blind = [edit for edit in first if not edit.seen]
    return f"{len(seen)} of {many(len(first), 'changed file')} had been looked into before", [
        *_because("looked into before they were changed", [edit.call for edit in seen]),
        *_by_file(turn, "changed without a look", blind),
    ]


def _localised(turn: _Turn) -> tuple[str, list[Because]]:
    first, reads = turn.done.first_edits, turn.done.sources_read
    hit = [edit for edit in first.values() if edit.seen]
    vain = [read.call for path, read in reads.items() if path not in first]
    files = many(len(reads.keys() | first.keys()), "source file")
    return f"{len(hit)} of {files} read or changed: looked into first, then changed", [
        *_because("looked into, then changed", [edit.call for edit in hit]),
        *_because("changed without a look", [edit.call for edit in first.values() if not edit.seen]),
        *_because("read, and not changed", vain),
    ]


def _by_file(turn: _Turn, what: str, edits: Iterable[Edit]) -> list[Because]:
    """Name the calls of each file; past some files, of all the rest together."""
    folder = f"{turn.trajectory.context.cwd}/"
    files: dict[str, list[int]] = {}
    for edit in edits:
        files.setdefault(edit.path, []).append(edit.call)
    named = [
        each
        for path, calls in list(files.items())[:_NAMED]
        for each in _because(f"{what}: {path.removeprefix(folder)[:NAME_MAX]}", calls)
    ]
    rest = [call for calls in list(files.values())[_NAMED:] for call in calls]
    return [*named, *_because(f"{what}: {len(files) - _NAMED} more files", rest)]


def _because(what: str, calls: Iterable[int]) -> list[Because]:
    """Name calls by their numbers from 1; deeds count them from 0."""
    return because(what, sorted({call + 1 for call in calls}))


def _unsaid(values: Mapping[str, float]) -> list[str]:
    unsaid = [words for name, words in _NOT_SAID.items() if name not in values]
    return [f"not known, or without weight here: {', '.join(unsaid)}"] if unsaid else []


_RULES: dict[str, Callable[[_Turn], tuple[str, list[Because]]]] = {
    "r_delivered": _delivered,
    "r_needless": _needless,
    "r_clean": _clean,
    "r_once": _once,
    "r_economy": _economy,
    "r_checked": _checked,
    "r_edits_checked": _edits_checked,
    "r_read_before_edit": _read_before,
    "r_localised": _localised,
}


# --- why a signal is not there ---


def _owed(turn: _Turn) -> bool:
    """Say whether something was to be delivered, without a doubt, and was not: then nothing else counts."""
    return not turn.edits and turn.values.get("r_needless") == 0


def _no_calls(turn: _Turn) -> str | None:
    return None if turn.done.calls else "there were no calls"


def _no_outcome(_: _Turn) -> str:
    return "nobody has said how it went"


def _no_economy(turn: _Turn) -> str:
    if _owed(turn):
        return _OWED
    if not turn.edits and turn.values.get("r_needless", 1.0) < 1:
        return "most of this agent's turns change files, and a look is not judged by its length"
    few = f"fewer than {TURNS_MIN} of the kind were seen"
    return _no_calls(turn) or f"it is not known how long this agent's turns are: {few}"


def _no_change(turn: _Turn) -> str:
    if _owed(turn):
        return _OWED
    return _no_calls(turn) or "no change of a source file, or a test, stands, so there is nothing to check"


def _nothing_old(turn: _Turn) -> str:
    if _owed(turn):
        return _OWED
    if not any(edit.stands for edit in turn.done.edits):
        return _no_calls(turn) or "no change of a file stands"
    if not turn.done.first:
        return "what was changed may have been read in an earlier turn of the session"
    return "no file that was there before was changed"


def _no_process(turn: _Turn) -> str:
    return _no_calls(turn) or "nothing of it could be observed"


_WHY_NOT: dict[str, Callable[[_Turn], str]] = {
    "outcome": _no_outcome,
    "process": _no_process,
    "efficiency": _no_economy,
    "verification": _no_change,
    "consistency": _nothing_old,
    "motion": _nothing_old,
}

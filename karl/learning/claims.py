"""What holds of a claim: for each kind a list of checks, and the status that follows from them.

Nobody writes a status down. A check is made of what was looked up of the ledger and of the files here
(karl.learning.proof.Known), and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from karl.counted import many
from karl.errors import Unreadable
from karl.intervals import TAIL95
from karl.learning import lift
from karl.learning.manifests import PARTS, id_of
from karl.learning.proof import Check, Files, Known, Result, Status
from karl.schema.learning import ClaimKind, Contrast, EvaluationBody, TrainingBody

#: What a claim of each kind must name, and may.
NEEDS: dict[ClaimKind, tuple[str, ...]] = {
    "lift": ("evaluation",),
    "export": ("export",),
    "training": ("training",),
    "holdout": (),
    "free": (),
}
#: The arm whose adapters are judged.
JUDGED = lift.PRIMARY[0]
#: What the check of an adapter's files is called.
ITS_FILES = "adapter's files"
_ID, _SHOWN = 12, 4


def checks(kind: ClaimKind, known: Known) -> list[Check]:
    """Give every check of a claim with what it found."""
    return list(_CHECKS[kind](known))


def status(kind: ClaimKind, found: Iterable[Check]) -> Status:
    """Give the status that follows from the checks."""
    results = {check.result for check in found}
    if "broken" in results:
        return "broken"
    if "no" in results:
        return "not supported"
    if "unknown" in results:
        return "unproven"
    return "stated" if kind == "free" else "supported"


def interval(one: Contrast) -> str:
    """Give a difference with its interval; what rounds to nothing has no sign."""
    value, low, high = (round(number, 4) + 0.0 for number in (one.difference, one.low, one.high))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"


def judged(body: EvaluationBody) -> frozenset[str]:
    """Give the adapters that an evaluation is about: those of its judged arm."""
    return frozenset(
        run.adapter for arm in body.arms if arm.name == JUDGED for run in arm.runs if run.adapter
    )


def of_lift(known: Known) -> Iterator[Check]:
    """Check that an adapter is better than its like chosen at random, by an evaluation's runs alone."""
    body = known.evaluation
    yield _there(known, "evaluation", body is not None)
    if body is None:
        return
    yield from _figures(body, known.look)
    yield _seeds(body)
    yield _held_out(body, known)
    yield from _sealed(known)
    yield from _arms(body, known)
    if (adapter := known.of.get("adapter")) and adapter not in judged(body):
        yield Check("adapter", "no", f"{adapter[:_ID]} is not among those that it judged")
    yield from _adapters(known)


def _of_export(known: Known) -> Iterator[Check]:
    yield from _sealed(known)
    made = known.export
    if made is None:
        return
    found = {name: count for name, count in made.manifest.contamination.items() if count}
    if found:
        yield Check("clean", "no", f"rows were found on both sides: {_counts(found)}")
    else:
        names = ", ".join(sorted(made.manifest.contamination)) or "nothing was looked for"
        result: Result = "yes" if made.manifest.contamination else "unknown"
        yield Check("clean", result, f"no row was found on both sides ({names})")
    yield of_files("export's files", known.export_files)


def _sealed(known: Known) -> Iterator[Check]:
    """Check that an export is what its id says, made of the lines that this ledger has."""
    made = known.export
    yield _there(known, "export", made is not None)
    if made is None:
        return
    if id_of(made.manifest) == made.id:
        yield Check("manifest", "yes", "its hash is the export's id")
    else:
        yield Check("manifest", "broken", f"its hash is {id_of(made.manifest)[:_ID]}, not {made.id[:_ID]}")
    span = made.manifest.ledger
    if known.line == span.head:
        yield Check("ledger", "yes", f"line {span.to_seq:,} has the hash that the manifest seals")
    elif why := known.missing.get("ledger"):
        yield Check("ledger", "broken", why)
    elif not known.line:
        yield Check("ledger", "broken", f"this ledger has no line {span.to_seq:,}")
    else:
        says = f"line {span.to_seq:,} has the hash {known.line[:_ID]}, the manifest seals {span.head[:_ID]}"
        yield Check("ledger", "broken", says)


def _of_training(known: Known) -> Iterator[Check]:
    body = next(iter(known.trainings.values()), None)
    yield _there(known, "training", body is not None)
    if body is None:
        return
    if body.ended == "done" and body.adapter:
        yield Check("ended", "yes", f"adapter {body.adapter[:_ID]} came of it")
    else:
        yield Check("ended", "no", body.ended + (f": {body.reason}" if body.reason else ""))
    yield _curve(body)
    yield from _sealed(known)
    if body.adapter:
        yield from _adapters(known)


def _of_holdout(known: Known) -> Iterator[Check]:
    """Check that nothing was trained or chosen with what is held out, by any training so far."""
    named = known.of.get("holdout", "")
    if not known.holdouts:
        if named:
            yield _there(known, "holdout", there=False)
        else:
            yield Check("holdout", "unknown", "nothing is held out")
        return
    count = len({one for held in known.holdouts.values() for one in held.sessions})
    yield Check("holdout", "yes", f"{many(count, 'session')} in {many(len(known.holdouts), 'holdout')}")
    for name, held in known.holdouts.items():
        if held.released_by:
            says = f"{name[:_ID]} was released by {held.released_by[:_ID]}"
            yield Check("in force", "no", says)
    yield from _untouched(known)


def _of_free(known: Known) -> Iterator[Check]:
    for name, id_ in sorted(known.of.items()):
        there = f"{name} {id_}" not in known.missing
        yield _there(known, name, there)


_CHECKS: dict[ClaimKind, Callable[[Known], Iterator[Check]]] = {
    "lift": of_lift,
    "export": _of_export,
    "training": _of_training,
    "holdout": _of_holdout,
    "free": _of_free,
}


def _figures(body: EvaluationBody, look: int) -> Iterator[Check]:
    """Check the figures, all computed again from the runs, and what follows from them.

    Who judges with the same sessions again and again finds a lift by chance. So the interval of the k-th
    evaluation leaves out a k-th of what that of the first does (Bonferroni).
    """
    try:
        found = lift.recomputed(body)
        said = lift.differs(body, found)
        one = lift.primary_at(body, TAIL95 / look)
    except (Unreadable, ValueError) as error:
        yield Check("figures", "broken", f"its runs make no sense: {error}")
        return
    if said:
        yield Check("figures", "broken", _some(said))
    else:
        yield Check("figures", "yes", "all of them follow from the runs")
    result: Result = "yes" if found.verdict == "lift" else "no"
    yield Check("verdict", result, f"{found.verdict}: {found.why}")
    excludes: Result = "yes" if one.low > 0 else "no"
    says = f"{one.name} in {one.metric} {interval(one)}, {100 * (1 - 2 * TAIL95 / look):.3g} %"
    if look > 1:
        says += f": {look - 1} before it had the same held-out sessions"
    yield Check("interval", excludes, says)


def _seeds(body: EvaluationBody) -> Check:
    """Count the seeds that both arms of the primary contrast were really run with."""
    runs = {arm.name: {run.seed for run in arm.runs} for arm in body.arms}
    first, second = (runs.get(name, set()) for name in lift.PRIMARY)
    seeds = len(first & second)
    says = f"{many(seeds, 'seed')} in both arms, at least {lift.SEEDS_MIN} are needed"
    return Check("seeds", "yes" if seeds >= lift.SEEDS_MIN else "no", says)


def _held_out(body: EvaluationBody, known: Known) -> Check:
    """Check that what was judged by is held out, and that the export has nothing of it."""
    if not body.holdouts:
        return _validated(body, known)
    if gone := [name for name in body.holdouts if name not in known.holdouts]:
        return Check("held out", "broken", f"there is no holdout {gone[0][:_ID]}")
    held = frozenset(one for name in body.holdouts for one in known.holdouts[name].sessions)
    if len(body.sessions) > len(held):
        says = f"it counts {many(len(body.sessions), 'session')}, the holdouts have {len(held):,}"
        return Check("held out", "broken", says)
    if known.export is None:
        return Check("held out", "unknown", "the export's sessions are not known")
    parts = known.export.manifest.sessions
    touched = {part: len(held.intersection(parts.get(part, ()))) for part in PARTS}
    if found := {part: count for part, count in touched.items() if count}:
        says = f"sessions of the holdouts are in the export: {_counts(found)}"
        return Check("held out", "no", says)
    says = f"none of {many(len(held), 'held-out session')} is in the export"
    return Check("held out", "yes", says)


def _validated(body: EvaluationBody, known: Known) -> Check:
    """Check what was judged by the export's validation part: that nothing was chosen or trained with it."""
    if known.export is None:
        return Check("held out", "unknown", "the export's sessions are not known")
    train, valid = (frozenset(known.export.manifest.sessions.get(part, ())) for part in PARTS)
    if train & valid:
        says = f"{many(len(train & valid), 'session')} of the validation part were trained with"
        return Check("held out", "no", says)
    if len(body.sessions) > len(valid):
        says = f"it counts {many(len(body.sessions), 'session')}, the validation part has {len(valid):,}"
        return Check("held out", "broken", says)
    recipes = [known.trainings[one].recipe for one in judged(body) if one in known.trainings]
    if not recipes or any(one.every < one.iters for one in recipes):
        says = "it was judged by the validation part, which chose the checkpoint too; reserve a holdout"
        return Check("held out", "unknown", says)
    says = f"judged by {many(len(valid), 'session')} of the validation part, which chose nothing here"
    return Check("held out", "yes", says)


def _untouched(known: Known) -> Iterator[Check]:
    held = frozenset(one for of in known.holdouts.values() for one in of.sessions)
    unknown = [one for one in known.used if one.sessions is None]
    touched = [(one, len(held & one.sessions)) for one in known.used if one.sessions and held & one.sessions]
    for one, found in touched:
        what = f"used {many(found, 'session')} of it (export {one.export[:_ID]})"
        yield Check("untouched", "no", f"training {one.training[:_ID]} {what}")
    if unknown:
        says = f"what training {unknown[0].training[:_ID]} used is not known: its export has no record"
        yield Check("untouched", "unknown", says)
    if not touched and not unknown:
        yield Check(
            "untouched", "yes", f"no session of it is in what {many(len(known.used), 'training')} used"
        )


def _arms(body: EvaluationBody, known: Known) -> Iterator[Check]:
    """Check that every adapter that was judged came of a training with this export, of this model."""
    named = sorted({run.adapter for arm in body.arms for run in arm.runs if run.adapter})
    if not judged(body):
        yield Check("trainings", "unknown", f"the runs of the arm {JUDGED} name no adapters")
        return
    faults = [fault for one in named if (fault := _misfit(body, known.trainings.get(one), one))]
    if faults:
        yield Check("trainings", "broken", _some(faults))
    else:
        yield Check("trainings", "yes", f"{many(len(named), 'adapter')}, each trained with this export")


def _misfit(body: EvaluationBody, training: TrainingBody | None, adapter: str) -> str:
    if training is None:
        return f"no training gave adapter {adapter[:_ID]}"
    if training.export != body.export:
        return f"adapter {adapter[:_ID]} was trained with export {training.export[:_ID]}"
    if training.model_digest != body.model_digest:
        return f"adapter {adapter[:_ID]} is of another model"
    return ""


def _adapters(known: Known) -> Iterator[Check]:
    """Check that adapters are what their ids say, here and in their records."""
    for adapter, name in sorted(known.names.items()):
        if name != adapter:
            yield Check("adapter", "broken", f"the files of {adapter[:_ID]} give the id {name[:_ID]}")
    wrong = [f"{one[:_ID]}: {files.wrong}" for one, files in sorted(known.files.items()) if files.wrong]
    here = [one for one, files in known.files.items() if files.here]
    if wrong:
        yield Check(ITS_FILES, "broken", _some(wrong))
    elif here:
        yield Check(ITS_FILES, "yes", f"{len(here)} of {len(known.files)} are here, and whole")
    elif known.files:
        yield Check(ITS_FILES, "elsewhere", "none of them is on this machine")


def _curve(body: TrainingBody) -> Check:
    """Check that the adapter that was kept is the best one by validation."""
    losses = {one.iteration: one.valid_loss for one in body.curve if one.valid_loss is not None}
    losses.pop(0, None)  # before the first iteration there is no adapter
    if not losses and body.best == body.recipe.iters:
        return Check("curve", "yes", f"no checkpoint was chosen: the last iteration, {body.best:,}, was kept")
    if not losses:
        return Check("curve", "unknown", "no loss in validation was measured")
    best = min(losses, key=lambda at: (losses[at], at))
    if body.best not in losses:
        return Check("curve", "broken", f"iteration {body.best:,}, which was kept, was not measured")
    if losses[body.best] > losses[best]:
        kept = f"iteration {body.best:,} was kept ({losses[body.best]:.4f})"
        return Check("curve", "no", f"{kept}, {best:,} is better ({losses[best]:.4f})")
    says = f"iteration {body.best:,} was kept, with the smallest loss in validation, {losses[best]:.4f}"
    return Check("curve", "yes", says)


def of_files(name: str, files: Files) -> Check:
    """Check files that may be on this machine, as it was found there."""
    if files.wrong:
        return Check(name, "broken", files.wrong)
    if files.here:
        return Check(name, "yes", "here, with the hashes that they should have")
    return Check(name, "elsewhere", "not on this machine")


def _there(known: Known, kind: str, there: bool) -> Check:
    id_ = known.of.get(kind, "")
    if there:
        return Check(kind, "yes", f"{id_[:_ID]} is in the ledger" if id_ else "it is in the ledger")
    why = known.missing.get(f"{kind} {id_}", "the ledger has no such record")
    return Check(kind, "broken", f"{id_[:_ID] or 'none is named'}: {why}")


def _some(said: Sequence[str]) -> str:
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(found.items()))

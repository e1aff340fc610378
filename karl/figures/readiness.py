"""Whether a ledger has enough to train an adapter with, and whether a data set is worth training with.

What counts, and why:

    good turns     graded high or medium among their own agent's: what may be learned from
    sessions       variety: rows of one session are alike, and the split never parts a session
    rows           what is trained with, a step each, after history is cut and what failed is left out
    held out       without sessions that no training ever saw, no evaluation could say no
    skills         what earlier tools counted; many turns have none, so few of them are a warning, no bar
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from karl.figures.quality import AgentQuality
from karl.learning.findings import Finding
from karl.learning.manifests import TRAIN, VALID
from karl.schema.learning import Manifest, Recipe

#: Bars of a ledger: turns, skills, sessions to train with, rows in train and valid, sessions held out.
GOOD_MIN, SKILLS_MIN, SESSIONS_MIN, TRAIN_MIN, VALID_MIN, HELD_MIN = 30, 5, 10, 100, 20, 5
#: Bars of a data set: rows, different prompts, mean tokens a row, share of the rows that weights leave.
ROWS_MIN, PROMPTS_MIN, TOKENS_MIN, ESS_MIN = 20, 10, 50, 0.2


class Variety(msgspec.Struct, frozen=True):
    """How many different things turns are about."""

    turns: int
    sessions: int
    skills: int
    projects: int
    domains: int


def variety_of(turns: Iterable[Any]) -> Variety:
    """Count what turns (with session, skill, project, domain) are about."""
    seen: dict[str, set[str]] = {"session": set(), "skill": set(), "project": set(), "domain": set()}
    count = 0
    for count, turn in enumerate(turns, 1):  # noqa: B007 - the last count is the sum
        for name, values in seen.items():
            if value := getattr(turn, name):
                values.add(value)
    return Variety(count, *(len(values) for values in seen.values()))


def ready(
    graded: Iterable[AgentQuality],
    about: Variety,
    held_sessions: int,
    manifest: Manifest | None,
    why_none: str = "",
) -> list[Finding]:
    """Say what a ledger has; `manifest` is that of the data set that would be made now, with `why_none`."""
    looked = [_good(list(graded)), _skills(about), _held(held_sessions)]
    if manifest is None:
        return [*looked, Finding("data set", "fail", f"none can be made: {why_none}")]
    sessions = manifest.sessions.get("train", ())
    looked.append(_at_least("sessions", len(sessions), SESSIONS_MIN, "to train with", "record more"))
    for name, least in ((TRAIN, TRAIN_MIN), (VALID, VALID_MIN)):
        made = manifest.files.get(name)
        looked.append(
            _at_least(f"{name.partition('.')[0]} rows", made.rows if made else 0, least, "", "record more")
        )
    return looked


def _good(graded: list[AgentQuality]) -> Finding:
    counts = Counter[str]()
    few = [one.agent for one in graded if one.grades is None]
    for one in graded:
        counts.update({str(grade): number for grade, number in (one.grades or {}).items()})
    good = counts["high"] + counts["medium"]
    told = f"{good:,} graded high or medium, {counts['low']:,} low"
    if few:
        told += f"; too few turns to grade: {', '.join(few[:5])}"
    todo = "" if good >= GOOD_MIN else f"{GOOD_MIN} at least; `karl quality` shows the grades"
    return Finding("good turns", "ok" if good >= GOOD_MIN else "fail", told, todo)


def _skills(about: Variety) -> Finding:
    told = (
        f"{about.turns:,} turns of {about.sessions:,} sessions, {about.projects:,} projects, "
        f"{about.domains:,} domains, {about.skills:,} skills"
    )
    if about.skills >= SKILLS_MIN:
        return Finding("variety", "ok", told)
    return Finding("variety", "warn", told, f"fewer than {SKILLS_MIN} skills: what is learned may be narrow")


def _held(sessions: int) -> Finding:
    todo = "`karl holdout reserve` before the next export: what no training saw is all that can prove a lift"
    if sessions >= HELD_MIN:
        return Finding("held out", "ok", f"{sessions:,} sessions")
    return Finding("held out", "fail", f"{sessions:,} sessions, {HELD_MIN} at least", todo)


def _at_least(what: str, found: int, least: int, more: str, todo: str) -> Finding:
    told = f"{found:,} {more}".strip()
    if found >= least:
        return Finding(what, "ok", told)
    return Finding(what, "fail", f"{told}, {least:,} at least", todo)


class Counted(msgspec.Struct, frozen=True):
    """What the rows of a data set are: `tokens` by the model's tokenizer, else a fourth of the characters."""

    rows: int
    prompts: int
    tokens: int
    longest: int
    too_long: int
    by_tokenizer: bool


def worth(
    manifest: Manifest, train: Counted, recipe: Recipe, faults: Iterable[str], held: int
) -> list[Finding]:
    """Say whether a data set is worth training with; `held` counts its sessions that are held out by now."""
    said = list(faults)
    valid = manifest.files.get(VALID)
    mean = train.tokens / train.rows if train.rows else 0.0
    share = manifest.weights.ess / manifest.weights.rows if manifest.weights.rows else 0.0
    counted = "" if train.by_tokenizer else " (about: no tokenizer of this model is here)"
    looked = [
        Finding(
            "form",
            "fail" if said else "ok",
            "; ".join(said) or f"{manifest.format}, hashes as in the manifest",
        ),
        Finding(
            "held out",
            "fail" if held else "ok",
            f"{held:,} sessions of it are held out by now" if held else "nothing of it is held out",
            "export it again, which leaves them out" if held else "",
        ),
        _at_least("train rows", train.rows, max(ROWS_MIN, recipe.batch), "", "export more"),
        _at_least(
            "valid rows", valid.rows if valid else 0, recipe.batch, "", "export more, or a smaller --batch"
        ),
        _at_least("prompts", train.prompts, PROMPTS_MIN, "different ones", "record more"),
        Finding(
            "tokens",
            "ok" if mean >= TOKENS_MIN else "fail",
            f"{train.tokens:,}, {mean:,.0f} a row, the longest {train.longest:,}{counted}",
            "" if mean >= TOKENS_MIN else f"{TOKENS_MIN} a row at least; --detail full has more of each step",
        ),
    ]
    if train.too_long:
        told = f"{train.too_long:,} rows are longer than {recipe.max_tokens:,} tokens; their history is cut"
        looked.append(Finding("length", "warn", told, "export with --max-tokens, or train with more"))
    if manifest.weights.rows:
        weighed = manifest.weights
        told = f"{weighed.way}: as good as {weighed.ess:,.0f} of {weighed.rows:,} rows"
        few = share < ESS_MIN
        looked.append(
            Finding("weights", "warn" if few else "ok", told, "a larger --beta is milder" if few else "")
        )
    return looked

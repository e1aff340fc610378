"""Claims as a page of Markdown: what each rests on, and the commands that give its figures again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from karl import __version__
from karl.cli.moments import moment
from karl.cli.render import one_line, plain
from karl.errors import Unreadable
from karl.learning import claims, lift
from karl.learning.arms import TRAINED
from karl.schema.learning import ClaimKind, EvaluationBody, Recipe

if TYPE_CHECKING:
    from karl.learning.lift import ArmFigures
    from karl.learning.resample import Figure
    from karl.ledger.reader import Position
    from karl.views.lineage import ClaimRow
    from workers.proofs import Judged

#: What would be read as markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_ID = 16


class _Made(NamedTuple):
    """Which modules make what is claimed, and which pages and papers say how."""

    modules: tuple[str, ...]
    pages: tuple[str, ...]
    papers: tuple[str, ...] = ()


_MADE: dict[ClaimKind, _Made] = {
    "lift": _Made(
        ("karl/learning/arms.py", "karl/learning/lift.py", "karl/learning/resample.py", "workers/lifting.py"),
        ("docs/lift.md", "docs/training.md"),
        (
            "Peng et al. 2019, Advantage-Weighted Regression, arXiv 1910.00177 (the weights)",
            "Rao and Wu 1988, JASA 83:231 (the intervals)",
        ),
    ),
    "export": _Made(("karl/export/dataset.py", "karl/learning/split.py"), ("docs/export.md",)),
    "training": _Made(("karl/training/train.py", "workers/train.py"), ("docs/training.md",)),
    "holdout": _Made(("workers/holdouts.py", "karl/learning/claims.py"), ("docs/holdout.md",)),
    "free": _Made((), ("docs/claims.md",)),
}


def rendered(found: Sequence[tuple[ClaimRow, Judged]], position: Position) -> str:
    """Give the page; it says what is so at a place of the ledger, and nothing of when it was written."""
    return "\n".join(_page(found, position)).rstrip() + "\n"


def _page(found: Sequence[tuple[ClaimRow, Judged]], position: Position) -> Iterator[str]:
    yield "# Claims"
    yield ""
    yield (
        f"KARL {__version__}, the ledger up to line {position.seq:,} with the hash `{position.head[:_ID]}`. "
        "Statuses are computed from the ledger's records and from the files that are here; "
        "`docs/claims.md` says how."
    )
    yield ""
    if not found:
        yield "Nothing is claimed."
        return
    yield "| claim | kind | status |"
    yield "|---|---|---|"
    for row, judged in found:
        yield f"| {_text(one_line(row.text, 120))} (`{row.id}`) | {row.kind} | **{judged.status}** |"
    for row, judged in found:
        yield ""
        yield from _claim(row, judged, position)


def _claim(row: ClaimRow, judged: Judged, position: Position) -> Iterator[str]:
    made = _MADE[row.kind]
    yield f"## {_text(one_line(row.text, 200))}"
    yield ""
    yield f"- **Status:** {judged.status}"
    yield f"- **Claim:** `{row.id}`, {moment(row.time_ms)}, by {_text(row.person)}"
    yield f"- **Boundary:** {_text(row.boundary) or 'none was stated'}"
    yield f"- **Implementation:** {', '.join(f'`{name}`' for name in made.modules) or 'none is named'}"
    yield f"- **Reference:** {'; '.join((*(f'`{page}`' for page in made.pages), *made.papers))}"
    yield f"- **Release:** {_release(row, judged, position)}"
    yield ""
    yield "### Evidence"
    yield ""
    yield from _ids(row, judged)
    yield ""
    yield "| check | holds | found |"
    yield "|---|---|---|"
    for check in judged.checks:
        yield f"| {check.name} | {check.result} | {_text(check.says)} |"
    if judged.known.evaluation is not None:
        yield ""
        yield from _figures(judged.known.evaluation)
    if commands := list(_commands(row, judged)):
        yield ""
        yield "### To repeat it"
        yield ""
        yield "```sh"
        yield from commands
        yield "```"


def _release(row: ClaimRow, judged: Judged, position: Position) -> str:
    """Say under which condition it may be quoted."""
    named = f"KARL {__version__} and the ledger's head `{position.head[:_ID]}` at line {position.seq:,}"
    if judged.status == "supported" and not row.boundary:
        return "to be quoted once a boundary is stated: what it does not say (`karl claims add --boundary`)"
    if judged.status == "supported":
        return f"may be quoted with its boundary, naming {named}"
    if judged.status == "stated":
        return "may be quoted as somebody's word: nothing but the ids is checked"
    return f"not to be quoted while it is {judged.status}"


def _ids(row: ClaimRow, judged: Judged) -> Iterator[str]:
    known = judged.known
    named = dict(sorted({**row.of, **known.of}.items()))
    for name, id_ in named.items():
        yield f"- {name} `{plain(id_)}`"
    if known.export is not None:
        span = known.export.manifest.ledger
        yield f"- ledger lines {span.from_seq:,} to {span.to_seq:,}, head `{span.head}`"
    for adapter, body in sorted(known.trainings.items()):
        if adapter:
            yield f"- adapter `{adapter}` of training `{plain(body.id)}`, model digest `{body.model_digest}`"
    yield from (f"- holdout `{plain(name)}`" for name in sorted(known.holdouts) if name not in named.values())
    if not named and not known.holdouts:
        yield "- none is named"


def _figures(body: EvaluationBody) -> Iterator[str]:
    """Give every figure, computed now, with its interval and what it was measured with."""
    try:
        found = lift.recomputed(body)
    except (Unreadable, ValueError) as error:
        yield f"No figure can be computed: {_text(str(error))}"
        return
    yield (
        f"Over {body.items:,} held-out actions of {len(body.sessions):,} sessions; in brackets 95 % "
        "intervals over seeds and sessions. An arm of one seed has no figure."
    )
    yield ""
    yield "| arm | seeds | rows | effective rows | next tool | and target | mean over tools | loss, nats |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from map(_arm, found.arms)
    yield ""
    yield "| contrast | figure | difference |"
    yield "|---|---|---|"
    for one in (found.primary, *found.contrasts):
        yield f"| {one.name} | {one.metric} | {claims.interval(one)} |"


def _arm(one: ArmFigures) -> str:
    figures = " | ".join(map(_figure, (one.tool, one.target, one.macro, one.nll)))
    return f"| {one.name} | {one.seeds} | {one.rows:,} | {one.ess:,.0f} | {figures} |"


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _commands(row: ClaimRow, judged: Judged) -> Iterator[str]:
    """Give the commands that check the figures from the records, and those that make them anew."""
    known = judged.known
    yield f"karl claims show {row.id}"
    if row.kind == "holdout":
        yield "karl holdout list"
    if known.export is not None:
        yield f"{one_line(known.export.manifest.command, 2000)}  # export {known.export.id[:_ID]}"
    if row.kind == "training":
        for body in known.trainings.values():
            yield f"karl sft-launch DIR --model {plain(body.model)} {_recipe(body.recipe)} --wait"
    if known.evaluation is not None:
        yield f"karl sft-eval --recompute {plain(known.evaluation.id)}"
        yield _evaluated(known.evaluation)


def _evaluated(body: EvaluationBody) -> str:
    """Give the command that evaluates again: of an export, or of an adapter as it was judged."""
    given = bool(body.options.get("exported"))
    what = next(iter(sorted(claims.judged(body))), "RUN") if given else "--data DIR"
    share = f" --share {body.options['share']:g}" if "share" in body.options else ""
    recipe = "" if given else f" --model {plain(body.model)} {_recipe(body.recipe, every=False)}"
    arms = ",".join(arm.name for arm in body.arms if arm.name in TRAINED)
    how = f"--seeds {len(body.seeds)} --items {body.items} --arms {arms}"
    return f"karl sft-eval {what}{recipe} {how}{share} --wait"


def _recipe(recipe: Recipe, *, every: bool = True) -> str:
    options = {
        "iters": recipe.iters, "batch": recipe.batch, "layers": recipe.layers, "rank": recipe.rank,
        "learning-rate": f"{recipe.learning_rate:g}", "max-tokens": recipe.max_tokens, "seed": recipe.seed,
    }  # fmt: skip
    if every:
        options |= {"every": recipe.every, "valid-rows": recipe.valid_rows}
    said = " ".join(f"--{name} {value}" for name, value in options.items())
    return said if recipe.weighted or not every else f"{said} --unweighted"


def _text(text: str) -> str:
    """Give words on one line, as words: nothing in them is markup."""
    return _MARKUP.sub(r"\\\1", plain(" ".join(text.split())))

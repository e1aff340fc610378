"""What `karl sft-eval` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from karl.cli.job_done import span
from karl.cli.render import plain, print_table

if TYPE_CHECKING:
    from karl.cli.sft_eval_asked import Estimate
    from karl.learning.lift import ArmFigures, Difference, Found
    from karl.learning.resample import Figure
    from karl.schema.learning import EvaluationBody

_WHAT = {
    "base": "the model as it is",
    "all": "all rows",
    "random": "a random choice",
    "reward": "the best by reward",
    "advantage": "the best by advantage, weighted",
    "bigram": "counts which tool follows which",
    "majority": "the most frequent tool",
}
#: What two arms are where an adapter is judged that was trained with the whole export.
_WHOLE = {"advantage": "the whole export, weighted", "random": "every row of it, not weighted"}
_ONE_SEED = "one seed: no result"


def show(body: EvaluationBody, found: Found) -> None:
    """Print an evaluation: what was judged, its arms, their differences, and the verdict."""
    made = datetime.fromtimestamp(body.time_ms / 1000, UTC)
    kept = "held out" if body.holdouts else "of the export's validation part"
    click.echo(
        f"evaluation {body.id[:12]}, {made:%Y-%m-%d %H:%M} UTC: {plain(body.model)} on the export "
        f"{body.export[:12]}, {body.recipe.iters:,} iterations of {body.recipe.batch}"
    )
    seeds = f"{len(body.seeds)} seed{'s' if len(body.seeds) != 1 else ''}"
    click.echo(
        f"{body.items:,} next actions of {len(body.sessions):,} sessions, {kept}; {seeds}; "
        "intervals of 95 % over seeds and sessions"
    )
    click.echo()
    _arms(found.arms, {**_WHAT, **_WHOLE} if body.options.get("exported") else _WHAT)
    if found.differences:
        click.echo()
        _differences(found.differences)
    click.echo()
    click.echo(f"{found.verdict}: {plain(found.why)}")
    _adapters(body, found)


def show_plan(told: Estimate) -> None:
    """Print what would be done."""
    click.echo(
        f"{told.runs:,} runs of {told.iters:,} iterations: {', '.join(told.arms)}, each with {told.seeds} "
        f"seed{'s' if told.seeds != 1 else ''}, of {plain(told.model)} on the export {told.export[:12]}"
    )
    kept = "held out" if told.holdouts else "of the export's validation part"
    click.echo(
        f"judged by at most {told.held_out_rows:,} next actions of {told.held_out_sessions:,} sessions, "
        f"{kept}"
    )
    if told.seeds < 5:
        click.echo("fewer than 5 seeds can not be a lift, whatever they show")
    if told.seconds is None:
        click.echo(f"nobody knows how long that takes: {plain(told.basis)}")
    else:
        click.echo(f"about {span(told.seconds)}: {plain(told.basis)}")


def as_document(body: EvaluationBody, found: Found) -> dict[str, Any]:
    """Give an evaluation and all that follows from it, as JSON."""
    return {
        "record": body,
        "verdict": found.verdict,
        "why": found.why,
        "primary": found.primary,
        "arms": [_named(one) for one in found.arms],
        "differences": [
            {
                "name": one.name,
                "metric": one.metric,
                **one.figure._asdict(),
                "positive": one.positive,
                "seeds": one.seeds,
            }
            for one in found.differences
        ],
    }


def _named(one: ArmFigures) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "seeds": one.seeds, "rows": one.rows, "ess": one.ess}
    for metric in ("tool", "target", "macro", "nll"):
        figure: Figure | None = getattr(one, metric)
        told[metric] = figure._asdict() if figure else None
    return {**told, "guard": one.guard}


def _arms(arms: list[ArmFigures], what: dict[str, str]) -> None:
    rows = []
    for one in arms:
        few = one.tool is None
        rows.append(
            (
                one.name,
                what.get(one.name, ""),
                one.seeds,
                f"{one.rows:,}" if one.rows else "-",
                f"{one.ess:,.0f}" if one.ess else "-",
                _ONE_SEED if few else _share(one.tool),
                "-" if few else _share(one.target),
                "-" if few else _share(one.macro),
                "-" if few else _nats(one.nll),
                "-" if one.guard is None else f"{one.guard:.3f}",
            )
        )
    columns = (
        "arm", "learns from", "seeds", "rows", "eff.", "next tool", "with target", "mean of tools",
        "loss", "plain loss",
    )  # fmt: skip
    print_table(columns, rows, short=("learns from",))


def _differences(differences: list[Difference]) -> None:
    names = list(dict.fromkeys(one.name for one in differences))
    by_name = {(one.name, one.metric): one for one in differences}
    rows = []
    for name in names:
        tool = by_name.get((name, "tool"))
        rows.append(
            (
                name.replace("-", " - "),
                _points(tool),
                f"{tool.positive} of {tool.seeds}" if tool else "-",
                _points(by_name.get((name, "target"))),
                _points(by_name.get((name, "macro"))),
                _loss(by_name.get((name, "nll"))),
            )
        )
    print_table(
        ("difference", "next tool, points", "seeds above 0", "with target", "mean of tools", "loss"), rows
    )


def _adapters(body: EvaluationBody, found: Found) -> None:
    kept = [run.adapter for arm in body.arms if arm.name == "advantage" for run in arm.runs if run.adapter]
    for adapter in kept:
        what = "puts it to use" if found.verdict == "lift" else "refuses it, unless it is forced"
        click.echo(
            f"the adapter {adapter[:12]} is one of the advantage arm's: "
            f"`karl adapters promote {adapter[:12]}` {what}"
        )


def _share(one: Figure | None) -> str:
    if one is None:
        return "-"
    return _with_interval(one, "{:.1f} %", "{:.0f}", scale=100)


def _nats(one: Figure | None) -> str:
    return "-" if one is None else _with_interval(one, "{:.2f}", "{:.2f}")


def _points(one: Difference | None) -> str:
    if one is None:
        return "-"
    return _with_interval(one.figure, "{:+z.1f}", "{:+z.1f}", scale=100, without=" (too few sessions)")


def _loss(one: Difference | None) -> str:
    return "-" if one is None else _with_interval(one.figure, "{:+z.2f}", "{:+z.2f}")


def _with_interval(one: Figure, value: str, bound: str, *, scale: float = 1, without: str = "") -> str:
    """Write a figure, and its interval where it has one."""
    said = value.format(scale * one.value)
    if one.low is None or one.high is None:
        return f"{said}{without}"
    return f"{said} ({bound.format(scale * one.low)} to {bound.format(scale * one.high)})"

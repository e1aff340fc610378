"""How the evaluation of routing is shown to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.render import plain, print_table

if TYPE_CHECKING:
    from karl.evaluation.ranking import Estimate
    from karl.evaluation.routing.assess import Row, SetReport

_PARTS = {"test": "of the test part", "val": "of the validation part", "train": "held out of the train part"}


def show(report: SetReport) -> None:
    """Show one set: what it is, then a row for each number of exemplars, encoder and head."""
    click.echo(click.style(plain(report.set), bold=True))
    strange = f", {report.strange:,} out of scope" if report.strange else ""
    tested = [row.tested for row in report.rows]
    prompts = " to ".join(f"{count:,}" for count in dict.fromkeys((min(tested), max(tested))))
    click.echo(f"{report.labels:,} labels; {prompts} prompts {_PARTS[report.part]}{strange}")
    if report.described:
        click.echo(f"{report.described:,} skills have descriptions")
    if report.unknown:
        click.echo(f"{report.unknown:,} prompts of labels that are no skill are left out")
    columns = ["each", "encoder", "head", "accuracy", "top 3", "MRR"]
    columns += ["scope AUROC"] if report.strange else []
    columns += ["at 5% error", "-centroid", "-lexical"]
    rows = [_row(row, strange=bool(report.strange)) for row in report.rows]
    print_table(columns, rows, whole=columns[1:])
    click.echo("* the head that is trained where none is named")
    for row in report.rows:
        if row.threshold and row.chosen:
            click.echo(_threshold(row))
    click.echo()


def _row(row: Row, *, strange: bool) -> tuple[object, ...]:
    found = row.measured
    return (
        row.per_class,
        row.encoder,
        f"{row.head} *" if row.chosen else row.head,
        _within(found.accuracy, 100, 1),
        f"{100 * found.top3.value:.1f}",
        f"{found.mrr.value:.3f}",
        *((_within(found.oos_auroc, 1, 3),) if strange else ()),
        f"{100 * found.coverage.value:.1f}",
        _within(row.over_centroid, 100, 1, sign="+"),
        _within(row.over_lexical, 100, 1, sign="+"),
    )


def _threshold(row: Row) -> str:
    learned = row.threshold
    assert learned is not None  # the caller looked
    right = "-" if learned.right is None else f"{learned.right:.1%}"
    strange = (
        "" if learned.strangers_kept is None else f", {learned.strangers_kept:.1%} of those out of scope"
    )
    return (
        f"threshold learned from exemplars ({plain(row.encoder)}, {row.per_class} a class): "
        f"{learned.kept:.1%} let through (expected {learned.expected:.1%}), {right} of them right{strange}"
    )


def _within(one: Estimate | None, times: int, places: int, *, sign: str = "") -> str:
    """Give a value and half of its interval; --json has both bounds."""
    if one is None:
        return ""
    value = f"{times * one.value:{sign}.{places}f}"
    if one.low is None or one.high is None:
        return value
    return f"{value} ±{times * (one.high - one.low) / 2:.{places}f}"

"""How the evaluation of routing is shown to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.render import plain, print_table

if TYPE_CHECKING:
    from karl.evaluation.ranking import Estimate
    from karl.evaluation.routing.assess import Row, SetReport

_PARTS = {"test": "the test part", "val": "the validation part", "train": "held out of the train part"}


def show(report: SetReport) -> None:
    """Show one set: what it is, then a row for each number of exemplars, encoder and head."""
    click.echo(click.style(plain(report.set), bold=True))
    strange = f", {report.strange:,} out of scope" if report.strange else ""
    click.echo(f"{report.labels:,} labels; {report.tested:,} prompts of {_PARTS[report.part]}{strange}")
    columns = ["a class", "encoder", "head", "accuracy", "top 3", "MRR"]
    columns += ["out of scope AUROC"] if report.strange else []
    columns += ["answered at 5 % error", "over centroids", "over tf-idf"]
    rows = [_row(row, strange=bool(report.strange)) for row in report.rows]
    print_table(columns, rows, whole=("encoder", "head"))
    for row in report.rows:
        if row.threshold and row.head == "logistic":
            click.echo(_threshold(row))
    click.echo()


def _row(row: Row, *, strange: bool) -> tuple[object, ...]:
    found = row.measured
    return (
        row.per_class,
        row.encoder,
        row.head,
        _percent(found.accuracy),
        f"{found.top3.value:.1%}",
        f"{found.mrr.value:.3f}",
        *((_auroc(found.oos_auroc),) if strange else ()),
        f"{found.coverage.value:.1%}",
        _points(row.over_centroid),
        _points(row.over_lexical),
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


def _percent(one: Estimate) -> str:
    within = "" if one.low is None or one.high is None else f" [{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return f"{one.value:.1%}{within}"


def _auroc(one: Estimate | None) -> str:
    if one is None:
        return "-"
    return f"{one.value:.3f}" + ("" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]")


def _points(one: Estimate | None) -> str:
    if one is None:
        return ""
    within = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.value:+.1f}{within}"

"""What the commands over claims print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from karl.cli.adapters_shown import show_checks
from karl.cli.moments import moment
from karl.cli.render import plain, print_table

if TYPE_CHECKING:
    from karl.views.lineage import ClaimRow
    from workers.proofs import Judged


def as_document(row: ClaimRow, judged: Judged) -> dict[str, Any]:
    """Give a claim with its status and checks, for JSON."""
    said = {name: getattr(row, name) for name in row.__struct_fields__ if name != "place"}
    return {**said, "seq": row.place.seq, "status": judged.status, "checks": judged.checks}


def show_list(found: Sequence[tuple[ClaimRow, Judged]]) -> None:
    """Show every claim on a line."""
    if not found:
        click.echo("nothing is claimed; `karl claims add` claims something")
        return
    print_table(
        ("id", "kind", "status", "claim", "boundary"),
        [
            (row.id, row.kind, "withdrawn" if row.withdrawn_by else judged.status, row.text, row.boundary)
            for row, judged in found
        ],
        whole=("id",),
        short=("claim", "boundary"),
    )


def show_one(row: ClaimRow, judged: Judged) -> None:
    """Show a claim with its checks."""
    click.echo(plain(row.text))
    if row.boundary:
        click.echo(f"boundary  {plain(row.boundary)}")
    click.echo(f"claim     {row.id}, {row.kind}, {moment(row.time_ms)} by {plain(row.person)}")
    for name, id_ in sorted(row.of.items()):
        click.echo(f"{plain(name):<9} {plain(id_)}")
    click.echo(f"status    {'withdrawn; it would be ' if row.withdrawn_by else ''}{judged.status}")
    if judged.checks:
        click.echo()
        show_checks(judged.checks)

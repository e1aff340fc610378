"""Claims and what holds of them: `karl claims`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.people import a_reason, user_at, without_secrets
from karl.cli.render import counting, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.learning import ClaimKind
    from karl.views.lineage import ClaimRow, Lineage
    from workers.doors import Doors
    from workers.proofs import Judged

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
_TEXT_MAX = 2000
#: Statuses with which `karl claims check` ends with 1.
_BAD = frozenset({"broken", "not supported"})


def _of_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name what a claim rests on."""
    for name, what in (
        ("evaluation", "an evaluation of `karl sft-eval`"),
        ("export", "an export of `karl export`"),
        ("training", "a training of `karl train`"),
        ("adapter", "an adapter of `karl adapters list`"),
        ("holdout", "a holdout of `karl holdout list`"),
    ):
        command = click.option(f"--{name}", default="", metavar="ID", help=f"It rests on {what}.")(command)
    return command


@click.command()
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["lift", "export", "training", "holdout", "free"]),
    help="What is claimed, which says how it is checked.",
)
@_of_options
@click.option("--boundary", default="", metavar="TEXT", help="Where it ends: what it does not say.")
@click.argument("text")
@_JSON
@pass_settings
def add(settings: Settings, *, kind: ClaimKind, text: str, boundary: str, as_json: bool, **of: str) -> None:
    """Claim TEXT, as a record; what holds of it is computed from the records that it names.

    A claim of the kind `lift` names an evaluation, `export` an export, `training` a training; `holdout` names
    a holdout, or means all that are in force. A `free` one is checked for nothing but that what it names is
    there. It may be made whatever holds of it: `karl claims show` says. Run it while the line runs.

    Example: karl claims add --kind lift --evaluation 3f2a "the advantage chooses better turns than chance"
    """
    from workers.claims import add as run  # noqa: PLC0415 - Redis and SQLite load when they are asked

    if not text.strip() or len(text) > _TEXT_MAX or len(boundary) > _TEXT_MAX:
        raise click.UsageError(
            f"TEXT and --boundary have at most {_TEXT_MAX:,} characters, TEXT at least one"
        )
    with _doors(settings) as doors:
        words, limit = without_secrets(text), without_secrets(boundary)
        body = run(doors, kind, words, of, boundary=limit, person=user_at(settings))
    if as_json:
        print_json(body)
    else:
        click.echo(f"claim {body.id}; `karl claims show {body.id}` says what holds of it")


@click.command()
@click.argument("claim", metavar="ID")
@click.option("--reason", required=True, callback=a_reason, metavar="TEXT", help="Why; it is kept.")
@_JSON
@pass_settings
def withdraw(settings: Settings, claim: str, *, reason: str, as_json: bool) -> None:
    """Take a claim back, as a record. Run it while the line runs."""
    from workers.claims import withdraw as run  # noqa: PLC0415 - Redis and SQLite load when asked

    with _doors(settings) as doors:
        body = run(doors, claim, person=user_at(settings), reason=without_secrets(reason))
    if as_json:
        print_json(body)
    else:
        click.echo(f"claim {body.withdrawn} is withdrawn")


@click.command()
@click.option("--all", "withdrawn", is_flag=True, help="Those too that were withdrawn.")
@_JSON
@pass_settings
def list_(settings: Settings, *, withdrawn: bool, as_json: bool) -> None:
    """List the claims with their statuses, computed now. Run it where ledger and views are."""
    from karl.cli.claims_shown import as_document, show_list  # noqa: PLC0415 - SQLite loads when asked

    found = _judged(settings, withdrawn=withdrawn)
    if as_json:
        print_json([as_document(row, judged) for row, judged in found])
    else:
        show_list(found)


@click.command()
@click.argument("claim", metavar="ID")
@_JSON
@pass_settings
def show(settings: Settings, claim: str, *, as_json: bool) -> None:
    """Show a claim with each check that its status follows from. Run it where ledger and views are."""
    from karl.cli.claims_shown import as_document, show_one  # noqa: PLC0415 - SQLite loads when asked
    from karl.views.lineage import Lineage  # noqa: PLC0415
    from workers.proofs import Proofs  # noqa: PLC0415

    with Lineage(settings.views) as views:
        row = views.claim(claim)
        judged = Proofs(settings, views).judge(row)
    if as_json:
        print_json(as_document(row, judged))
    else:
        show_one(row, judged)


@click.command()
@_JSON
@pass_settings
def check(settings: Settings, *, as_json: bool) -> None:
    """Check every claim that stands; exit code 1 when one is broken or not supported.

    Run it where ledger and views are; files on other machines are not looked at.
    """
    from karl.cli.claims_shown import as_document, show_list  # noqa: PLC0415 - SQLite loads when asked

    found = _judged(settings)
    bad = [row for row, judged in found if judged.status in _BAD]
    if as_json:
        print_json({"ok": not bad, "claims": [as_document(row, judged) for row, judged in found]})
    else:
        show_list(found)
        click.echo(f"{len(bad)} of {len(found)} claims are broken or not supported")
    sys.exit(1 if bad else 0)


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.md", help="Where to write it."
)
@pass_settings
def report(settings: Settings, *, output: Path | None) -> None:
    """Write every claim as Markdown: status, boundary, module, evidence with figures, and how to repeat it.

    Nothing in it is typed by hand but the claims' own words. Run it where ledger and views are.
    """
    from karl.cli.claims_report import rendered  # noqa: PLC0415 - numpy loads when it is asked
    from karl.views.lineage import Lineage  # noqa: PLC0415
    from workers.whole_files import write_whole  # noqa: PLC0415

    with Lineage(settings.views) as views:
        found = _each(settings, views)
        text = rendered(found, views.position())
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode())
        click.echo(f"{len(found)} claims in {plain(output)}")


def _judged(settings: Settings, *, withdrawn: bool = False) -> list[tuple[ClaimRow, Judged]]:
    from karl.views.lineage import Lineage  # noqa: PLC0415 - SQLite loads when it is asked

    with Lineage(settings.views) as views:
        return _each(settings, views, withdrawn=withdrawn)


def _each(settings: Settings, views: Lineage, *, withdrawn: bool = False) -> list[tuple[ClaimRow, Judged]]:
    from workers.proofs import Proofs  # noqa: PLC0415 - numpy loads when it is asked

    proofs = Proofs(settings, views)
    found: list[tuple[ClaimRow, Judged]] = []
    with counting("checking") as progress:
        for row in views.claims(withdrawn=withdrawn):
            progress("claim", len(found) + 1)
            found.append((row, proofs.judge(row)))
    return found


@contextmanager
def _doors(settings: Settings) -> Iterator[Doors]:
    from workers.doors import Doors  # noqa: PLC0415 - Redis loads when it is asked
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-claims") as redis:
        yield Doors(settings, redis)

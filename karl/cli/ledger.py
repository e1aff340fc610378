"""The ledger's commands: `karl verify`, `karl rebuild`, `karl normalize`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from karl.cli import shown
from karl.cli.main import pass_settings
from karl.cli.render import counting, print_json
from karl.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@JSON
@pass_settings
def verify(settings: Settings, *, as_json: bool) -> None:
    """Check every byte of the ledger; say what, where and how much.

    Exits 0 when nothing is damaged (there may be warnings), 1 otherwise.
    """
    from karl.ledger.verify import verify as check  # noqa: PLC0415 - `--help` needs no ledger

    with counting("verifying") as progress:
        report = check(
            settings.ledger, progress=lambda done, size: progress(f"{done / max(1, size):.0%}, bytes", done)
        )
    if as_json:
        print_json({"ok": report.ok, **msgspec.to_builtins(report)})
    else:
        shown.print_verified(report)
    sys.exit(0 if report.ok else 1)


@click.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; compare the views with a rebuild, exit 1 if unequal."
)
@JSON
@pass_settings
def rebuild(settings: Settings, *, check: bool, as_json: bool) -> None:
    """Make the views anew from the ledger; the line may go on meanwhile.

    The same ledger gives the same file, byte for byte.
    """
    from karl.views import rebuild as views  # noqa: PLC0415 - `--help` needs no database

    where = (settings.views, settings.ledger, settings.reward_version)
    with counting("reading the ledger") as progress:
        if not check:
            made = views.rebuild(*where, lambda seq: progress("line", seq))
            print_json(made) if as_json else shown.print_rebuilt(made)
            return
        compared = views.compare(*where, lambda seq: progress("line", seq))
    print_json(compared) if as_json else shown.print_compared(compared)
    sys.exit(0 if compared.equal else 1)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Write nothing; print the report.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; stdout if not set."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def normalize(file: Path, *, dry_run: bool, output: Path | None, as_json: bool) -> None:
    """Read records of older forms as schema v2.

    FILE holds one JSON record a line; `-` is stdin. The records go to stdout or --output (which is
    replaced when all is written), the report to stderr or stdout. Exits 1 if a line was unreadable.
    """
    from karl.cli.older_files import normalize_file, print_report  # noqa: PLC0415

    report = normalize_file(file, output, dry_run=dry_run)
    print_report(report, as_json=as_json, to_stderr=not (dry_run or output))
    sys.exit(1 if report.unreadable else 0)

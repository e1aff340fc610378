"""Questions and answers made from git: `karl synth-qa`, and `karl synthetic`, which is the same."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import moment, now_ms, when
from karl.cli.people import user_at
from karl.cli.render import counting, one_line, plain, print_json, print_table
from karl.errors import Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from workers.synthetic import Repo, RepositoryReport, SyntheticReport

#: Questions that a person is shown; --json has all.
SHOWN = 3
_LISTED = 50

_REPOS = click.argument("repos", nargs=-1, metavar="[REPO]...", type=click.Path(path_type=Path))
_MOST = click.option(
    "--max",
    "most",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="New questions of a repository at most, of the newest commits.",
)
_APPLY = click.option("--apply", is_flag=True, help="Write what is new to the ledger.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("synth-qa")
@_REPOS
@click.option(
    "--since", "since_ms", default="90d", show_default=True, type=when, help="Only commits made since."
)
@_MOST
@click.option(
    "--min-count",
    "turns_below",
    type=click.IntRange(1),
    help="Only repositories of which the ledger has fewer turns than this.",
)
@_APPLY
@click.option("--list", "listing", is_flag=True, help="List the questions that the ledger has.")
@click.option("--remove", metavar="ID", help="Take a question back, by its id or the beginning of it.")
@_JSON
@pass_settings
def synth_qa(
    settings: Settings,
    repos: tuple[Path, ...],
    *,
    since_ms: int,
    most: int,
    turns_below: int | None,
    apply: bool,
    listing: bool,
    remove: str | None,
    as_json: bool,
) -> None:
    """Make questions and answers from the commits of git repositories; without REPO, of this folder's.

    A question asks what a change did that a commit's message describes; the answer says what the patch did:
    files, tests, lines, what is defined and what is not any more. Every statement is checked against the
    files before and after, by code that did not make it; what does not hold is dropped. Left out and
    counted are merges, reverts, what was reverted, messages that say too little, commits that are too large,
    and files that are vendored, generated, binary, locks or of secrets. docs/synthetic.md has more.

    Without --apply it shows what would be made. The same commit gives the same question, once, in all clones.
    Nothing is written into REPO, and nothing in it is run.
    """
    if listing and (remove is not None or apply):
        raise click.UsageError("--list stands alone")
    if listing:
        _list(settings, as_json=as_json)
    elif remove is not None:
        _remove(settings, remove, as_json=as_json)
    else:
        _make(settings, repos, since_ms, most, turns_below, apply=apply, as_json=as_json)


@click.command()
@_REPOS
@click.option(
    "--days",
    default=7,
    show_default=True,
    type=click.IntRange(1, 36_500),
    help="Only commits of so many days.",
)
@_MOST
@_APPLY
@click.option("--dry-run", is_flag=True, help="Show what would be made: what it does without --apply.")
@_JSON
@pass_settings
def synthetic(
    settings: Settings,
    repos: tuple[Path, ...],
    *,
    days: int,
    most: int,
    apply: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make questions and answers from the commits of the last days, as `karl synth-qa --since DAYSd` does."""
    if apply and dry_run:
        raise click.UsageError("--apply and --dry-run ask for opposite things")
    _make(settings, repos, when(f"{days}d"), most, None, apply=apply, as_json=as_json)


def _make(
    settings: Settings,
    repos: tuple[Path, ...],
    since_ms: int,
    most: int,
    turns_below: int | None,
    *,
    apply: bool,
    as_json: bool,
) -> None:
    from karl.learning.synthetic.questions import By  # noqa: PLC0415 - git, Redis and SQLite load when needed
    from producers.denied_paths import DeniedPaths  # noqa: PLC0415
    from producers.redact import Redactor  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415
    from workers.synthetic import Asked, make  # noqa: PLC0415

    redactor = Redactor()
    asked = Asked(
        [_named(path) for path in repos or (Path(),)],
        since_ms // 1000,
        most,
        By(user_at(settings), settings.node),
        redactor.text,
        DeniedPaths(redactor.data).is_denied,
        turns_below,
    )
    opened = on_line(settings, "karl-synthetic") if apply else nullcontext()
    with opened as redis, counting("reading") as progress:
        report = make(redis, settings, asked, time.sleep, progress)
    if as_json:
        print_json({"applied": apply, "repositories": report.repositories, "made": report.made})
    else:
        _print(report, applied=apply)


def _named(path: Path) -> Repo:
    from producers.project import project_of  # noqa: PLC0415
    from workers.synthetic import Repo  # noqa: PLC0415

    return Repo(path, project_of(str(path.resolve())).removesuffix(".git"))


def _print(report: SyntheticReport, *, applied: bool) -> None:
    for body in report.made[:SHOWN]:
        click.echo(plain(body.question))
        for line in body.answer.split("\n"):
            click.echo(f"  {plain(line)}")
        click.echo()
    if len(report.made) > SHOWN:
        click.echo(f"… and {len(report.made) - SHOWN:,} more (--json has all)\n")
    for one in report.repositories:
        _print_repository(one)
    if not report.made:
        click.echo("no question is new")
    elif applied:
        click.echo(f"{len(report.made):,} questions sent to the ledger")
    else:
        click.echo(f"{len(report.made):,} questions would be new; --apply writes them")


def _print_repository(one: RepositoryReport) -> None:
    if one.skipped:
        click.echo(plain(f"{one.repository}: passed over, {one.skipped}"))
        return
    click.echo(plain(f"{one.repository}: {one.commits:,} commits, {one.made:,} questions"))
    for what, counts in (
        ("left out", one.left_out),
        ("files left out of them", one.files_left_out),
        ("secrets taken out", one.redacted),
    ):
        if counts:
            told = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
            click.echo(plain(f"  {what}: {told}"))
    if one.dropped:
        click.echo(f"  statements that could not be checked, and were dropped: {one.dropped:,}")


def _list(settings: Settings, *, as_json: bool) -> None:
    from workers.synthetic import kept  # noqa: PLC0415 - SQLite loads when needed

    found = kept(settings)
    if as_json:
        print_json([one.body for one in found if one.body])
        return
    if not found:
        click.echo("the ledger has no synthetic question; `karl synth-qa --apply` makes some")
        return
    print_table(
        ("id", "repository", "commit", "made", "facts", "question"),
        [
            (
                one.row.id,
                one_line(one.row.repository, 24),
                one.row.commit[:10],
                moment(one.row.time_ms),
                one.row.facts,
                one_line(one.row.question, 80) if one.body else "(erased)",
            )
            for one in found[:_LISTED]
        ],
        whole=("id", "commit"),
        short=("repository", "question"),
    )
    if len(found) > _LISTED:
        click.echo(f"… and {len(found) - _LISTED:,} more (--json)")
    by = Counter(one.row.repository for one in found)
    click.echo(
        plain(f"{len(found):,} questions of {', '.join(f'{name} ({by[name]:,})' for name in sorted(by))}")
    )


def _remove(settings: Settings, beginning: str, *, as_json: bool) -> None:
    from karl.learning.synthetic.questions import By  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.line import on_line  # noqa: PLC0415
    from workers.synthetic import remove  # noqa: PLC0415

    if not beginning:
        raise Refused("--remove needs an id; --list lists them")
    with on_line(settings, "karl-synthetic") as redis:
        by = By(user_at(settings), settings.node)
        body = remove(redis, settings, beginning, by, now_ms=now_ms(), wait=time.sleep)
    if as_json:
        print_json(body)
    else:
        click.echo(f"{body.id} of {plain(body.repository)} is not used any more")

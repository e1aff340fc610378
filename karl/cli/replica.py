"""Copies of the ledger: `karl worker follow`, `karl replica status`, `karl replica promote`."""

from __future__ import annotations

import sys

import click

from karl.cli.main import pass_settings
from karl.cli.moments import age
from karl.cli.render import counting, plain, print_json, print_table
from karl.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option(
    "--from",
    "source",
    metavar="URL",
    help="Where the ledger is served (KARL_LEDGER_PORT there); the one of last time when not given.",
)
@click.option(
    "--rejoin",
    is_flag=True,
    help="Make a copy of a ledger that was written here, where the source has all of it.",
)
@click.option(
    "--set-aside",
    is_flag=True,
    help="With --rejoin: move what the source does not have into .torn files, instead of refusing.",
)
@click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes.")
@pass_settings
def follow(
    settings: Settings, *, source: str | None, rejoin: bool, set_aside: bool, supervised: bool
) -> None:
    """Keep a copy of the ledger of another machine, byte for byte, in the data folder.

    Each line is checked before it is written. Runs until it is stopped, and goes on where it was; while the
    source is away it waits. It ends with 1 when the copy and its source differ. The source's token (its
    `ledger.token`, or its KARL_LEDGER_TOKEN) goes into KARL_LEDGER_TOKEN.
    """
    if set_aside and not rejoin:
        raise click.UsageError("--set-aside is for --rejoin")
    from workers.start import run_follow  # noqa: PLC0415 - the HTTP client loads with the process

    sys.exit(run_follow(settings, source, rejoin=rejoin, set_aside=set_aside, supervised=supervised))


@click.command()
@JSON
@pass_settings
def status(settings: Settings, *, as_json: bool) -> None:
    """Show how far a copy of the ledger is, and who follows.

    On a follower's machine the source is asked; where Redis can be reached, the writer's word on all
    followers is shown. Exits 1 when a copy can not reach its source, or differs from it.
    """
    from workers.replicas import status_of  # noqa: PLC0415 - Redis and HTTP load with it

    found = status_of(settings)
    if as_json:
        print_json(found)
    else:
        _print_status(found)
    sys.exit(0 if found.ok else 1)


@click.command()
@click.option(
    "--force", is_flag=True, help="Promote a copy that lacks records, or is damaged; they are lost."
)
@JSON
@pass_settings
def promote(settings: Settings, *, force: bool, as_json: bool) -> None:
    """Make the copy in the data folder the ledger, when its source is lost.

    It verifies the copy, refuses while a writer holds the lease and when the copy lacks what left the
    streams, and takes the ledger over under a new term: the old one is refused when it comes back. Then
    `karl worker ledger` goes on here.
    """
    from workers.replicas import promote as make_ledger  # noqa: PLC0415

    with counting("verifying") as progress:
        done = make_ledger(
            settings,
            force=force,
            progress=lambda read, size: progress(f"{read / max(1, size):.0%}, bytes", read),
        )
    if as_json:
        print_json(done)
        return
    for lost in done.lost:
        click.echo(f"lost: {plain(lost)}")
    click.echo(f"{plain(done.folder)} is the ledger now: line {done.seq:,}, term {done.term}.")
    click.echo("Start `karl worker ledger` and `karl worker views` here, and a follower elsewhere.")


def _print_status(found: object) -> None:
    from workers.replicas import Status  # noqa: PLC0415

    assert isinstance(found, Status)
    copy = found.copy
    if copy:
        click.echo(
            f"A copy of {plain(copy.source)}, verified up to line {copy.seq:,} ({plain(copy.head[:16])}…)."
        )
        if copy.behind:
            lag = copy.behind
            if lag.lines or lag.bytes:
                click.echo(
                    f"Behind by {lag.lines:,} lines, {lag.bytes:,} bytes, {age(lag.seconds)}; "
                    f"the source's last line is {lag.source_seq:,}."
                )
            else:
                click.echo("It has all that its source has.")
        click.echo(
            "`karl worker follow` is at work." if copy.running else "No `karl worker follow` is at work here."
        )
    if found.replicas:
        told = found.replicas
        click.echo(f"The writer is at line {told.seq:,}." + _held(told.needed, told.held, told.held_s))
        if told.followers:
            rows = [
                (one.name, one.seq, told.seq - one.seq, age((told.time_ms - one.heard_ms) / 1000))
                for one in told.followers
            ]
            print_table(("follower", "last line", "lines behind", "heard"), rows, whole=("follower",))
        else:
            click.echo("Nobody follows it.")
    for note in found.notes:
        click.echo(plain(note))


def _held(needed: bool, held: int, held_s: float) -> str:
    if not needed:
        return ""
    if not held:
        return " Nothing waits for a follower."
    return f" {held:,} lines wait for a follower, the oldest for {held_s:.0f} s: they stay in the streams."

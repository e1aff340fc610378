"""Commands over the whole ledger: `karl archive`, `karl integrity`, `karl dedup`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import click
import msgspec

from karl.cli.erase import left_behind, without_place
from karl.cli.main import pass_settings
from karl.cli.people import user_at
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SHOWN = 5


@click.command()
@click.option("--days", type=click.IntRange(min=0), default=30, show_default=True, help="Age in days.")
@click.option("--restore", is_flag=True, help="Make all compressed segments plain again.")
@click.option("--apply", "really", is_flag=True, help="Do it. Without it, only say what would be done.")
@JSON
@pass_settings
def archive(settings: Settings, *, days: int, restore: bool, really: bool, as_json: bool) -> None:
    """Compress what of the ledger is older than some days; it reads as before.

    Whole segments that nobody writes any more become zstd files that can be read at any place, beside the
    others; nothing is moved, the chain and the views stay as they are, and every command reads them.
    `zstd -dc` and DuckDB do too. The line may run meanwhile. Without --apply nothing is changed.
    """
    from karl.ledger import archive as keeping  # noqa: PLC0415 - `--help` needs no ledger

    until = datetime.now(UTC) - timedelta(days=days)
    old = [] if restore else keeping.old_segments(settings.ledger, until)
    names = keeping.packed_segments(settings.ledger) if restore else [one.segment for one in old]
    if not really:
        size = sum(one.bytes for one in old)
        if as_json:
            print_json({"segments": names, "bytes": size})
            return
        deed = "made plain again" if restore else f"compressed ({size / 1e6:,.1f} MB now)"
        click.echo(f"{len(names):,} segments would be {deed}" + ("; --apply does it" if names else ""))
        return
    with measuring("restoring" if restore else "archiving") as bar:
        progress = without_place(bar)
        done = (
            keeping.restore(settings.ledger, progress)
            if restore
            else keeping.archive(settings.ledger, old, progress)
        )
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    click.echo(
        f"{done.segments:,} segments: {done.before / 1e6:,.1f} MB before, {done.after / 1e6:,.1f} MB now"
    )


@click.command()
@JSON
@pass_settings
def integrity(settings: Settings, *, as_json: bool) -> None:
    """Look whether what the trajectories say makes sense.

    Counts those without a session, a time, a prompt, a skill or a call, and with rewards or signals that
    can not be. `karl verify` asks whether the bytes are what was written. Exits 1 when something is wrong;
    what may be missing is only counted.
    """
    from karl.ledger.contents import examine  # noqa: PLC0415 - `--help` needs no ledger

    with measuring("looking") as bar:
        found = examine(settings.ledger, without_place(bar))
    if as_json:
        print_json({"ok": found.ok, **msgspec.to_builtins(found)})
        sys.exit(0 if found.ok else 1)
    for trouble in found.troubles:
        if trouble.count:
            names = ", ".join(plain(name) for name in trouble.trajectories[:_SHOWN])
            more = ", ..." if trouble.count > _SHOWN else ""
            mark = "wrong" if trouble.wrong else "     "
            click.echo(f"{mark} {trouble.count:>8,} {trouble.what}: {names}{more}")
    click.echo(
        f"{found.trajectories:,} trajectories, {'nothing wrong' if found.ok else 'something is wrong'}"
    )
    sys.exit(0 if found.ok else 1)


@click.command()
@click.option("--alike", is_flag=True, help="Also turns of other sessions with the same prompt and calls.")
@click.option("--apply", "really", is_flag=True, help="Take them out. Without it, only say which.")
@JSON
@pass_settings
def dedup(settings: Settings, *, alike: bool, really: bool, as_json: bool) -> None:
    """Find trajectories that are in the ledger more than once, and take the others out.

    The same trajectory can be there twice when Redis lost its last second and the turn was built again; views
    count it once anyway. With --alike also turns that other sessions told with the same prompt, the same
    calls and the same answer: the one with the higher reward stays, and of equals the first.

    What goes is taken out as `karl erase` does it, with a record of that. Exits 1 when there is something
    and --apply is not given.
    """
    from karl.ledger.contents import find_repeated  # noqa: PLC0415 - `--help` needs no ledger

    with measuring("looking") as bar:
        found = find_repeated(settings.ledger, alike=alike, progress=without_place(bar))
    left: list[str] = []
    if really and found.records:
        left = _take_out(settings, found.lines)
    if as_json:
        print_json({**msgspec.to_builtins(found), "applied": really})
    else:
        deed = "taken out" if really else "could go"
        click.echo(
            f"{found.trajectories:,} trajectories: {found.same:,} there already, {found.alike:,} alike"
        )
        click.echo(f"{found.records:,} records ({found.bytes:,} bytes) {deed}")
        for gone, kept in list(found.kept.items())[:_SHOWN]:
            click.echo(f"  {plain(gone)} is like {plain(kept)}, which stays")
    for text in left:
        click.echo(text, err=True)
    sys.exit(1 if left or (found.records and not really) else 0)


def _take_out(settings: Settings, lines: list[tuple[int, int]]) -> list[str]:
    from karl.ledger.erase import Wanted  # noqa: PLC0415 - the ledger and Redis load when needed
    from workers.erasure import Eraser  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-dedup") as redis, measuring("taking out") as bar:
        wanted = Wanted(lines=tuple(lines))
        eraser = Eraser(
            redis, settings, wanted, by=user_at(settings), reason="dedup", progress=without_place(bar)
        )
        report = eraser.run()
    return left_behind(views=report.views, append_only_file=report.append_only_file)

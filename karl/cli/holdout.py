"""Sessions that are kept from every export: `karl holdout`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import age, moment, now_ms
from karl.cli.people import a_reason, only_people, user_at, without_secrets
from karl.cli.render import one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.learning.groups import GroupBy
    from karl.schema.learning import SplitWay
    from workers.holdouts import Reserved, Shown

#: Sessions that are listed; --json has all of them.
_LISTED = 50
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")


@click.command()
@click.option(
    "--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.15, show_default=True,
    metavar="S", help="Share of the turns that are held out, in (0, 1).",
)  # fmt: skip
@click.option(
    "--split", "way", type=click.Choice(["time", "hash"]), default="time", show_default=True,
    help="The newest groups of sessions, or groups by a hash of their oldest session.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Another one gives other groups (hash).")
@click.option(
    "--group-by", type=click.Choice(["session", "repository"]), default="session", show_default=True,
    help="What stays together: sessions that ask nearly the same, or besides them all of a repository.",
)  # fmt: skip
@click.option("--reason", callback=a_reason, metavar="TEXT", help="Why; it stays in the ledger.")
@click.option("--more", is_flag=True, help="Although there is a holdout: another one, of what is left.")
@click.option("--force", is_flag=True, help="Also sessions that were trained with. Needs --reason.")
@click.option("--dry-run", is_flag=True, help="Only say what would be held out.")
@_JSON
@pass_settings
def reserve(
    settings: Settings,
    *,
    share: float,
    way: SplitWay,
    seed: int,
    group_by: GroupBy,
    reason: str | None,
    more: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Hold sessions out: no later export trains or validates with them, so that adapters are judged by them.

    Whole groups are held out: sessions whose prompts are nearly the same. What asks the same later is left
    out of exports as well. Sessions that an adapter was trained with are no choice, nor is who asks the same;
    with --force they are, and what is measured with them says little.

    Reserve before the first training. Run it where the views are, while the line runs.

    Example: karl holdout reserve --share 0.15 --reason "to judge adapters by"
    """
    from karl.learning.holdout import Wanted  # noqa: PLC0415 - numpy, SQLite and Redis load when needed
    from workers.holdouts import planned  # noqa: PLC0415
    from workers.holdouts import reserve as run  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    if force and reason is None:
        raise click.UsageError("--force needs --reason")
    if force:
        only_people()
    wanted = Wanted(share, way, seed, group_by)
    why, person = without_secrets(reason or ""), user_at(settings)
    if dry_run:
        made = planned(settings, wanted, reason=why, person=person, now_ms=now_ms(), more=more, force=force)
    else:
        with on_line(settings, "karl-holdout") as redis:
            made = run(
                redis, settings, wanted,
                reason=why, person=person, now_ms=now_ms(), wait=time.sleep, more=more, force=force,
            )  # fmt: skip
    if as_json:
        print_json({"dry_run": dry_run, "holdout": made.body, **_figures(made)})
    else:
        _tell(made, dry_run=dry_run)


def _figures(made: Reserved) -> dict[str, object]:
    chosen = made.chosen._asdict()
    del chosen["sessions"]
    return {**chosen, "near": made.near, "unknown_exports": made.unknown}


def _tell(made: Reserved, *, dry_run: bool) -> None:
    chosen = made.chosen
    verb = "would be held out" if dry_run else "held out"
    click.echo(
        f"{verb}: {len(chosen.sessions):,} sessions in {chosen.groups:,} of {chosen.of_groups:,} groups, "
        f"{chosen.turns:,} of {chosen.of_turns:,} turns ({chosen.turns / max(1, chosen.of_turns):.1%})"
    )
    if chosen.cut_ms:
        click.echo(f"cut: groups that began at {moment(chosen.cut_ms)} or later")
    if not dry_run:
        click.echo(f"holdout {made.body.id}; every later export honours it (`karl holdout show`)")
    if made.unknown:
        _warn(
            f"{made.unknown:,} exports that adapters were trained with can not be read any more: whether "
            "their sessions are among these is not known"
        )
    if chosen.touched:
        _warn(
            f"{len(chosen.touched):,} of these sessions WERE TRAINED WITH: adapters made before say nothing "
            "about them; train anew before you measure"
        )
    elif chosen.trained_with:
        _warn(
            f"{chosen.trained_with:,} sessions were no choice: they, or sessions that ask the same, were "
            "trained with. Adapters from before are judged by what is newer; reserve first next time"
        )


def _warn(text: str) -> None:
    click.echo(f"WARNING: {text}", err=True)


@click.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that were released.")
@_JSON
@pass_settings
def list_(settings: Settings, *, everything: bool, as_json: bool) -> None:
    """List what is held out, and how many sessions exports leave out because they ask the same."""
    from karl.views.lineage import Lineage  # noqa: PLC0415 - SQLite loads when it is asked
    from workers.holdouts import near_held  # noqa: PLC0415

    with Lineage(settings.views) as views:
        rows = views.holdouts(released=everything)
        held = len(views.held_out())
    near = near_held(settings)
    if as_json:
        print_json({"holdouts": rows, "sessions": held, "near": near})
        return
    if not rows:
        click.echo("nothing is held out: `karl holdout reserve` does that, before the first training")
        return
    now = now_ms()
    print_table(
        ("id", "age", "sessions", "groups", "split", "share", "by", "reason"),
        [
            (
                row.id,
                age((now - row.time_ms) / 1000),
                row.sessions,
                row.groups,
                f"hash, seed {row.seed}" if row.way == "hash" else "time",
                f"{row.share:.0%}",
                row.person,
                one_line(f"(released) {row.reason}" if row.released_by else row.reason, 60),
            )
            for row in rows
        ],
        whole=("id",),
        short=("reason",),
    )
    click.echo(f"{held:,} sessions are held out; exports leave out {len(near):,} more that ask the same")


@click.command()
@click.argument("holdout", metavar="ID")
@_JSON
@pass_settings
def show(settings: Settings, *, holdout: str, as_json: bool) -> None:
    """Show one holdout: its sessions, those that ask the same, and whether adapters were trained with any.

    ID is the holdout's, or the beginning of it. Exit code 1 when an adapter was trained with one of its
    sessions.
    """
    from workers.holdouts import show as look  # noqa: PLC0415 - SQLite loads when it is asked

    found = look(settings, holdout)
    if as_json:
        print_json(found)
    else:
        _show(found)
    raise SystemExit(1 if found.touched else 0)


def _show(found: Shown) -> None:
    row = found.row
    state = f"released by {plain(row.released_by)}" if row.released_by else "in force"
    split = f"by hash, seed {row.seed}" if row.way == "hash" else "by time"
    click.echo(f"holdout {plain(row.id)}, {state}")
    click.echo(f"made      {moment(row.time_ms)} by {plain(row.person)} on {plain(row.node)}")
    if row.reason:
        click.echo(f"reason    {plain(row.reason)}")
    click.echo(
        f"chosen    {split}, {row.share:.0%} of the turns: {row.sessions:,} sessions, {row.groups:,} groups"
    )
    if found.erased:
        click.echo(f"erased    {found.erased:,} of them are not in the ledger any more")
    click.echo(f"near      {len(found.near):,} other sessions ask the same: exports leave them out, too")
    if found.touched:
        runs = sorted({run for ids in found.touched.values() for run in ids})
        click.echo(
            f"touched   {len(found.touched):,} sessions were trained with, by {', '.join(map(plain, runs))}"
        )
    else:
        click.echo("touched   no: no adapter of the ledger was trained with any of them")
    if found.unknown:
        click.echo(f"          but for {found.unknown:,} exports that can not be read any more")
    for session in found.sessions[:_LISTED]:
        click.echo(f"  {plain(session)}{'  TRAINED WITH' if session in found.touched else ''}")
    if len(found.sessions) > _LISTED:
        click.echo(f"  … and {len(found.sessions) - _LISTED:,} more (--json)")


@click.command()
@click.argument("holdout", metavar="ID")
@click.option(
    "--reason", callback=a_reason, metavar="TEXT", required=True, help="Why; it stays in the ledger."
)
@_JSON
@pass_settings
def release(settings: Settings, *, holdout: str, reason: str, as_json: bool) -> None:
    """Hold the sessions of a holdout out no more: later exports may train with them.

    Nothing is deleted, and there is no way back for what is trained with them then. In a shell that an agent
    runs it is refused. Run it where the views are, while the line runs.
    """
    from workers.holdouts import release as run  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.line import on_line  # noqa: PLC0415

    only_people()
    with on_line(settings, "karl-holdout") as redis:
        row = run(
            redis, settings, holdout,
            reason=without_secrets(reason), person=user_at(settings), now_ms=now_ms(), wait=time.sleep,
        )  # fmt: skip
    if as_json:
        print_json(row)
    else:
        click.echo(
            f"{plain(row.id)} is released: later exports may train with its {row.sessions:,} sessions; what "
            "is measured with them from then on is no test of what was trained with them"
        )

"""Exemplars refined: changes that are kept only where prompts held out prove them right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from karl.cli.centroids import ENCODER, SEED
from karl.cli.job_done import HERE, done
from karl.cli.main import pass_settings
from karl.cli.people import user_at
from karl.cli.render import measuring, one_line, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from workers.refine import RefineReport, RoundTold
    from workers.resolve import ResolveReport

#: Characters of a prompt, and prompts of a change, that are shown.
_SHOWN, _PROMPTS_MAX = 80, 3

_APPLY = click.option("--apply", is_flag=True, help="Keep what proves right, and train with it.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_APPLY
@SEED
@ENCODER
@HERE
@_JSON
@pass_settings
def refine(settings: Settings, *, apply: bool, seed: int, encoder: str, here: bool, as_json: bool) -> None:
    """Look for changes of exemplars that make routing better, and prove them.

    Cross-validation finds prompts that look mislabelled, and skills that are taken for each other; each
    change is tried, and those that help are put to the proof together: over the latest fifth of each skill's
    prompts, which nothing has seen, more must be right, with the lower bound above 0. Else nothing is kept.
    """
    _refine(settings, 1, apply=apply, seed=seed, encoder=encoder, here=here, as_json=as_json)


@click.command(name="iterative-refine")
@_APPLY
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 20), help="Rounds at most.")
@SEED
@ENCODER
@HERE
@_JSON
@pass_settings
def iterative_refine(
    settings: Settings, *, apply: bool, rounds: int, seed: int, encoder: str, here: bool, as_json: bool
) -> None:
    """Refine again with what was kept, until a round keeps nothing.

    Each round looks at the same held-out prompts once more, so each must be surer: of one in twenty that an
    interval of 95 % leaves out, all rounds together have the share of one.
    """
    _refine(settings, rounds, apply=apply, seed=seed, encoder=encoder, here=here, as_json=as_json)


@click.command(name="auto-resolve")
@click.option("--apply", is_flag=True, help="Mark these prompts; `karl centroids` trains with them.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(1, 100), help="Pairs at most.")
@ENCODER
@_JSON
@pass_settings
def auto_resolve(settings: Settings, *, apply: bool, top: int, encoder: str, as_json: bool) -> None:
    """Find skills that are taken for each other, and real prompts of both to tell them apart by.

    Pairs come from predictions about live prompts whose skill is known by now; where there are none, from
    cross-validation of the exemplars. With --apply the prompts become exemplars marked as contrast, which
    every later router is trained with; they are never counted as evidence.
    """
    from workers.doors import Doors, untold  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.line import on_line  # noqa: PLC0415
    from workers.resolve import resolve  # noqa: PLC0415

    with on_line(settings, "karl-resolve") as redis, measuring("looking") as progress:
        doors = Doors(settings, redis, progress or untold)
        report = resolve(doors, top=top, apply=apply, person=user_at(settings), encoder=encoder)
    if as_json:
        print_json(report)
    else:
        _show_pairs(report, applied=apply)


def _refine(
    settings: Settings, rounds: int, *, apply: bool, seed: int, encoder: str, here: bool, as_json: bool
) -> None:
    from karl.cli.job_done import one_thread  # noqa: PLC0415

    one_thread()
    from workers.refine import RefineReport  # noqa: PLC0415

    arguments = {
        "rounds": rounds,
        "apply": apply,
        "seed": seed,
        "encoder": encoder,
        "person": user_at(settings),
    }
    report = msgspec.convert(done(settings, "refine", arguments, here=here), RefineReport)
    if as_json:
        print_json(report)
    else:
        _show(report, applied=apply)


def _show(report: RefineReport, *, applied: bool) -> None:
    click.echo(f"{report.prompts:,} prompts, and {report.held_out:,} held out")
    for number, one in enumerate(report.rounds, 1):
        _show_round(number, one)
    if not report.changes:
        click.echo("nothing kept")
    elif not applied:
        click.echo(f"{report.changes} changes would be kept (--apply keeps them)")
    else:
        click.echo(f"{report.changes} changes kept, as {report.records} records")
        if report.trained:
            from karl.cli.centroids_shown import show_report  # noqa: PLC0415 - seldom

            show_report(report.trained)


def _show_round(number: int, one: RoundTold) -> None:
    if not one.tried:
        click.echo(f"round {number}: nothing to change was found")
        return
    click.echo(f"round {number}: {len(one.tried)} changes tried")
    for tried in one.tried:
        pair = f"{plain(tried.skill)} and {plain(tried.other)}"
        what = "drop what looks mislabelled" if tried.what == "drop" else f"tell {pair} apart"
        verdict = "helps" if tried.better > tried.worse else "does not help"
        moved = f"{tried.better} put right, {tried.worse} spoilt"
        click.echo(f"  {what} ({len(tried.prompts)} prompts): {moved}; {verdict}")
        for text in tried.prompts[:_PROMPTS_MAX]:
            click.echo(f"    {one_line(text, _SHOWN)}")
    if one.before is None or one.after is None or one.low is None or one.high is None:
        click.echo("  none helped, so nothing was put to the proof")
        return
    click.echo(
        f"  over {one.held_out} held-out prompts: {100 * one.before:.1f} % right before, "
        f"{100 * one.after:.1f} % after ({100 * one.low:+.1f} to {100 * one.high:+.1f} points); "
        + ("kept" if one.kept else "not sure enough, not kept")
    )


def _show_pairs(report: ResolveReport, *, applied: bool) -> None:
    if not report.pairs:
        click.echo("no two skills are taken for each other twice or more")
        return
    source = (
        "live predictions" if report.source == "live" else "cross-validation, for want of live predictions"
    )
    click.echo(f"by {source}:")
    for pair in report.pairs:
        click.echo(f"{plain(pair.skill)} is taken for {plain(pair.other)} {pair.errors} times")
        for one in pair.prompts:
            click.echo(f"  {plain(one.skill)}: {one_line(one.text, _SHOWN)}")
    if applied:
        click.echo(f"{report.records} prompts marked; `karl centroids` trains with them")
    else:
        click.echo("--apply marks these prompts")

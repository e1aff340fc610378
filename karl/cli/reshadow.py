"""Predictions made afterwards: `karl reshadow`, `karl seed`, and prompts that `karl replay` routes anew."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from karl.cli.figures_asked import watched
from karl.cli.main import pass_settings
from karl.cli.moments import now_ms, when
from karl.cli.render import print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.routing import ShadowBody
    from karl.stream.routing import Published
    from karl.views.filter import Filter

_APPLY = click.option("--apply", is_flag=True, help="Send them to the ledger; takes KARL_ALLOW_SEEDING=1.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ROUTER = click.option("--router", default="", metavar="NAME", help="Another router: its id or label.")


@click.command()
@click.option("--since", "since_ms", type=when, help="Only prompts since: 90m, 12h, 7d, or a date.")
@click.option("--agent", help="Only prompts to this kind of agent.")
@click.option("--project", "--repository", "--repo", help="Only prompts in this project.")
@_ROUTER
@_APPLY
@_JSON
@pass_settings
def reshadow(
    settings: Settings,
    *,
    since_ms: int | None,
    agent: str | None,
    project: str | None,
    router: str,
    apply: bool,
    as_json: bool,
) -> None:
    """Predict prompts of the ledger again, with the router and the rules of today.

    Nothing is written without --apply. Such predictions have the source `replayed`, which is no evidence and
    never becomes any: they were made when the answer was known. Prompts that the router was trained with, or
    their very words, are left out, and so is what it has predicted before. `karl accuracy --source replayed`
    measures them.

    Example: karl reshadow --since 30d
    """
    from karl.views.filter import Filter  # noqa: PLC0415 - Redis and SQLite load when needed
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers import seeding  # noqa: PLC0415

    which = Filter(agent=agent, project=project, since_ms=since_ms)
    with Routed(settings.views) as views:
        published = seeding.current(views, router)
        with seeding.line_if_needed(settings, published, apply=apply) as redis:
            opened = seeding.opened_whole(settings, redis, published)
            afterwards = seeding.Afterwards(views, settings.ledger, opened, now_ms)
            made: Iterable[ShadowBody] = afterwards.reshadowed(which)
            if apply and redis:
                made = seeding.apply(redis, settings, made, time.sleep)
            counts = _counted(watched("predicting", made, views.fitting(which)))
    _tell("replayed", counts, published, left_out=afterwards.left_out, apply=apply, as_json=as_json)


@click.command()
@_APPLY
@_JSON
@pass_settings
def seed(settings: Settings, *, apply: bool, as_json: bool) -> None:
    """Predict what skills say of themselves, to try what looks at predictions before there are any.

    Each example and description of a skill is one prompt. Nothing is written without --apply. Such
    predictions have the source `synthetic`, which is no evidence and never becomes any: routers are trained
    with these very texts. No accuracy is made of them.

    Example: KARL_ALLOW_SEEDING=1 karl seed --apply
    """
    from karl.views.routing import Routed  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers import seeding  # noqa: PLC0415

    with Routed(settings.views) as views:
        published = seeding.current(views)
        with seeding.line_if_needed(settings, published, apply=apply) as redis:
            opened = seeding.opened_whole(settings, redis, published)
            afterwards = seeding.Afterwards(views, settings.ledger, opened, now_ms)
            made: Iterable[ShadowBody] = afterwards.seeded(fleet=settings.fleet, node=settings.node)
            if apply and redis:
                made = seeding.apply(redis, settings, made, time.sleep)
            counts = _counted(watched("predicting", made, len(published.catalogue.skills)))
    _tell("synthetic", counts, published, left_out=0, apply=apply, as_json=as_json)


def replay_routed(settings: Settings, which: Filter, router: str, *, as_json: bool) -> None:
    """Route the live prompts that fit anew, and hold the picks against those that were recorded."""
    from karl.figures.routing.again import again_of  # noqa: PLC0415 - Redis and SQLite load when needed
    from karl.figures.routing.chosen import PICKERS  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers import seeding  # noqa: PLC0415

    with Routed(settings.views) as views:
        published = seeding.current(views, router)
        with seeding.line_if_needed(settings, published, apply=False) as redis:
            opened = seeding.opened_whole(settings, redis, published)
            afterwards = seeding.Afterwards(views, settings.ledger, opened, now_ms)
            anew = watched("routing anew", afterwards.replayed(which), views.fitting(which))
            pairs = [tuple(pair) for pair in anew]
    clean = [(before, after) for before, after in pairs if not before.influenced]
    found = [again_of(clean, who) for who in PICKERS]
    if as_json:
        about = {"router": published.router, "rules": published.rules, "prompts": len(clean)}
        print_json({**about, "trained_with": afterwards.left_out, "ways": found})
        return
    if not clean:
        click.echo("karl: no live prediction fits whose turn has closed (`karl shadow` shows them)", err=True)
        return
    from karl.cli.shadow_shown import print_again  # noqa: PLC0415

    encoder = opened.encoder.name if opened.encoder else ""
    print_again(found, router=published.router, encoder=encoder, left_out=afterwards.left_out)


def _counted(bodies: Iterable[ShadowBody]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for body in bodies:
        counts["prompts"] += 1
        counts["regex"] += body.regex is not None
        counts["vector"] += body.takes
        counts["both"] += body.takes and body.regex is not None
        counts["same"] += body.takes and body.regex == body.ranked[0].skill
    return counts


def _tell(
    source: str, counts: Counter[str], published: Published, *, left_out: int, apply: bool, as_json: bool
) -> None:
    told: dict[str, Any] = {
        "source": source,
        "router": published.router,
        "rules": published.rules,
        "predicted": counts["prompts"],
        "trained_with": left_out,
        "vector_takes": counts["vector"],
        "regex_takes": counts["regex"],
        "both_take": counts["both"],
        "same": counts["same"],
        "written": counts["prompts"] if apply else 0,
    }
    if as_json:
        print_json(told)
        return
    by = f"the router {published.router[:12]} and the rules" if published.router else "the rules alone"
    done = "sent to the ledger" if apply else "not written (--apply writes them)"
    click.echo(f"{counts['prompts']:,} {source} predictions by {by}, {done}")
    if left_out:
        click.echo(
            f"{left_out:,} prompts that the router was trained with, or their very words, are left out"
        )
    click.echo(
        f"the vector router takes {counts['vector']:,}, the rules {counts['regex']:,}; of {counts['both']:,} "
        f"that both take, {counts['same']:,} the same"
    )
    click.echo("such predictions are no evidence")

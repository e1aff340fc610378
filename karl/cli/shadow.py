"""Predictions as they are made beside the agents: `karl shadow`, and `karl analyze`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import LIMIT, routed
from karl.schema.routing import ShadowSource
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.figures.routing.accuracy import Accuracy
    from karl.figures.routing.chosen import Chosen
    from karl.figures.routing.shadow import Shadowed


@click.command()
@routed
@LIMIT
@pass_settings
def shadow(
    settings: Settings, *, limit: int, source: ShadowSource, router: str, as_json: bool, **filters: Any
) -> None:
    """Show what was predicted about prompts: how much, by which router, how soon, and whether it was right.

    While routing is on, each prompt of a person is predicted by the rules and by the vector router before
    anybody knows what it is for, and nobody is told. Once its turn has closed, what the agent used, what was
    typed and what people say is held against that. Turns that a router had touched count in no accuracy.

    Example: karl shadow --since 7d
    """
    found, made, right = _looked(settings, source, router, filters)
    if as_json:
        print_json({"source": source, "shadow": made, "accuracy": right})
        return
    from karl.cli.shadow_shown import print_shadow  # noqa: PLC0415 - `--help` needs no database

    if made.prompts:
        print_shadow(found, made, right, limit)


@click.command()
@routed
@LIMIT
@pass_settings
def analyze(
    settings: Settings, *, limit: int, source: ShadowSource, router: str, as_json: bool, **filters: Any
) -> None:
    """Show the predictions, and whether the vector router has earned its promotion.

    The first half is `karl shadow`, the second what `karl promote` checks, over the same evidence as that.
    Nothing is changed.

    Example: karl analyze
    """
    from karl.cli.promotion_shown import show_done  # noqa: PLC0415 - `--help` needs no database
    from karl.cli.shadow_shown import print_shadow  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.promotion import Done, report_on  # noqa: PLC0415

    found, made, right = _looked(settings, source, router, filters)
    with Routed(settings.views) as views:
        report = report_on(views, settings)
    if as_json:
        print_json({"source": source, "shadow": made, "accuracy": right, "promotion": report.judgement})
        return
    if made.prompts:
        print_shadow(found, made, right, limit)
    click.echo()
    show_done(Done("none", "`karl promote` says whether it may go live", report), as_json=False)


def _looked(
    settings: Settings, source: ShadowSource, router: str, filters: dict[str, Any]
) -> tuple[Chosen, Shadowed, Accuracy]:
    """Read predictions, and measure them; says on stderr what is missing."""
    from karl.cli.routed_asked import shadows, tell  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.routing.accuracy import accuracy_of  # noqa: PLC0415
    from karl.figures.routing.chosen import choose  # noqa: PLC0415
    from karl.figures.routing.shadow import shadowed_of  # noqa: PLC0415

    rows = [row for row in shadows(settings, filters, [source]) if row.router.startswith(router)]
    found = choose(rows, source)
    tell(found)
    return found, shadowed_of(rows), accuracy_of(found)[0]

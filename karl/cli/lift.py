"""Whether routing rightly goes with higher rewards: `karl lift-analysis`, `lift-sim`."""

from __future__ import annotations

from typing import Any

import click

from karl.cli.figures_asked import filtered
from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json
from karl.cli.routed_asked import ROUTER, head, predictions
from karl.settings import Settings

_OBSERVATIONAL = (
    "observational: the predictions changed nothing in these turns, and prompts that are easy to route "
    "may be easy to do; only suggestions (`karl promote`) can show what routing does"
)


@click.command("lift-analysis")
@ROUTER
@filtered
@pass_settings
def lift_analysis(settings: Settings, *, router: str, as_json: bool, **filters: Any) -> None:
    """Compare the rewards of turns whose skill the vector router would have picked with those of the others.

    Agent by agent, with Welch's interval, a session's turns being alike; and within skills, which takes out
    that some are easier to route and to do. That is observational. Where agents are told of skills, turns of
    sessions that were told are compared with those of sessions that were not, as they were drawn, whether the
    skill was used or not. That shows what telling does; looked at again and again, `karl ab-monitor` is the
    one to trust.

    Example: karl lift-analysis --agent claude-code
    """
    from karl.figures.routing.lift import lift_of, told_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.filter import Filter  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415

    found = predictions(settings, filters, "live", router)
    with Routed(settings.views) as views:
        told = told_of(views.suggestions(Filter(**filters)))
    lift = lift_of(found.asked)
    if as_json:
        print_json(
            {**head(found), "observational": {"warning": _OBSERVATIONAL, "agents": lift}, "told": told}
        )
        return
    from karl.cli.lift_shown import print_lift, print_told  # noqa: PLC0415

    if told:
        print_told(told)
    if lift:
        print_lift(found, lift, _OBSERVATIONAL)


def _pairs(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> list[tuple[str, str]] | None:
    """Read `a:b,c:d`; a name may have a colon in it (`plugin:skill`) where the pair has an arrow (`a>b`)."""
    if value is None:
        return None
    pairs = []
    for one in value.split(","):
        truth, arrow, picked = one.partition(">")
        if not arrow:
            truth, _, picked = one.partition(":")
        if not truth.strip() or not picked.strip():
            raise click.BadParameter(
                "expected pairs ASKED:PICKED with commas between (ASKED>PICKED does as well)"
            )
        pairs.append((truth.strip(), picked.strip()))
    return pairs


@click.command("lift-sim")
@click.option(
    "--fix-pairs",
    "pairs",
    callback=_pairs,
    metavar="A:B,C:D",
    help="Errors, asked for A and picked B, that would be right. All errors when not given.",
)
@ROUTER
@filtered
@pass_settings
def lift_sim(
    settings: Settings, *, pairs: list[tuple[str, str]] | None, router: str, as_json: bool, **filters: Any
) -> None:
    """Say what accuracy would be if some errors were right, and what the mean reward could gain at most.

    The reward is what would follow if the lift within skills (`karl lift-analysis`) were the routing's doing,
    which shadow routing can not show. Names with a colon are given as `plugin:a>plugin:b`.

    Example: karl lift-sim --fix-pairs docx:pdf,review:test
    """
    from karl.figures.routing.lift import simulated  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, "live", router)
    made = simulated(found.asked, pairs)
    seen = {(truth, picked) for truth, picked, _ in made.pairs}
    for truth, picked in pairs or ():
        if found.asked and (truth, picked) not in seen:
            click.echo(f"karl: {plain(truth)} was never taken for {plain(picked)}", err=True)
    if as_json:
        print_json({**head(found), "warning": _OBSERVATIONAL, "simulated": made})
        return
    from karl.cli.lift_shown import print_simulated  # noqa: PLC0415

    if found.asked:
        print_simulated(found, made, _OBSERVATIONAL)

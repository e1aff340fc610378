"""`karl explain`: why a score is what it is, signal by signal, with the calls behind each component."""

from __future__ import annotations

import click

from karl.cli.look import JSON
from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.settings import Settings


@click.command()
@click.argument("id_", metavar="ID")
@JSON
@pass_settings
def explain(settings: Settings, id_: str, *, as_json: bool) -> None:
    """Explain a score: signals, components, and the calls behind them.

    ID is a trajectory's id, a session's (each of its turns is explained), or the beginning of one. Each
    signal stands with its value, its weight, how much of it was observed and what it adds to the reward;
    below it the components it was made of, what each means here, and the numbers of the calls that made it
    so, as `karl show` counts them. What could not be observed is left out, with the reason. At the end: how
    the score came to be, annotation by annotation. docs/reward.md has the formulas.
    """
    from karl.cli.explain_shown import print_explanation  # noqa: PLC0415 - `--help` needs no database
    from karl.replay.explained import explain as explained  # noqa: PLC0415
    from karl.views.detail import detail  # noqa: PLC0415
    from karl.views.queries import Views  # noqa: PLC0415

    with Views(settings.views) as views:
        found = views.find(id_)
        turns = [turn.id for turn in views.turns(found.id)] if found.kind == "session" else [found.id]
        told = [explained(detail(views, settings.ledger, turn), settings.ledger) for turn in turns]
    if as_json:
        print_json(told if found.kind == "session" else told[0])
        return
    for number, one in enumerate(told):
        click.echo("\n" * bool(number), nl=False)
        print_explanation(one)
    if not told:
        click.echo("this session has no turns, so there is nothing to explain")

"""Which skill is taken for which: `karl confusion`, `confusion-resolve`, `hard-negatives`."""

from __future__ import annotations

from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import DRAWS, OF, head, predictions, routed, router_of
from karl.settings import Settings


@click.command()
@OF
@click.option(
    "--top", default=15, show_default=True, type=click.IntRange(1), help="Pairs, and skills, shown."
)
@DRAWS
@routed
@pass_settings
def confusion(
    settings: Settings,
    *,
    who: Any,
    top: int,
    draws: int,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show which skill is taken for which: a matrix of few skills, the most frequent pairs of many.

    Precision is of the prompts that a skill was picked for, recall of those that asked for it; both have
    Wilson's interval from ten prompts on, F1 one of a bootstrap over sessions. Prompts that asked for none
    are in `karl hard-negatives`.

    Example: karl confusion --of picked --top 20
    """
    from karl.figures.routing.confusion import confusion_of  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, source, router)
    made = confusion_of(found.asked, who, draws)
    if as_json:
        print_json({**head(found), "confusion": made})
        return
    from karl.cli.confusion_shown import print_confusion  # noqa: PLC0415

    if made.prompts:
        print_confusion(found, made, top)


@click.command("confusion-resolve")
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="Pairs looked at.")
@routed
@pass_settings
def confusion_resolve(
    settings: Settings, *, top: int, source: Any, router: str, as_json: bool, **filters: Any
) -> None:
    """Say what to do about the pairs of skills that are taken for each other most often.

    In this order: what says that they are errors is weak; one of the two has fewer exemplars than a head can
    learn from (5); the two lie near, and prompts do not tell them apart (make one of them) or do so in part
    (refine); the skill that is picked draws prompts of three others and more (leave it to the rules); else
    exemplars that show the difference. Near is a cosine beyond the other pairs' of the same router, as
    outliers are. It changes nothing.

    Example: karl confusion-resolve --top 10
    """
    from karl.figures.routing.centroids import layout_of  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.routing.resolve import advice_of  # noqa: PLC0415

    found = predictions(settings, filters, source, router)
    used = router_of(settings, found)
    layout = layout_of(used.skills, used.cosines, used.exemplars) if used else None
    made = advice_of(
        found.asked,
        top,
        layout=layout,
        cosines=used.pairs if used else None,
        exemplars=used.exemplars if used else None,
    )
    if as_json:
        print_json({**head(found), "pairs": made})
        return
    from karl.cli.confusion_shown import print_advice  # noqa: PLC0415

    if found.asked:
        print_advice(found, made)


@click.command("hard-negatives")
@OF
@click.option("--top", default=10, show_default=True, type=click.IntRange(1), help="Pairs shown.")
@routed
@pass_settings
def hard_negatives(
    settings: Settings, *, who: Any, top: int, source: Any, router: str, as_json: bool, **filters: Any
) -> None:
    """Show the errors by what was asked for and what was picked, with prompts, the surest error first.

    With the cosine of the two skills' centroids in the router that made the newest of these predictions.
    Below them, prompts that asked for no skill as far as anybody knows, and what was picked for them.

    Example: karl hard-negatives --top 5
    """
    from karl.figures.routing.confusion import pairs_of  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, source, router)
    pairs, false = pairs_of(found.asked, who), pairs_of(found.none, who)
    used = router_of(settings, found) if pairs else None
    cosines = used.pairs if used else {}
    prompts = {row.event: row.prompt for row in (*found.asked, *found.none)}
    turns = {row.event: row.trajectory for row in (*found.asked, *found.none)}
    if as_json:
        shown = [_whole(pair, cosines, prompts, turns) for pair in pairs]
        taken = [_whole(pair, {}, prompts, turns) for pair in false]
        print_json({**head(found), "pairs": shown, "false": taken})
        return
    from karl.cli.confusion_shown import print_hard  # noqa: PLC0415

    if found.asked or found.none:
        print_hard(found, pairs[:top], false[:top], cosines, prompts)


def _whole(pair: Any, cosines: Any, prompts: Any, turns: Any) -> dict[str, Any]:
    names = sorted((pair.truth or "", pair.picked or ""))
    return {
        **{name: getattr(pair, name) for name in pair.__struct_fields__ if name != "events"},
        "cosine": cosines.get((names[0], names[1])),
        "prompts": [
            {"event": event, "trajectory": turns[event], "prompt": prompts[event]} for event in pair.events
        ],
    }

"""Whether the vector router knows when it is right: `karl confidence-analysis`; which prompts are hard."""

from __future__ import annotations

from typing import Any

import click

from karl.cli.figures_asked import PLOT
from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import DRAWS, head, predictions, routed
from karl.settings import Settings


@click.command("confidence-analysis")
@click.option(
    "--by",
    type=click.Choice(("chance", "fit", "margin")),
    default="chance",
    show_default=True,
    help="What a threshold looks at: the first's chance, the prompt's fit, how far the second is behind.",
)
@click.option(
    "--error",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="The share of answers that may be wrong.",
)
@DRAWS
@PLOT
@routed
@pass_settings
def confidence_analysis(
    settings: Settings,
    *,
    by: Any,
    error: float,
    draws: int,
    plot: bool,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show whether the vector router's chances are true, and what answering only when sure would come to.

    The reliability of the first's chance (Brier score, ECE over ten bins of equal mass, beside what true
    chances come to on so few); the rejection curve, coverage against accuracy, in hindsight; and a threshold
    of which at most --error of the answers are wrong, chosen by one half of the sessions and judged on the
    other, both ways, beside the router's own decision. Predictions of several routers have several scales:
    --router.

    Example: karl confidence-analysis --by fit --error 0.1
    """
    from karl.figures.routing.confidence import confidence_of  # noqa: PLC0415 - numpy loads when needed

    found = predictions(settings, filters, source, router)
    made = confidence_of(found.asked, found.none, by, error=error, draws=draws)
    if as_json:
        print_json({**head(found), "confidence": made})
        return
    from karl.cli.confidence_shown import print_confidence  # noqa: PLC0415

    if made.asked:
        print_confidence(found, made, draw=plot)


def prompts(settings: Settings, limit: int, *, as_json: bool, filters: dict[str, Any]) -> None:
    """Show which prompts were hard to route: what `karl difficulty --prompts` does."""
    from karl.figures.routing.prompts import difficulty_of  # noqa: PLC0415 - numpy loads when needed

    found = predictions(settings, filters)
    made = difficulty_of(found.asked)
    texts = {row.event: row.prompt for row in found.asked}
    if as_json:
        shown = [
            {
                **{name: getattr(one, name) for name in one.__struct_fields__},
                "prompt": texts[one.event],
            }
            for one in made.prompts[:limit]
        ]
        print_json({**head(found), "thirds": made.thirds, "auroc": made.auroc, "prompts": shown})
        return
    from karl.cli.confidence_shown import print_prompts  # noqa: PLC0415

    if made.prompts:
        print_prompts(found, made, texts, limit)

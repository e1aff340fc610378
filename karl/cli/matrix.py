"""How near skills lie to each other in a router: `karl skill-matrix`, `merge-candidates`."""

from __future__ import annotations

from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import LIMIT, head, in_use, predictions, routed
from karl.settings import Settings


@click.command("skill-matrix")
@click.option("--version", "version", default="", metavar="ID", help="This router; the one in use.")
@LIMIT
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all cosines.")
@pass_settings
def skill_matrix(settings: Settings, *, version: str, limit: int, as_json: bool) -> None:
    """Show the cosines of skills' centroids in the router in use: a matrix of few, near pairs of many.

    A pair is near where its cosine lies beyond the others of the same router as outliers do (the upper
    quartile and one and a half times the distance of the quartiles; of many pairs more): it depends on the
    encoder. Cosines are the router's own and no estimates; beside them stand the exemplars that made the
    centroids.

    Example: karl skill-matrix --limit 20
    """
    from karl.figures.routing.centroids import layout_of  # noqa: PLC0415 - numpy loads when needed

    used = in_use(settings, version)
    layout = layout_of(used.skills, used.cosines, used.exemplars) if used else None
    if as_json:
        matrix = used.cosines.round(6).tolist() if used else []
        known = {"router": used.id, "skills": used.skills, "exemplars": used.exemplars} if used else {}
        print_json({"router": None, **known, "cosines": matrix, "layout": layout})
        return
    from karl.cli.matrix_shown import print_matrix  # noqa: PLC0415

    if used and layout:
        print_matrix(used, layout, limit)


@click.command("merge-candidates")
@click.option(
    "--version", "version", default="", metavar="ID", help="Centroids of this router; the one in use."
)
@LIMIT
@routed
@pass_settings
def merge_candidates(
    settings: Settings,
    *,
    version: str,
    limit: int,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Name pairs of skills that lie near each other, and say whether prompts tell them apart.

    Told apart is the share of prompts for either that the right one of the two was picked for, both skills
    counting the same. `merge`: the interval lies below 75 %, nearer to a coin's 50 % than to always; `keep`:
    it lies above 50 %; else `unsure`. It changes nothing.

    Example: karl merge-candidates --json
    """
    from karl.figures.routing.centroids import layout_of, merges_of  # noqa: PLC0415 - numpy loads when needed

    used = in_use(settings, version)
    if used is None:
        if as_json:
            print_json({"router": None, "fence": None, "pairs": []})
        return
    found = predictions(settings, filters, source, router)
    layout = layout_of(used.skills, used.cosines, used.exemplars)
    merges = merges_of(layout, found.asked)
    if as_json:
        print_json({**head(found), "router": used.id, "fence": layout.fence, "pairs": merges})
        return
    from karl.cli.matrix_shown import print_merges  # noqa: PLC0415

    print_merges(layout, merges, limit)

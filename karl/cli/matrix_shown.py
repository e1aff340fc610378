"""What the commands over centroids print, and the part of `karl diversity` about them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karl.cli.deeds import heading
from karl.cli.figures_shown import table
from karl.cli.render import one_line
from karl.cli.routed_asked import InUse
from karl.cli.routed_shown import ID_WIDTH, share, skill
from karl.figures.routing.centroids import SKILLS_MIN, Layout, Merge, Near

#: Skills of which a matrix is shown.
MATRIX_MAX = 12
#: Clusters that are named, and characters of one.
CLUSTERS_MAX, CLUSTER_WIDTH = 8, 160


def print_matrix(used: InUse, layout: Layout, limit: int) -> None:
    """Print how a router's skills lie, as a matrix where there are few."""
    print_layout(used, layout)
    if len(used.skills) <= MATRIX_MAX:
        letters = [chr(ord("a") + at) for at in range(len(used.skills))]
        heading("cosines")
        table(
            ("", "skill", "exemplars", *letters),
            [
                (
                    letters[at],
                    skill(name),
                    used.exemplars.get(name),
                    *(f"{value:.2f}" for value in used.cosines[at]),
                )
                for at, name in enumerate(used.skills)
            ],
            short=("skill",),
        )
    heading("near pairs" if layout.near else "the nearest other of each skill")
    pairs = layout.near or layout.nearest
    _print_pairs(pairs[:limit])
    if len(pairs) > limit:
        click.echo(f"… {len(pairs) - limit:,} more (--limit)")


def print_layout(used: InUse, layout: Layout) -> None:
    """Print how alike the skills of a router are, in a few lines."""
    click.echo(f"router {used.id[:ID_WIDTH]}: {layout.skills:,} skills, {layout.pairs:,} pairs")
    if layout.mean is None or layout.quartiles is None or layout.least is None or layout.most is None:
        return
    low, middle, high = layout.quartiles
    click.echo(
        f"cosine {layout.mean:.2f} on average, quartiles {low:.2f} {middle:.2f} {high:.2f}; "
        f"least {_pair(layout.least)}, most {_pair(layout.most)}"
    )
    if layout.fence is None:
        click.echo(f"of fewer than {SKILLS_MIN} skills nobody can say which pairs stand out")
        return
    pairs = len(layout.near)
    click.echo(f"{pairs:,} near pair{'s' * (pairs != 1)}, above {layout.fence:.2f}: beyond the others")
    for one in layout.clusters[:CLUSTERS_MAX]:
        click.echo(one_line(f"  {len(one)} together: {', '.join(one)}", CLUSTER_WIDTH))
    if len(layout.clusters) > CLUSTERS_MAX:
        click.echo(f"  … {len(layout.clusters) - CLUSTERS_MAX:,} more, as large or smaller (--json)")


def _print_pairs(pairs: Sequence[Near]) -> None:
    table(
        ("skill", "other", "cosine", "exemplars"),
        [(skill(one.one), skill(one.other), f"{one.cosine:.2f}", _exemplars(one)) for one in pairs],
        short=("skill", "other"),
    )


def _exemplars(one: Near) -> str:
    return " ".join("?" if count is None else f"{count}" for count in one.exemplars)


def _pair(one: Near) -> str:
    return f"{one.cosine:.2f} ({skill(one.one)}, {skill(one.other)})"


def print_merges(layout: Layout, merges: Sequence[Merge], limit: int) -> None:
    """Print near pairs with what to do."""
    if layout.fence is None:
        click.echo(f"of fewer than {SKILLS_MIN} skills nobody can say which pairs stand out")
        return
    if not merges:
        click.echo(
            f"no two skills lie near each other (above {layout.fence:.2f}, by this router's own pairs)"
        )
        return
    table(
        ("skill", "other", "cosine", "exemplars", "told apart", ""),
        [
            (
                skill(one.pair.one),
                skill(one.pair.other),
                f"{one.pair.cosine:.2f}",
                _exemplars(one.pair),
                share(one.apart, of=True),
                one.verdict,
            )
            for one in merges[:limit]
        ],
        short=("skill", "other"),
    )
    if len(merges) > limit:
        click.echo(f"… {len(merges) - limit:,} more (--limit)")

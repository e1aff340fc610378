"""What all figures over routing ask alike: which predictions, of which source, and the router in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from karl.cli.figures_asked import filtered
from karl.cli.render import counting, plain
from karl.schema.routing import ShadowSource
from karl.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from karl.figures.routing.chosen import Chosen
    from karl.figures.routing.digest import Digest
    from karl.views.routing import Routed
    from karl.views.routing_rows import ShadowRow

SOURCES: tuple[ShadowSource, ...] = ("live", "replayed", "synthetic")
SOURCE = click.option(
    "--source",
    type=click.Choice(SOURCES),
    default="live",
    show_default=True,
    help="Which predictions; only live ones are evidence.",
)
#: Predictions between two signs of life.
_SAY_EVERY = 500
ROUTER = click.option("--router", default="", metavar="ID", help="Only predictions of this router.")
LIMIT = click.option("--limit", default=12, show_default=True, type=click.IntRange(0), help="Rows shown.")
DRAWS = click.option(
    "--draws", default=1000, show_default=True, type=click.IntRange(50, 20_000), help="Bootstrap draws."
)
OF = click.option(
    "--of",
    "who",
    type=click.Choice(("first", "vector", "regex", "picked")),
    default="first",
    show_default=True,
    help="Whose picks: the vector router's first, that where it takes it, the rules', the policy's.",
)


class InUse(NamedTuple):
    """A router: its skills, the cosines of their centroids, and the exemplars that made each, where known."""

    id: str
    skills: tuple[str, ...]
    cosines: NDArray[np.float64]
    exemplars: dict[str, int]

    @property
    def pairs(self) -> dict[tuple[str, str], float]:
        """Give the cosine of each pair of skills, the two in order."""
        return {
            (one, other): float(self.cosines[a, b])
            for a, one in enumerate(self.skills)
            for b, other in enumerate(self.skills)
            if one < other
        }


def routed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of figures over predictions."""
    return SOURCE(ROUTER(filtered(command)))


def predictions(
    settings: Settings, filters: Mapping[str, Any], source: ShadowSource = "live", router: str = ""
) -> Chosen:
    """Read the predictions that fit; says on stderr what is missing, and what to do about it."""
    from karl.figures.routing.chosen import choose  # noqa: PLC0415 - `--help` needs no database

    found = choose(shadows(settings, filters, [source]), source, router)
    tell(found, narrowed=bool(router) or any(value is not None for value in filters.values()))
    return found


def shadows(
    settings: Settings, filters: Mapping[str, Any], sources: Sequence[ShadowSource]
) -> list[ShadowRow]:
    """Read all predictions of some sources that fit, and show how many were read."""
    from karl.views.filter import Filter  # noqa: PLC0415 - `--help` needs no database
    from karl.views.routing import Routed  # noqa: PLC0415

    with Routed(settings.views) as views:
        return list(_counted(views.shadows(Filter(**filters), sources=sources)))


def _counted(rows: Iterable[ShadowRow]) -> Iterator[ShadowRow]:
    """Pass predictions on, and show how many have passed."""
    with counting("looking") as say:
        for count, row in enumerate(rows, 1):
            yield row
            if count % _SAY_EVERY == 0:
                say("at predictions", count)


def tell(found: Chosen, *, narrowed: bool = False) -> None:
    """Say on stderr which predictions are not in, and what to do where there is nothing to look at."""
    if found.influenced:
        click.echo(
            f"karl: {found.influenced:,} prompts whose turns were told of a skill are left out",
            err=True,
        )
    if found.source != "live" and (found.asked or found.none):
        click.echo(f"karl: {found.source} predictions are no evidence", err=True)
    if found.asked:
        return
    if found.none:
        click.echo(
            f"karl: no prompt asked for a skill, as far as anybody knows, of {len(found.none):,}; "
            "`karl annotate TURN --skill NAME` says what one asked for",
            err=True,
        )
    elif found.waiting:
        click.echo(
            f"karl: {found.waiting:,} prompts were predicted, and none of their turns has closed yet",
            err=True,
        )
    elif found.silent:
        click.echo(
            f"karl: nothing says what the {found.silent:,} prompts that were predicted asked for; "
            "`karl annotate TURN --skill NAME` does",
            err=True,
        )
    elif found.influenced:
        return  # that was said
    elif narrowed:
        click.echo(
            f"karl: no {found.source} prediction fits these conditions; `karl shadow` shows all", err=True
        )
    else:
        click.echo(f"karl: no {found.source} prediction is there; {_TO_DO[found.source]}", err=True)


_TO_DO = {
    "live": "`karl skills scan` and `karl bootstrap` have each prompt predicted from then on (`karl shadow`)",
    "replayed": "`karl reshadow` makes them of prompts that are in the ledger",
    "synthetic": "`karl seed` makes them of skills' descriptions",
}


def head(found: Chosen) -> dict[str, Any]:
    """Give what JSON says of the predictions that a figure is made of."""
    return {
        "source": found.source,
        "asked": len(found.asked),
        "none": len(found.none),
        "left_out": {name: getattr(found, name) for name in ("waiting", "silent", "influenced", "again")},
        "routers": found.routers,
    }


def in_use(settings: Settings, name: str = "") -> InUse | None:
    """Give the router in use, or the one of a name; says on stderr what to do where there is none.

    Raises NotFound for an unknown name, and where neither this machine nor the line has the router's bytes.
    """
    from karl.errors import LedgerDamaged, NotFound  # noqa: PLC0415 - `--help` needs none of these
    from karl.figures.routing.centroids import cosines  # noqa: PLC0415
    from karl.schema.routing import RouterBody  # noqa: PLC0415
    from karl.views.routing import Routed, body_at  # noqa: PLC0415

    exemplars: dict[str, int] = {}
    with Routed(settings.views) as views:
        router = _id_of(views, name)
        if router:
            try:
                exemplars = body_at(settings.ledger, views.router(router).place, RouterBody).counts
            except (NotFound, LedgerDamaged):  # counts are beside the figures; the figures are the router's
                click.echo("karl: what the router was trained with can not be read", err=True)
    if not router:
        click.echo("karl: no router is in use; `karl bootstrap` trains one", err=True)
        return None
    loaded = _load(settings, router)
    return InUse(router, loaded.skills, cosines(loaded.centroid.matrix), exemplars)


def usual_router(settings: Settings) -> InUse | None:
    """Give the router in use where there is one that can be had; says nothing where there is none."""
    from karl.views.routing import Routed  # noqa: PLC0415 - `--help` needs no database

    with Routed(settings.views) as views:
        name = views.policy().router
    return _if_had(settings, name) if name else None


def router_of(settings: Settings, found: Chosen) -> InUse | None:
    """Give the router that made the newest of these predictions, where it can be had; says so where not."""
    return _if_had(settings, found.routers[-1]) if found.routers else None


def _if_had(settings: Settings, name: str) -> InUse | None:
    from karl.errors import KarlError  # noqa: PLC0415 - seldom

    try:
        return in_use(settings, name)
    except KarlError as error:
        click.echo(f"karl: without cosines of centroids: {plain(error)}", err=True)
        return None


def digest(settings: Settings, filters: Mapping[str, Any]) -> Digest | None:
    """Give routing in a few figures; null where no live prediction fits."""
    from karl.figures.routing.chosen import choose  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.routing.digest import digest_of  # noqa: PLC0415
    from karl.views.filter import Filter  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415

    with Routed(settings.views) as views:
        found = choose(views.shadows(Filter(**filters)))
        mode = views.policy().mode
    if not (found.asked or found.none or found.waiting or found.silent):
        return None
    return digest_of(found, mode)


def _id_of(views: Routed, name: str) -> str:
    return views.router(name).id if name else views.policy().router


def _load(settings: Settings, router: str) -> Any:
    """Load a router from this machine, else from the line."""
    from karl.errors import NotFound  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415
    from workers.routers import load  # noqa: PLC0415

    try:
        return load(settings, None, router)
    except NotFound:
        with on_line(settings, "karl-matrix") as redis:
            return load(settings, redis, router)

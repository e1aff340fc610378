"""Figures that read the turns themselves from the ledger: `karl diversity`, `karl fingerprint`."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Any

import click

from karl.cli.figures_asked import filtered, read_of, turns_of
from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import print_json
from karl.cli.routed_asked import usual_router
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.figures.fingerprint import Compared, Drift, Fingerprint, Trace
    from karl.views.figures import Figures, Reading


@click.command()
@filtered
@pass_settings
def diversity(settings: Settings, *, as_json: bool, **filters: Any) -> None:
    """Show how varied each agent's work is, and how much of it was asked before.

    The effective number (the exponential of the entropy) says how many kinds, all equally frequent, would be
    as varied; its 95 % interval leaves out a part of the sessions at a time. Of tools, programs that ran,
    files read or changed, prompts, skills, domains and projects. It reads every turn from the ledger. Where a
    router is in use, also how alike its skills' centroids are (`karl skill-matrix`).

    Example: karl diversity --project shop --since 30d
    """
    from karl.figures.chosen import by_agent  # noqa: PLC0415
    from karl.figures.diversity import diversity_of  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.routing.centroids import layout_of  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        rows = list(turns_of(views, filters, words=True))
        agents = diversity_of(by_agent(rows), read_of(views, settings, rows))
    used = usual_router(settings)
    layout = layout_of(used.skills, used.cosines, used.exemplars) if used else None
    if as_json:
        print_json({"agents": agents, "centroids": layout})
        return
    from karl.cli.figures_held import print_diversity  # noqa: PLC0415

    print_diversity(agents)
    if used and layout:
        from karl.cli.deeds import heading  # noqa: PLC0415
        from karl.cli.matrix_shown import print_layout  # noqa: PLC0415

        heading("skills' centroids")
        print_layout(used, layout)


@click.command()
@click.argument("id_", metavar="[SESSION]", required=False)
@click.option(
    "--recent", "recent_ms", type=when, help="Drift: sessions since then against those before; half of them."
)
@click.option("--seed", default=1, show_default=True, help="Of the draws of the test for drift.")
@filtered
@pass_settings
def fingerprint(
    settings: Settings,
    id_: str | None,
    *,
    recent_ms: int | None,
    seed: int,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show how agents work: what they do, in which order, and whether they work now as they did before.

    Of a session, its own fingerprint and how far it is from its agent's other sessions. Of an agent, also
    drift: how far the steps (pairs of deeds that follow each other) of its recent sessions are from those of
    the earlier ones, and the chance of as much if nothing had changed (sessions drawn at random). It reads
    every turn from the ledger.

    Example: karl fingerprint --agent claude-code --recent 7d
    """
    from karl.figures.fingerprint import (  # noqa: PLC0415 - `--help` needs no database
        compare,
        drift_of,
        fingerprint_of,
        middle_time,
    )
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        session = None if id_ is None else _session(views, id_)
        if session is not None:
            filters["agent"] = views.session(session).agent
        rows = list(turns_of(views, filters))
        traces = _traces(read_of(views, settings, rows))
    shown: list[tuple[str, Fingerprint, Drift | None, Compared | None]] = []
    for agent, turns in traces.items():
        if session is not None:
            own = fingerprint_of([one for one in turns if one.session == session])
            shown.append((agent, own, None, compare(turns, session)))
        else:
            since = middle_time(turns) if recent_ms is None else recent_ms
            shuffle = Random(seed).shuffle  # noqa: S311 - draws that can be repeated
            shown.append((agent, fingerprint_of(turns), drift_of(turns, since, shuffle), None))
    if as_json:
        agents = [
            {"agent": agent, "fingerprint": own, "drift": drift, "compared": compared}
            for agent, own, drift, compared in shown
        ]
        print_json({"session": session, "agents": agents})
        return
    from karl.cli.figures_held import print_fingerprint  # noqa: PLC0415

    for one in shown:
        print_fingerprint(*one)


def _session(views: Figures, beginning: str) -> str:
    """Give the session that an id, a session's or a turn's, or its beginning, means."""
    found = views.find(beginning)
    return found.id if found.kind == "session" else views.trajectory(found.id).session


def _traces(readings: Iterable[Reading]) -> dict[str, list[Trace]]:
    from karl.figures.fingerprint import trace_of  # noqa: PLC0415

    traces: dict[str, list[Trace]] = {}
    for row, trajectory, _ in readings:
        traces.setdefault(row.agent, []).append(trace_of(row.session, row.started_ms, trajectory))
    return dict(sorted(traces.items()))

"""All figures of this machine's processes at once, and what the views know where no process tells.

Not here: what each process tells of itself (`karl.metrics.table`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import karl
from karl.errors import KarlError
from karl.metrics.gathered import families_of, together, told_at
from karl.metrics.metric import Gauge, Sample
from karl.metrics.serve import Place
from karl.metrics.table import BUILD_INFO
from karl.views.overview import overview
from karl.views.queries import Views
from workers.processes import LINE, metrics_port

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from karl.settings import Settings

_UP = Gauge("", "karl_process_tells", "1 when the process answered when it was asked.", "process")
_KEPT = Gauge("", "karl_kept", "What the views hold, by what it is: records, sessions, tokens.", "what")
_SEQ = Gauge("", "karl_kept_ledger_seq", "Number of the ledger's last line, read from its files.")
_BYTES = Gauge("", "karl_kept_ledger_bytes", "Bytes of the ledger's files.")
_BEHIND = Gauge("", "karl_kept_views_behind_lines", "Lines of the ledger that the views did not take in yet.")
_REWARD = Gauge("", "karl_kept_reward_mean", "Mean of the rewards that count now, by agent.", "agent")
_SCORED = Gauge("", "karl_kept_scored_trajectories", "Trajectories with such a reward.", "agent")


def gathered(settings: Settings) -> list[Metric]:
    """Ask every process of this machine that has a port, and look at ledger and views."""
    by_process: dict[str, list[Metric]] = {}
    tells: list[Sample] = []
    for name, place in _places(settings):
        found = told_at(place)
        tells.append(Sample(_UP, float(found is not None), (name,)))
        if found is not None:
            by_process[name] = found
    kept = [*tells, *_kept(settings)]
    if not by_process:
        kept.append(Sample(BUILD_INFO, 1, (karl.__version__, "none", settings.node)))
    return [*together(by_process), *families_of(kept)]


def _places(settings: Settings) -> Iterator[tuple[str, Place]]:
    """Give where each process of `karl up` tells; nothing without KARL_METRICS_PORT."""
    base = settings.metrics_port
    if base:
        yield "up", Place(settings.metrics_host, base)
    for process in LINE:
        port = metrics_port(base, process.name)
        if port and (not process.only_if or getattr(settings, process.only_if)):
            yield process.name, Place(settings.metrics_host, port)


def _kept(settings: Settings) -> Iterator[Sample]:
    """Look at what is kept, at a cost that does not grow with it."""
    seen = overview(settings.ledger, settings.views)
    if seen.ledger:
        yield Sample(_SEQ, seen.ledger.seq)
        yield Sample(_BYTES, seen.ledger.bytes)
    if not seen.views:
        return
    yield Sample(_BEHIND, seen.views.behind)
    for what in seen.counts.__struct_fields__:
        yield Sample(_KEPT, getattr(seen.counts, what), (what,))
    try:
        with Views(settings.views) as views:
            agents = views.agents()
    except KarlError:
        return  # they were there a moment ago: they are being made anew
    for agent, sums in agents.items():
        yield Sample(_REWARD, round(sums.mean, 4), (agent,))
        yield Sample(_SCORED, sums.n, (agent,))

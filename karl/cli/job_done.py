"""Having a job done and waiting for it: by a worker of its queue, or here where nobody works on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from karl.cli.render import measuring
from karl.errors import KarlError
from karl.jobs import table

if TYPE_CHECKING:
    from karl.jobs.gate import Asked, JobFacts
    from karl.jobs.listing import Given
    from karl.settings import Settings

HERE = click.option("--here", is_flag=True, help="Do it in this process, whoever works on the queue.")
#: States of a job from which nothing more comes.
ENDED = frozenset({"finished", "failed", "stopped", "canceled"})
#: Figures that `done` and `total` say already.
_COUNTED = frozenset({"iteration", "iterations", "bytes", "of"})
#: Seconds between two looks at a job that is waited for.
_LOOK_S = 0.2


def done(settings: Settings, name: str, arguments: Mapping[str, Any], *, here: bool = False) -> Any:
    """Have a job of the table done, show how far it is, and give what it gave.

    Where no worker of its queue is alive, or with `here`, it runs in this process. Ctrl-C ends the waiting,
    not the job. Raises KarlError where it fails, Refused, LineDown.
    """
    from karl.jobs.gate import Asked  # noqa: PLC0415 - RQ loads when a job is asked for

    job = table.find(name)
    asked = Asked(job, table.checked(job, arguments))
    if not here and _has_workers(settings, job.queue):
        return _by_worker(settings, asked)
    from workers.doors import untold  # noqa: PLC0415 - what runs here alone

    with measuring(name) as progress:
        found = table.function(job)(asked.arguments, settings, progress or untold)
    if found.reason is not None:
        raise KarlError(found.reason)
    return found.result


def one_thread() -> None:
    """Have numpy add in one order, as in the jobs' processes: several threads make other last digits.

    It is read when numpy loads, so this comes before whatever loads it.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _has_workers(settings: Settings, queue: str) -> bool:
    from karl.jobs.listing import facts  # noqa: PLC0415 - Redis loads when it is asked
    from workers.line import on_jobs  # noqa: PLC0415

    with on_jobs(settings, "karl-ask-jobs") as redis:
        return any(one.workers or one.called for one in facts(redis) if one.queue == queue)


def _by_worker(settings: Settings, asked: Asked) -> Any:
    from karl.jobs import asking  # noqa: PLC0415 - RQ loads when a job is asked for
    from workers.line import on_jobs  # noqa: PLC0415

    with on_jobs(settings, "karl-ask-jobs") as redis:
        made = asking.enqueue(redis, asked)
        says = f"karl: the job {made.id} waits in the queue {asked.job.queue}"
        told, given = awaited(redis, made.id, asked.job.name, otherwise=says)
    if told.status != "finished":
        raise KarlError(given.failure or f"the job {made.id} was {told.status}")
    return given.result


def awaited(
    redis: Any,
    id_: str,
    name: str,
    *,
    otherwise: str = "",
    heard: Callable[[JobFacts], object] | None = None,
) -> tuple[JobFacts, Given]:
    """Look at a job until it has ended; a terminal shows how far it is, elsewhere `otherwise` is said.

    `heard` is given each look where there is no terminal. Raises NotFound, and the client's error.
    """
    from karl.jobs import listing  # noqa: PLC0415 - Redis loads when it is asked

    with measuring(name) as progress:
        if not progress and otherwise:
            click.echo(otherwise, err=True)
        while True:
            told, given = listing.one(redis, id_)
            if told.status in ENDED:
                return told, given
            if progress and (far := how_far(told)):
                progress(*far)
            elif heard and not progress:
                heard(told)
            time.sleep(_LOOK_S)


def how_far(told: JobFacts) -> tuple[int, int, str] | None:
    """Give how far a job says that it is: done, of how much, and where; null where it says nothing."""
    far, total = told.meta.get("done"), told.meta.get("total")
    if isinstance(far, int) and isinstance(total, int):
        where, said = str(told.meta.get("where", "")), in_figures(figures_of(told))
        return far, total, f"{where}: {said}" if where and said else where or said
    return None


def figures_of(told: JobFacts) -> dict[str, Any]:
    """Give the figures that a job tells of itself, by name; none where it tells of none."""
    found = told.meta.get("progress")
    return found if isinstance(found, dict) else {}


def in_figures(figures: Mapping[str, Any]) -> str:
    """Say in one line what a job's figures are: those that are one number, and not nothing."""
    said = []
    for name, value in figures.items():
        if name in _COUNTED or isinstance(value, bool) or not isinstance(value, int | float) or not value:
            continue
        shown = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
        said.append(f"{span(value)} left" if name == "seconds_left" else f"{name.replace('_', ' ')} {shown}")
    return ", ".join(said)


def span(seconds: float) -> str:
    """Give a span to the minute, or to the second below five: `2 h 10 min`, `95 s`."""
    if seconds < 300:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"

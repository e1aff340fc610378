"""Having a job done and waiting for it: by a worker of its queue, or here where nobody works on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from karl.cli.render import measuring
from karl.errors import KarlError
from karl.jobs import table

if TYPE_CHECKING:
    from karl.jobs.gate import Asked, Told
    from karl.settings import Settings

_ENDED = {"finished", "failed", "stopped", "canceled"}
#: Seconds between two looks at a job that is waited for.
_LOOK_S = 0.2

Progress = Callable[[int, int, object], None]


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
    with measuring(name) as progress:
        found = table.function(job)(asked.arguments, settings, progress or _nothing)
    if found.reason is not None:
        raise KarlError(found.reason)
    return found.result


def _has_workers(settings: Settings, queue: str) -> bool:
    from karl.jobs.connection import asking  # noqa: PLC0415 - Redis loads when it is asked
    from karl.jobs.listing import facts  # noqa: PLC0415

    with asking(_url(settings), "karl-ask-jobs") as redis:
        return any(one.workers or one.called for one in facts(redis) if one.queue == queue)


def _by_worker(settings: Settings, asked: Asked) -> Any:
    from karl.jobs import asking, listing  # noqa: PLC0415 - RQ loads when a job is asked for
    from karl.jobs.connection import asking as connected  # noqa: PLC0415

    with connected(_url(settings), "karl-ask-jobs") as redis, measuring(asked.job.name) as progress:
        made = asking.enqueue(redis, asked)
        if not progress:
            click.echo(f"karl: the job {made.id} waits in the queue {asked.job.queue}", err=True)
        while True:
            told, given = listing.one(redis, made.id)
            if told.status == "finished":
                return given.result
            if told.status in _ENDED:
                raise KarlError(given.failure or f"the job {made.id} was {told.status}")
            if progress and (far := _far(told)):
                progress(*far)
            time.sleep(_LOOK_S)


def _far(told: Told) -> tuple[int, int, str] | None:
    far, total = told.meta.get("done"), told.meta.get("total")
    if isinstance(far, int) and isinstance(total, int):
        return far, total, str(told.meta.get("where", ""))
    return None


def _url(settings: Settings) -> str:
    from karl.stream.server import line_url  # noqa: PLC0415

    return settings.rq_url or line_url(settings.redis_url, settings.data_dir)


def _nothing(_done: int, _total: int, _where: object) -> None:
    pass

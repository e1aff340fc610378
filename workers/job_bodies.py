"""What the jobs of karl/jobs/table.py do. Each is called with its arguments, in a process of its own.

Invariants:
- None writes the ledger: what is found goes back on the stream, or is the job's result.
- Each may be broken off at any moment and run again, or even run twice at one time.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import time

import msgspec

import karl
from karl.errors import Refused
from karl.jobs import table
from karl.jobs.table import Outcome, Progress
from karl.settings import Settings

#: Findings whose text stands in a failure's reason; the report has all.
_NAMED = 5
#: Seconds between two steps of a probe that holds its worker.
_STEP_S = 0.1
#: Packages that jobs of other queues need; a probe says which are there.
_WANTED = ("mlx", "mlx_lm", "torch", "numpy")


def verify(arguments: table.Arguments, settings: Settings, progress: Progress) -> Outcome:
    """Check the ledger of this node; damage fails the job, the report is kept."""
    from karl.ledger.segments import list_segments  # noqa: PLC0415 - what one job needs, the others do not load
    from karl.ledger.verify import verify as check  # noqa: PLC0415

    del arguments
    if not list_segments(settings.ledger):
        raise Refused(
            f"there is no ledger in {settings.ledger} on {settings.node}; run the worker where it is"
        )
    report = check(settings.ledger, progress=lambda done, size: progress(done, size, "bytes"))
    told = {
        "ok": report.ok,
        "node": settings.node,
        "ledger": str(settings.ledger),
        **msgspec.to_builtins(report),
    }
    if report.ok:
        return Outcome(told)
    damages = [found for found in report.findings if found.severity == "damage"]
    named = "; ".join(f"{found.segment} at byte {found.offset}: {found.reason}" for found in damages[:_NAMED])
    return Outcome(told, f"the ledger is damaged in {report.damages} places: {named}")


def backfill(arguments: table.Backfill, settings: Settings, progress: Progress) -> Outcome:
    """Score anew, as `karl backfill` does; damaged records fail the job when all else is done."""
    from karl.views.queries import Filter  # noqa: PLC0415
    from workers.backfill import backfill as score  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    which = Filter(agent=arguments.agent, project=arguments.project, since_ms=arguments.since_ms)
    with on_line(settings, "karl-backfill") as redis:
        report = score(redis, settings, which, progress, force=arguments.force)
    damaged = f"{report.damaged} trajectories have damaged records: `karl verify` says where"
    return Outcome(msgspec.to_builtins(report), damaged if report.damaged else None)


def probe(arguments: table.Probe, settings: Settings, progress: Progress) -> Outcome:
    """Say who works here and with what, after holding the worker for as long as was asked."""
    until = time.monotonic() + arguments.seconds
    while (left := until - time.monotonic()) > 0:
        progress(int(arguments.seconds - left), int(arguments.seconds), "seconds")
        time.sleep(min(_STEP_S, left))
    return Outcome(
        {
            "node": settings.node,
            "pid": os.getpid(),
            "karl": karl.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "packages": [name for name in _WANTED if importlib.util.find_spec(name)],
        }
    )

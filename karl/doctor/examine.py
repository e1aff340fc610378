"""The visit as a whole: every link looked at, what is safe mended, one turn sent through, the hook timed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from karl.doctor import hooks, jobs, latency, ledger, machine, replica, routing, spool, streams, views
from karl.doctor import probe as trip
from karl.doctor import server as redis
from karl.doctor.check import HERE, TROUBLE, Check, Machine, looked
from karl.doctor.latency import Latency
from karl.doctor.probe import Probe
from karl.doctor.server import Asked

#: Called with what is looked at now, and with the number of checks so far.
Progress = Callable[[object, int], None]

#: Checks whose failure says that a stop of the line is cut, and that waiting for it is in vain.
_CUTS = {
    ("hook", "recording"): "hook",
    ("spool", "folder"): "hook",
    ("spool", "full"): "hook",
    ("shipper", "process"): "ship",
    ("redis", "server"): "ship",
    ("redis", "rights"): "ship",
    ("sessions", "workers"): "session",
    ("ledger", "writer"): "ledger",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What the visit found. `probe` and `hook` are null when they were not asked for or not possible.

    Of a `strict` one nothing may be unknown either.
    """

    checks: list[Check]
    probe: Probe | None = None
    hook: Latency | None = None
    strict: bool = False

    @property
    def ok(self) -> bool:
        """Say whether nothing fails."""
        wrong = {"fail", "unknown"} if self.strict else {"fail"}
        return all(check.verdict not in wrong for check in self.checks)

    def told(self) -> dict[str, Any]:
        """Give the report as one JSON document."""
        return {
            "ok": self.ok,
            "checks": [check.told() for check in self.checks],
            "probe": self.probe.told() if self.probe else None,
            "hook": self.hook.told() if self.hook else None,
        }


def examine_links(at: Machine, links: Collection[str], *, here: bool = False) -> Report:
    """Look at some links only: quick, strict, with nothing mended, sent or timed. Raises nothing either.

    With `here` the workers that are asked for must be of this node.
    """
    with redis.asked(at) as line:
        checks = [check for check in _links(at, line, links) if check.link in links]
        workers = ((streams.SESSIONS, streams.here), (ledger.LINK, ledger.here), (jobs.LINK, jobs.here))
        for link, look in workers:
            if here and link in links:
                checks += looked(link, HERE, partial(look, at, line))
        return Report(sorted(checks, key=_place), strict=True)


def examine(
    at: Machine, settings: Check, *, fix: bool, probe: bool, timeout_s: float, progress: Progress
) -> Report:
    """Look at every link. `settings` is the check of the settings that `at` holds.

    With `fix` what is safe to mend is mended, and looked at again. Raises nothing for a line that is cut.
    """
    checks = [settings]
    with ExitStack() as stack:
        line = stack.enter_context(redis.asked(at))
        _add(checks, _links(at, line), progress)
        done = {(check.link, check.name): _mended(check) for check in checks if fix and _wanted(check)}
        if done:
            checks = [settings]
            line = stack.enter_context(redis.asked(at))
            _add(checks, _links(at, line), progress)
        checks = [*_with(checks, done)]
        progress("hook latency", len(checks))
        timed = _measured(at, checks)
        progress("round trip", len(checks))
        sent = _sent(at, line, checks, timeout_s) if probe else None
    return Report(sorted(checks, key=_place), sent, timed)


def _links(at: Machine, line: Asked, links: Collection[str] = ()) -> Iterator[Check]:
    """Look at these links, or at all; some are looked at together with their neighbour."""
    looks: list[tuple[str, str, Callable[[], Iterable[Check]]]] = [
        *((machine.LINK, _name(look), partial(look, at)) for look in machine.CHECKS),
        *((hooks.LINK, _name(look), partial(look, at)) for look in hooks.CHECKS),
        (spool.SPOOL, "folder", lambda: spool.folder(at)),
        (spool.SPOOL, "events waiting", lambda: spool.waiting(at)),
        (spool.SHIPPER, "process", lambda: spool.shipper(at, line.facts)),
        (redis.LINK, "server", lambda: redis.check(at, line)),
        (streams.STREAM, "events", lambda: streams.check(at, line)),
        (ledger.LINK, "folder", lambda: ledger.check(at, line)),
        (replica.LINK, "copy", lambda: replica.check(at, line)),
        (views.LINK, "file", lambda: views.check(at)),
        (jobs.LINK, "queues", lambda: jobs.check(at, line)),
        (routing.LINK, "published", lambda: routing.check(at, line)),
    ]
    for link, name, look in looks:
        beside = streams.SESSIONS if link == streams.STREAM else link
        if not links or link in links or beside in links:
            yield from looked(link, name, look)


def _name(look: Callable[..., object]) -> str:
    return look.__name__.strip("_").replace("_", " ")


def _add(checks: list[Check], more: Iterable[Check], progress: Progress) -> None:
    for check in more:
        checks.append(check)
        progress(check.link, len(checks))


def _wanted(check: Check) -> bool:
    return check.mend is not None and check.verdict in {"warn", "fail"}


def _mended(check: Check) -> str:
    """Mend one thing; gives what was done, or why it was not."""
    assert check.mend is not None
    try:
        return check.mend()
    except TROUBLE as error:
        return f"could not be mended: {error}"


def _with(checks: Sequence[Check], done: dict[tuple[str, str], str]) -> Iterator[Check]:
    """Put what was done beside what is seen now; what is not seen any more is well."""
    left = dict(done)
    for check in checks:
        yield replace(check, fixed=left.pop((check.link, check.name), None))
    for (link, name), text in left.items():
        yield Check(link, name, "ok", "nothing is wrong any more", fixed=text)


def _measured(at: Machine, checks: list[Check]) -> Latency | None:
    try:
        timed = latency.measure(at)
    except TROUBLE as error:
        checks.append(Check(latency.LINK, "latency", "unknown", f"could not be measured: {error}"))
        return None
    checks.append(timed.check())
    return timed


def _sent(at: Machine, line: Asked, checks: list[Check], timeout_s: float) -> Probe | None:
    dead: dict[str, str] = {}
    if any((check.link, check.name, check.verdict) == (spool.SPOOL, "folder", "unknown") for check in checks):
        checks.append(Check(trip.LINK, "event", "unknown", "no spool here to send one through"))
        return None
    for check in checks:
        if check.verdict == "fail" and (stop := _CUTS.get((check.link, check.name))):
            dead.setdefault(stop, check.seen)
    try:
        sent = trip.probe(at, line, dead, timeout_s)
    except TROUBLE as error:
        checks.append(Check(trip.LINK, "event", "fail", f"it could not be sent: {error}"))
        return None
    checks.append(sent.check())
    return sent


#: The links in the order of the line, but for the probe the ones that can be looked at by themselves.
ORDER = (
    machine.LINK, hooks.LINK, spool.SPOOL, spool.SHIPPER, redis.LINK, streams.STREAM, streams.SESSIONS,
    ledger.LINK, replica.LINK, views.LINK, jobs.LINK, routing.LINK, trip.LINK,
)  # fmt: skip


def _place(check: Check) -> int:
    return ORDER.index(check.link)

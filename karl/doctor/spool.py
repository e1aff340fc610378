"""The spool and its shipper: what waits on this machine, and whether somebody takes it away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import karl
from karl.counted import many
from karl.doctor.check import Check, Machine, held, size, span
from karl.doctor.hooks import installed_line
from karl.doctor.machine import private
from producers.ship import ROOM_AGAIN
from producers.spool import LOCK, Spool

if TYPE_CHECKING:
    from karl.stream.facts import Facts

SPOOL, SHIPPER = "spool", "shipper"

#: Seconds that the oldest event may wait before it is worth a word.
WAIT_S = 30.0
#: Seconds within which a shipper says something of itself (producers.ship.REPORT_MAX_S), with a margin.
REPORT_S = 150.0
#: Seconds by which a file may lie in the future before its clock is doubted.
FUTURE_S = 60.0
_SHIP = "`karl up`, or `karl ship`"


def folder(machine: Machine) -> Iterator[Check]:
    """Look at the folder that the hook writes to."""
    path = machine.settings.spool

    def make() -> str:
        Spool(path).prepare()
        return f"made {path}"

    if not os.path.lexists(path) and machine.settings.redis_url and not installed_line(machine, "Stop"):
        yield Check(SPOOL, "folder", "unknown", "there is none here, and no hook that would need one")
        return
    if not os.path.lexists(path):
        seen = f"there is no {path}: the hook can not leave anything"
        yield Check(SPOOL, "folder", "fail", seen, "`karl hooks install`, or `karl up`", mend=make)
        return
    yield private(SPOOL, "folder", path) or Check(SPOOL, "folder", "ok", f"{path}, mode 0700")


def waiting(machine: Machine) -> Iterator[Check]:
    """Look at what waits, at the bound, and at what does not belong here."""
    spool = Spool(machine.settings.spool)
    if not spool.folder.is_dir():
        return
    now = machine.now_ns()
    depth = spool.depth()
    bound = machine.settings.spool_max_mb << 20
    age = depth.oldest_age_s(now)
    text = f"{many(depth.files, 'event')}, {size(depth.bytes)} of {size(bound)}"
    if depth.files:
        text += f", the oldest for {span(age)}"
    near = depth.bytes > 0.8 * bound
    late = age > WAIT_S
    hint = f"{_SHIP}; above the bound the hook stops accepting events" if near or late else ""
    yield Check(SPOOL, "events waiting", "warn" if near or late else "ok", text, hint)
    if spool.is_full():
        yield _full(spool, depth.bytes, bound)
    if depth.oldest_ns is not None and depth.oldest_ns - now > FUTURE_S * 1e9:
        ahead = span((depth.oldest_ns - now) / 1e9)
        seen = f"all waiting events are from the future, by {ahead} and more"
        yield Check(SPOOL, "clock", "warn", seen, "set this machine's clock right")
    spool.scan(1)
    if strangers := spool.strangers():
        seen = f"{many(len(strangers), 'file')} that are no events: {', '.join(strangers[:3])}"
        yield Check(SPOOL, "strangers", "warn", seen, f"move them out of {spool.folder}")


def _full(spool: Spool, waiting_bytes: int, bound: int) -> Check:
    def clear() -> str:
        spool.clear_full()
        return "removed the flag `full`: the hook takes events again"

    if waiting_bytes < ROOM_AGAIN * bound:
        seen = "the hook takes no events: the flag `full` is set, and the spool is not full any more"
        return Check(
            SPOOL, "full", "fail", seen, "`karl up` clears it, and so does `karl doctor --fix`", mend=clear
        )
    seen = "the hook takes no events: the spool is over its bound, and EVENTS ARE BEING LOST"
    return Check(SPOOL, "full", "fail", seen, f"{_SHIP}; or raise KARL_SPOOL_MAX_MB")


def shipper(machine: Machine, facts: Facts | None) -> Iterator[Check]:
    """Look at the shipper: whether it lives, and what it said last."""
    path = machine.settings.spool
    alive = held(path / LOCK)
    report = facts.nodes.get(machine.settings.node) if facts else None
    if not alive:
        if not path.is_dir() and machine.settings.redis_url:
            yield Check(SHIPPER, "process", "unknown", "there is no spool here, so nothing to ship")
            return
        yield Check(SHIPPER, "process", "fail", f"nobody empties {path}: events stay in it", _SHIP)
    else:
        yield Check(SHIPPER, "process", "ok", f"holds {path}")
    if facts is None:
        yield Check(SHIPPER, "last report", "unknown", "Redis can not be asked")
    elif alive:
        yield _reported(machine, report)
    if facts is not None:
        yield from _others(machine, facts)


def _reported(machine: Machine, report: Any) -> Check:
    time_ms = report.get("time_ms") if isinstance(report, dict) else None
    if not isinstance(time_ms, int):
        seen = f"the shipper of {machine.settings.node} has said nothing to this Redis"
        hint = "has it another KARL_REDIS_URL, KARL_NODE or KARL_DATA_DIR? Start it anew with these settings"
        return Check(SHIPPER, "last report", "warn", seen, hint)
    age = machine.now_ns() / 1e9 - time_ms / 1000
    text = f"{span(max(0.0, age))} ago: {many(report.get('shipped', 0), 'event')} shipped since its start"
    if age > REPORT_S:
        return Check(
            SHIPPER, "last report", "warn", text, f"it may hang: end it, and start it again with {_SHIP}"
        )
    if report.get("version") != karl.__version__:
        seen = f"{text}, by version {report.get('version')}; this is {karl.__version__}"
        return Check(SHIPPER, "last report", "warn", seen, "start it again, so that it runs this version")
    return Check(SHIPPER, "last report", "ok", text)


def _others(machine: Machine, facts: Facts) -> Iterator[Check]:
    """Name the nodes that run another version."""
    others = {
        name: one
        for name, one in facts.nodes.items()
        if name != machine.settings.node and isinstance(one, dict)
    }
    skewed = sorted(name for name, one in others.items() if one.get("version") != karl.__version__)
    if skewed:
        seen = f"{many(len(skewed), 'node')} run another version: {', '.join(skewed[:5])}"
        yield Check(SHIPPER, "other nodes", "warn", seen, f"install karl-ledger {karl.__version__} there")
    elif others:
        yield Check(SHIPPER, "other nodes", "ok", f"{many(len(others), 'node')}, of this version")

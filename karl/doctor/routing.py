"""Routing: whether Redis tells what the ledger has decided, and whether prompts are predicted."""

from __future__ import annotations

from collections.abc import Iterator

from karl.counted import many
from karl.doctor.check import TROUBLE, Check, Machine
from karl.doctor.server import Asked
from karl.stream.routing import is_on, missing, read, waiting
from karl.views.filter import Filter
from karl.views.routing import Routed
from workers.put_back import put_back, recorded
from workers.routers import kept

LINK = "routing"

#: Prompts that wait above which somebody should work on them, and predictions that are looked at.
WAITING_MAX, LOOKED_AT = 500, 50
_HOUR_MS = 3_600_000


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at what routes. A line that never heard of a skill is well."""
    redis, settings = line.redis, machine.settings
    if redis is None:
        yield Check(LINK, "published", "unknown", "Redis can not be asked")
        return
    try:
        catalogue, policy = recorded(settings)
    except TROUBLE:  # what is wrong with the views is said by their own check
        yield Check(LINK, "published", "unknown", "the views can not be asked what the ledger has decided")
        return
    known = {
        "policy": bool(policy.id),
        "router": bool(policy.router),
        "catalogue": bool(catalogue.skills or catalogue.rules),
    }
    lost = [name for name in missing(redis) if known[name]]
    published = read(redis)
    if lost:
        hint = "`karl up` puts it back by itself within a minute; or `karl doctor --fix`, `karl routing on`"
        seen = f"Redis has lost the {' and the '.join(lost)} that the ledger tells of"
        yield Check(LINK, "published", "fail", seen, hint, mend=lambda: _put_back(machine, line))
        return
    if published is None:
        yield Check(LINK, "published", "ok", "off: nothing routes" if policy.id else "off: no skill is known")
        return
    if settings.views.exists() and policy.id and published.policy.id != policy.id:
        seen = (
            f"Redis tells of the decision {published.policy.id[:12] or '-'}, the ledger of {policy.id[:12]}"
        )
        yield Check(LINK, "published", "warn", seen, "`karl auto-promote` publishes the ledger's")
    else:
        router = published.router[:12] or "no router"
        skills = many(len(published.catalogue.skills), "skill")
        yield Check(LINK, "published", "ok", f"{published.policy.mode}, {skills}, {router}")
    if is_on(redis):
        yield _waiting(waiting(redis))
        yield from _predicted(machine)


def _put_back(machine: Machine, line: Asked) -> str:
    assert line.redis is not None
    done = put_back(line.redis, machine.settings)
    router = recorded(machine.settings)[1].router
    gone = " (the router is not on this machine: `karl centroid-rollback` makes it again)"
    lacks = bool(router) and "router" not in done and kept(machine.settings, router) is None
    return f"published anew: {', '.join(done) or 'nothing'}{gone if lacks else ''}"


def _waiting(count: int) -> Check:
    if count <= WAITING_MAX:
        return Check(LINK, "prompts waiting", "ok", many(count, "prompt"))
    seen = f"{many(count, 'prompt')} wait for a prediction; the oldest leave at 10,000"
    return Check(LINK, "prompts waiting", "warn", seen, "`karl worker jobs route`")


def _predicted(machine: Machine) -> Iterator[Check]:
    """Look whether the router has a part in the last hour's predictions."""
    if not machine.settings.views.exists():
        return
    with Routed(machine.settings.views) as views:
        if not views.policy().router:
            return
        since = machine.now_ns() // 1_000_000 - _HOUR_MS
        rows = list(views.shadows(Filter(since_ms=since)))[-LOOKED_AT:]
    alone = sum(not row.router for row in rows)
    if not alone:
        yield Check(LINK, "predictions", "ok", f"{many(len(rows), 'prompt')} lately, with the router")
        return
    seen = f"{alone} of the last {many(len(rows), 'prediction')} were made by rules alone"
    yield Check(
        LINK, "predictions", "warn", seen, "the log of `karl worker jobs route` says why: no encoder?"
    )

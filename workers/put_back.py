"""What routes, put back into a Redis that lost it: from the views, and from this machine's routers.

Invariants:
- Of policy and router only what Redis has nothing of is put back, and the router of the decision that is
  published; what somebody published stays as it is.
- Skills and rules are those of the views: a machine without views can not know that a place has lost some.
- While somebody decides about routing nothing is put back: who decides publishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from karl.errors import Unreadable
from karl.routing.policy import Catalogue, Policy
from karl.stream import keys
from karl.stream.routing import missing, publish_catalogue, publish_policy, publish_router, read, rules_of
from workers.routers import kept

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings


def recorded(settings: Settings) -> tuple[Catalogue, Policy]:
    """Give the skills and the policy that the views know; empty ones without views here.

    Raises what opening views raises, but for NotFound, and Unreadable for damaged ones.
    """
    import sqlite3  # noqa: PLC0415 - where somebody asks

    from karl.views.routing import Routed  # noqa: PLC0415 - so does this

    if not settings.views.exists():
        return Catalogue(), Policy()
    try:
        with Routed(settings.views) as views:
            return views.catalogue(), views.policy()
    except (sqlite3.Error, LookupError, msgspec.MsgspecError) as error:
        raise Unreadable(f"the views are damaged: {error}; `karl rebuild` makes them anew") from error


def put_back(redis: Redis, settings: Settings) -> list[str]:
    """Put back what is missing and known here, and the skills where others are published; names it.

    Raises the client's error, KarlError where the views or the router can not be read, OSError.
    """
    if redis.get(keys.ROUTING_CLAIM) is not None:
        return []
    lost = missing(redis)
    catalogue, policy = recorded(settings)
    done = []
    if "policy" in lost and policy.id:
        publish_policy(redis, policy)  # first: it may say that routing is off
        done.append("policy")
    wants_router = "router" in lost or _is_behind(redis, policy)
    if wants_router and (data := kept(settings, policy.router) if policy.router else None):
        publish_router(redis, data)
        done.append("router")
    if (catalogue.skills or catalogue.rules) and rules_of(redis) != catalogue.digest:
        publish_catalogue(redis, catalogue)
        done.append("catalogue")
    return done


def _is_behind(redis: Redis, policy: Policy) -> bool:
    """Say whether a decision is published and its router is not: who decided was killed in between."""
    try:
        published = read(redis)
    except Unreadable:
        return False  # of another version of KARL: whoever published it knows
    return published is not None and published.policy == policy and published.router != policy.router

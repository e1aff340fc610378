"""What routes, put back into a Redis that lost it: from the views, and from this machine's routers.

Invariants:
- Of policy and router only what Redis has nothing of is put back; what somebody published stays as it is.
- Skills and rules are those of the views: a machine without views can not know that a place has lost some.
- While somebody decides about routing nothing is put back: who decides publishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from karl.routing.policy import Catalogue, Policy
from karl.stream import keys
from karl.stream.connect import command
from karl.stream.routing import publish_catalogue, publish_policy, publish_router
from workers.routers import kept

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: The fields of karl:routing that the ledger can give again.
FIELDS = ("policy", "router", "catalogue")


def missing(redis: Redis) -> list[str]:
    """Name what Redis has nothing of. Raises the client's error."""
    found = command(redis, "HMGET", keys.ROUTING, *FIELDS)
    return [name for name, value in zip(FIELDS, found, strict=True) if value is None]


def recorded(settings: Settings) -> tuple[Catalogue, Policy]:
    """Give the skills and the policy that the views know; empty ones without views here.

    Raises what opening views raises, but for NotFound.
    """
    from karl.views.routing import Routed  # noqa: PLC0415 - for a Redis that lost something alone

    if not settings.views.exists():
        return Catalogue(), Policy()
    with Routed(settings.views) as views:
        return views.catalogue(), views.policy()


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
    if "router" in lost and (data := kept(settings, policy.router) if policy.router else None):
        publish_router(redis, data)
        done.append("router")
    if (catalogue.skills or catalogue.rules) and _rules(redis) != catalogue.digest:
        publish_catalogue(redis, catalogue)
        done.append("catalogue")
    return done


def _rules(redis: Redis) -> str:
    """Give the digest of the catalogue that is published."""
    return (command(redis, "HGET", keys.ROUTING, "rules") or b"").decode("utf-8", "replace")

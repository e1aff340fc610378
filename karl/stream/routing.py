"""What routes, in Redis: the policy, the catalogue and the router, for whoever routes on any machine.

    a scan, a training, a decision -- published --> karl:routing -- read --> the job `route`, live routing

Invariants:
- The ledger is the truth and this a copy, which whoever changes something publishes once the record was sent,
  and which can be published again from the views.
- The router's bytes are there before anybody reads its id, and never expire while it is the one.
- Without the key, or with the field `off`, routing is off, and nobody does anything for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from karl.errors import Unreadable
from karl.routing.policy import Catalogue, Policy
from karl.stream import keys, parcels
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis

_POLICY, _CATALOGUE, _RULES, _ROUTER = "policy", "catalogue", "rules", "router"
_OFF = "off"

#: What says whether routing is on.
_SAYS = (_POLICY, _ROUTER, _RULES, _OFF)

#: What of it the ledger can give again.
_RECORDED = (_POLICY, _ROUTER, _CATALOGUE)

T = TypeVar("T")


class Published(NamedTuple):
    """What routes now. `router` is its id, empty for none; `rules` is the catalogue's digest."""

    policy: Policy
    catalogue: Catalogue
    router: str = ""
    rules: str = ""


def is_on(redis: Redis) -> bool:
    """Say whether anything was published, and not switched off, so that prompts are to be routed.

    Raises the client's error.
    """
    return _is_on(command(redis, "HMGET", keys.ROUTING, *_SAYS))


def read(redis: Redis, known: Published | None = None) -> Published | None:
    """Give what routes; null where routing is off. One round trip where the catalogue is the `known` one.

    Raises Unreadable for what another version has published, and the client's error.
    """
    found = command(redis, "HMGET", keys.ROUTING, *_SAYS)
    if not _is_on(found):
        return None
    policy, router, rules, _ = found
    digest = (rules or b"").decode("utf-8", "replace")
    if known is not None and known.rules == digest:
        catalogue = known.catalogue
    else:
        data = command(redis, "HGET", keys.ROUTING, _CATALOGUE) if rules is not None else None
        catalogue = _decoded(_CATALOGUE, data, Catalogue) if data is not None else Catalogue()
    return Published(
        _decoded(_POLICY, policy, Policy) if policy is not None else Policy(),
        catalogue,
        (router or b"").decode("utf-8", "replace"),
        digest,
    )


def publish_policy(redis: Redis, policy: Policy) -> None:
    """Have all who route follow a policy, or none where it says so. Raises the client's error."""
    pipe = redis.pipeline()
    pipe.hset(keys.ROUTING, _POLICY, msgspec.json.encode(policy))
    if policy.mode == "off":
        pipe.hset(keys.ROUTING, _OFF, 1)
    else:
        pipe.hdel(keys.ROUTING, _OFF)
    pipe.execute()


def publish_catalogue(redis: Redis, catalogue: Catalogue) -> None:
    """Have all who route know these skills and rules. Raises the client's error."""
    fields: dict[Any, Any] = {_CATALOGUE: msgspec.json.encode(catalogue), _RULES: catalogue.digest}
    redis.hset(keys.ROUTING, mapping=fields)


def publish_router(redis: Redis, data: bytes) -> str:
    """Have all who route use a router of these bytes; gives its id. The one before it expires in a while.

    Raises Refused when they are too many, and the client's error.
    """
    before = command(redis, "HGET", keys.ROUTING, _ROUTER)
    router = parcels.put(redis, data, ttl_s=None)
    redis.hset(keys.ROUTING, _ROUTER, router)
    if before and before != router.encode():
        parcels.let_go(redis, before.decode("utf-8", "replace"), parcels.USUAL_TTL_S)
    return router


def missing(redis: Redis) -> list[str]:
    """Name what is not published: `policy`, `router`, `catalogue`. Raises the client's error."""
    found = command(redis, "HMGET", keys.ROUTING, *_RECORDED)
    return [name for name, value in zip(_RECORDED, found, strict=True) if value is None]


def rules_of(redis: Redis) -> str:
    """Give the digest of the catalogue that is published, empty for none. Raises the client's error."""
    return (command(redis, "HGET", keys.ROUTING, _RULES) or b"").decode("utf-8", "replace")


def router_bytes(redis: Redis, router: str) -> bytes:
    """Give the bytes of a router that was published. Raises NotFound, Unreadable, the client's error."""
    return parcels.get(redis, router)


def waiting(redis: Redis) -> int:
    """Count the prompts that wait for a prediction; 0 where routing is off. Raises the client's error."""
    pipe = redis.pipeline(transaction=False)
    pipe.hmget(keys.ROUTING, _SAYS)
    pipe.xlen(keys.PROMPTS)
    found, prompts = pipe.execute()
    return int(prompts) if _is_on(found) else 0


def _is_on(found: list[bytes | None]) -> bool:
    *there, off = found
    return off is None and any(field is not None for field in there)


def _decoded(what: str, data: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(
            f"the {what} that routes was published by another version of KARL ({error}); publish it anew"
        ) from error

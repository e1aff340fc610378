"""Decisions about routing, one at a time: to the ledger as records, then to whoever routes.

    claim -> what the views hold -> still the policy it was decided upon? -> record -> publish -> let go

Invariants:
- A decision counts for the policy that it was made upon alone: where another one came between, it is refused.
- The ledger is the truth: killed after the record and before it was published, the next decision, or `heal`,
  publishes it; killed before, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from karl.errors import Refused
from karl.routing.policy import Policy
from karl.schema.event import event_id
from karl.schema.routing import RoutingAction, RoutingBody
from karl.stream import keys
from karl.stream.routing import publish_policy, read
from karl.views.routing import Routed
from workers.deciding import claimed, still_ours
from workers.records import ROUTING, Outgoing, send, settled

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided, and the policy from then on, whose id is not known yet."""

    action: RoutingAction
    policy: Policy
    reason: str = ""
    person: str = ""
    forced: bool = False
    measured: dict[str, float] = {}
    checks: dict[str, bool] = {}


def change(
    redis: Redis,
    settings: Settings,
    decision: Decision,
    *,
    upon: str,
    now_ms: int,
    wait: Callable[[float], None],
) -> RoutingBody:
    """Make a decision that was made upon a policy, by its id, count.

    Raises Refused where somebody else decides just now or has decided meanwhile, or the line does not move,
    and LineDown.
    """
    body = body_of(decision, upon, settings.node, now_ms)
    with claimed(redis, keys.ROUTING_CLAIM, body.id, "about routing"):
        settled(redis, settings, wait)
        with Routed(settings.views) as views:
            now = views.policy()
        if now.id != upon:
            raise Refused(
                f"routing was changed meanwhile (decision {now.id[:12]}, {now.mode}); "
                "look at it and say it again"
            )
        still_ours(redis, keys.ROUTING_CLAIM, body.id)
        send(redis, [Outgoing("routing", ROUTING, body)], wait)
        publish_policy(redis, policy_of(body))
    return body


def heal(redis: Redis, settings: Settings, wait: Callable[[float], None]) -> Policy:
    """Give the policy that the ledger has, once all that is on its way is there; publish it where it is not.

    Raises Refused where the line does not move, and LineDown.
    """
    settled(redis, settings, wait)
    with Routed(settings.views) as views:
        policy = views.policy()
    published = read(redis)
    stale = policy.id and (published is None or published.policy != policy)
    # Whoever decides just now publishes what comes after what is known here.
    if stale and redis.get(keys.ROUTING_CLAIM) is None:
        publish_policy(redis, policy)
    return policy


def body_of(decision: Decision, upon: str, node: str, now_ms: int) -> RoutingBody:
    """Give the record of a decision."""
    policy = decision.policy
    return RoutingBody(
        id=event_id("routing", upon, decision.action, decision.person, node, str(now_ms)),
        action=decision.action,
        mode=policy.mode,
        router=policy.router,
        person=decision.person,
        node=node,
        time_ms=now_ms,
        overrides=policy.overrides,
        ready=policy.ready,
        share=policy.share,
        since_ms=policy.since_ms,
        reason=decision.reason,
        forced=decision.forced,
        measured=decision.measured,
        checks=decision.checks,
    )


def policy_of(body: RoutingBody) -> Policy:
    """Give the policy that a record decides."""
    return Policy(body.mode, body.router, body.overrides, body.ready, body.share, body.since_ms, body.id)

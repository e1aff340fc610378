"""Routing switched off and on, and published again where Redis has lost what routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from karl.errors import NotFound
from karl.stream.routing import publish_catalogue, publish_router
from karl.views.routing import Routed
from workers import routers
from workers.policy import Decision, change, heal, policy_of

if TYPE_CHECKING:
    from karl.routing.policy import Policy
    from workers.doors import Doors


class Switched(msgspec.Struct, frozen=True):
    """The policy from now on; `changed`: it was another. `problem` says what can not be published."""

    policy: Policy
    changed: bool
    skills: int = 0
    problem: str = ""


def switch_off(doors: Doors, person: str, reason: str) -> Switched:
    """Have no prompt predicted, and no agent told, until it is switched on again.

    Raises Refused and LineDown as `workers.policy.change` does.
    """
    return _switched(doors, "off", person, reason)


def switch_on(doors: Doors, person: str, reason: str) -> Switched:
    """Have prompts predicted, in shadow where they were not; publish what the ledger knows of routing.

    Raises Refused and LineDown as `workers.policy.change` does.
    """
    done = _switched(doors, "on", person, reason)
    with Routed(doors.settings.views) as views:
        catalogue = views.catalogue()
    publish_catalogue(doors.redis, catalogue)
    problem = ""
    if router := done.policy.router:
        try:
            publish_router(doors.redis, routers.data_of(doors.settings, doors.redis, router))
        except NotFound as error:
            problem = str(error)
    return msgspec.structs.replace(done, skills=len(catalogue.skills), problem=problem)


def _switched(doors: Doors, to: Literal["off", "on"], person: str, reason: str) -> Switched:
    policy = heal(doors.redis, doors.settings, doors.wait)
    if (policy.mode == "off") == (to == "off"):
        return Switched(policy, changed=False)
    # What was earned before is looked at anew: live again it goes by a promotion alone.
    after = msgspec.structs.replace(
        policy, mode="off" if to == "off" else "shadow", ready=(), since_ms=doors.now_ms()
    )
    decision = Decision(action=to, policy=after, reason=reason, person=person)
    body = change(
        doors.redis, doors.settings, decision, upon=policy.id, now_ms=doors.now_ms(), wait=doors.wait
    )
    return Switched(policy_of(body), changed=True)

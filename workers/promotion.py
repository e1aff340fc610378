"""Promotion: routing goes live when it has earned it, and back to shadow when it does harm.

Every decision is a record (`workers.policy`). What is judged is read from the views at one moment.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from karl.errors import LineDown, NotFound, Refused
from karl.jobs.table import Arguments, Outcome, Progress
from karl.routing.checks import Bar
from karl.routing.experiment import Experiment, Suggested, compare
from karl.routing.policy import Policy
from karl.routing.promotion import Judgement, Mixture, judge, mixture, ways
from karl.schema.routing import RouterBody, RoutingAction, RoutingBody, Way
from karl.stream.judged import Judged, publish_judged
from karl.views.filter import Filter
from karl.views.routing import Routed, body_at
from karl.views.routing_rows import RoutingRow
from workers.doors import Doors
from workers.evidence import Gathered, gather
from workers.line import on_line
from workers.policy import Decision, change, heal

if TYPE_CHECKING:
    from karl.settings import Settings

#: Who decides where nobody did.
AUTOMATIC = "auto-promote"
_IS_OFF = "routing is off; `karl routing on` has prompts predicted again"
#: Decisions that are looked back at.
_BACK = 10_000


class Report(msgspec.Struct, frozen=True):
    """Where routing stands. `since_ms` is when evidence begins: once routing stopped being live last.

    `forced` says that checks were passed over when it went live; `experiment` is there while it is.
    `taken_back` names who took it back last, empty where nobody did since.
    """

    policy: Policy
    forced: bool
    since_ms: int
    judgement: Judgement
    left_out: dict[str, int]
    experiment: Experiment | None
    taken_back: str = ""


class Done(msgspec.Struct, frozen=True):
    """What was decided, if anything, and why or why not."""

    action: RoutingAction | Literal["none"]
    says: str
    report: Report
    decision: RoutingBody | None = None


class Simulated(msgspec.Struct, frozen=True):
    """What would be, were it promoted now, and how well that does on sessions that did not choose it."""

    report: Report
    ways: dict[str, Way]
    mixture: Mixture


def bar_of(settings: Settings) -> Bar:
    """Give what has to be reached, by the settings."""
    return Bar(records=settings.routing_min_records)


def report_on(views: Routed, settings: Settings) -> Report:
    """Judge the router that is in use, and the experiment where routing is live."""
    return _report(views, settings)[0]


def _report(views: Routed, settings: Settings) -> tuple[Report, Gathered]:
    policy = views.policy()
    back = views.decisions(_BACK)
    demoted = next((row for row in back if row.action == "demote"), None)
    since_ms = _ended_ms(back)
    live = next((row for row in back if row.action in {"promote", "force-promote"}), None)
    found = gather(views, settings.ledger, policy, since_ms)
    report = Report(
        policy,
        bool(live and live.forced and policy.mode == "active"),
        since_ms,
        judge(found.evidence, found.lineage, policy, bar_of(settings)),
        found.left_out,
        experiment_of(views, policy) if policy.mode == "active" else None,
        demoted.person if demoted and policy.mode == "shadow" else "",
    )
    return report, found


def _ended_ms(decisions: Sequence[RoutingRow]) -> int:
    """Give when routing was live last, or taken back last; 0 where it never was. The newest come first.

    While it was live, of sessions that were told only those prompts are without a word of which the router
    knew nothing: whatever ended it, they are no evidence afterwards.
    """
    before = [*(row.mode for row in decisions[1:]), "shadow"]
    ends = (
        row.time_ms
        for row, was in zip(decisions, before, strict=False)
        if row.action == "demote" or (was == "active" and row.mode != "active")
    )
    return next(ends, 0)


def experiment_of(views: Routed, policy: Policy) -> Experiment:
    """Compare sessions that are told with the others, since routing is live."""
    rows = views.suggestions(Filter(since_ms=policy.since_ms))
    return compare((Suggested(row.session, row.told, row.reward, row.corrected) for row in rows), policy)


def simulate(views: Routed, settings: Settings) -> Simulated:
    """Say what a promotion would do by now."""
    report, found = _report(views, settings)
    policy, judged = report.policy, report.judgement
    skills = sorted({one.skill for one in judged.skills} | set(policy.overrides))
    return Simulated(
        report,
        ways(skills, policy, judged.ready),
        mixture(found.evidence, policy, bar_of(settings)),
    )


def promote(doors: Doors, *, person: str, apply: bool) -> Done:
    """Have routing go live when everything is reached; without `apply` only say whether it is."""
    report = _now(doors, apply=apply)
    policy, judged = report.policy, report.judgement
    if policy.mode == "active":
        return Done("none", "routing is live already; `karl ab-monitor` says how it does", report)
    if policy.mode == "off":
        return Done("none", _IS_OFF, report)
    missing = [check.name for check in judged.checks if not check.passed]
    if missing:
        return Done("none", f"not reached: {', '.join(missing)}", report)
    if not apply:
        return Done("none", "everything is reached; --apply has routing go live", report)
    live = _live(doors, policy, judged.ready)
    says = f"it has earned {len(judged.ready)} skills"
    if live.share >= 1:
        says += (
            "; with KARL_ROUTING_SHARE=1 nobody is left to compare with, so nothing takes it back by itself"
        )
    return _decide(doors, report, "promote", live, says, person=person)


def force(doors: Doors, *, person: str, reason: str) -> Done:
    """Have routing go live whatever is reached, with all skills of the router. Raises Refused without one."""
    report = _now(doors, apply=True)
    policy = report.policy
    if policy.mode == "active":
        raise Refused("routing is live already; `karl routing-override SKILL vector` routes another skill")
    if policy.mode == "off":
        raise Refused(_IS_OFF)
    if not policy.router:
        raise Refused("there is no router that could route; `karl bootstrap` trains one")
    with Routed(doors.settings.views) as views:
        row = views.router(policy.router)
    skills = body_at(doors.settings.ledger, row.place, RouterBody).skills
    return _decide(doors, report, "force-promote", _live(doors, policy, skills), reason, person=person)


def automatic(doors: Doors) -> Done:
    """Do what is due: promote, take back, or bring up to date which skills are routed; else nothing."""
    report = _now(doors, apply=True)
    policy, judged = report.policy, report.judgement
    _leave(doors, judged)
    if policy.mode != "active" and report.taken_back not in {"", AUTOMATIC}:
        says = f"{report.taken_back} took it back; `karl promote --apply` is a person's to say"
        return Done("none", says, report)
    if policy.mode != "active":
        return promote(doors, person=AUTOMATIC, apply=True)
    found = report.experiment
    if found is not None and found.finding == "worse":
        return _decide(doors, report, "demote", _shadow(doors, policy), found.says, person=AUTOMATIC)
    if not report.forced and set(judged.ready) != set(policy.ready):
        ready = msgspec.structs.replace(policy, ready=judged.ready)
        return _decide(doors, report, "hybrid", ready, _changed(policy.ready, judged.ready), person=AUTOMATIC)
    return Done("none", found.says if found else "nothing is due", report)


def take_back(doors: Doors, *, person: str, reason: str) -> Done:
    """Have routing go back to shadow. Raises Refused where it is not live."""
    report = _now(doors, apply=True)
    if report.policy.mode != "active":
        raise Refused("routing is not live: there is nothing to take back")
    return _decide(doors, report, "demote", _shadow(doors, report.policy), reason, person=person)


def override(doors: Doors, skill: str, way: Way | None, *, person: str) -> RoutingBody | None:
    """Have a person's word decide which router routes a skill; null takes it back. Null when it was so."""
    policy = heal(doors.redis, doors.settings, doors.wait)
    kept = {name: one for name, one in policy.overrides.items() if name != skill}
    overrides = kept if way is None else {**kept, skill: way}
    if overrides == policy.overrides:
        return None
    if way is not None:
        _known(doors.settings, policy, skill)
    decision = Decision(
        action="override",
        policy=msgspec.structs.replace(policy, overrides=dict(sorted(overrides.items()))),
        reason=f"{skill}: {way or 'as it has earned'}",
        person=person,
    )
    return change(
        doors.redis, doors.settings, decision, upon=policy.id, now_ms=doors.now_ms(), wait=doors.wait
    )


def job(_arguments: Arguments, settings: Settings, progress: Progress) -> Outcome:
    """Do what is due about promotion, as `karl auto-promote`."""
    progress(0, 1, "looking at the evidence")
    with on_line(settings, "karl-promotion") as redis:
        done = automatic(Doors(settings, redis, progress))
    checks = {check.name: check.says for check in done.report.judgement.checks}
    return Outcome({"action": done.action, "says": done.says, "checks": checks})


def _now(doors: Doors, *, apply: bool) -> Report:
    """Report on what the ledger has; before a decision, once all that is on its way is there."""
    if apply:
        heal(doors.redis, doors.settings, doors.wait)
    with Routed(doors.settings.views) as views:
        return report_on(views, doors.settings)


def _leave(doors: Doors, judged: Judgement) -> None:
    """Leave what was found for the figures. Raises LineDown."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    missing = sum(not check.passed for check in judged.checks)
    try:
        publish_judged(doors.redis, Judged(missing, judged.measured, doors.now_ms()))
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; nothing was decided, say it again") from error


def _live(doors: Doors, policy: Policy, skills: tuple[str, ...]) -> Policy:
    return msgspec.structs.replace(
        policy, mode="active", ready=skills, share=doors.settings.routing_share, since_ms=doors.now_ms()
    )


def _shadow(doors: Doors, policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, mode="shadow", ready=(), since_ms=doors.now_ms())


def _decide(
    doors: Doors, report: Report, action: RoutingAction, policy: Policy, reason: str, *, person: str
) -> Done:
    judged = report.judgement
    body = change(
        doors.redis,
        doors.settings,
        Decision(
            action=action,
            policy=policy,
            reason=reason,
            person=person,
            forced=action == "force-promote" and not judged.passed,
            measured={**judged.measured, **_told(report.experiment)},
            checks={check.name: check.passed for check in judged.checks},
        ),
        upon=report.policy.id,
        now_ms=doors.now_ms(),
        wait=doors.wait,
    )
    return Done(action, reason, report, body)


def _told(found: Experiment | None) -> dict[str, float]:
    """Give the figures of an experiment that a decision keeps."""
    if found is None:
        return {}
    sides = {"reward": found.reward, "corrected": found.corrections}
    values = {
        f"told_{name}{end}": value
        for name, side in sides.items()
        for end, value in (("", side.difference), ("_low", side.low), ("_high", side.high))
    }
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def _changed(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    new, gone = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    parts = [f"earned: {', '.join(new)}"] if new else []
    return "; ".join([*parts, f"not any more: {', '.join(gone)}"] if gone else parts)


def _known(settings: Settings, policy: Policy, skill: str) -> None:
    """Look whether there is such a skill. Raises NotFound, with the names that are near."""
    with Routed(settings.views) as views:
        names = set(views.known)
        if policy.router:
            names |= set(body_at(settings.ledger, views.router(policy.router).place, RouterBody).skills)
    if skill not in names:
        near = difflib.get_close_matches(skill, names, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`karl skills list` lists all"
        raise NotFound(f"there is no skill {skill!r}; {hint}")

"""What the commands over promotion print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.moments import moment
from karl.cli.render import plain, print_json, print_table

if TYPE_CHECKING:
    from karl.intervals import Share
    from karl.routing.experiment import Apart, Experiment
    from karl.routing.policy import Policy
    from karl.routing.promotion import SkillJudged
    from workers.promotion import Done, Report, Simulated


def show_done(done: Done, *, as_json: bool) -> None:
    """Show what was decided, or what is missing, check by check."""
    if as_json:
        print_json({**_of(done.report), "action": done.action, "says": done.says, "decision": done.decision})
        return
    _show_standing(done.report)
    report = done.report
    if report.policy.mode != "active" or done.action == "none":
        print_table(
            ("check", "reached", "found"),
            [(check.name, "yes" if check.passed else "no", check.says) for check in report.judgement.checks],
        )
    _show_left_out(report)
    click.echo()
    if done.decision is None:
        click.echo(plain(done.says))
    else:
        forced = " (forced)" if done.decision.forced else ""
        click.echo(plain(f"{done.action}{forced}: {done.says}; decision {done.decision.id[:12]}"))


def show_simulated(found: Simulated, *, as_json: bool) -> None:
    """Show what a promotion would do."""
    if as_json:
        print_json({**_of(found.report), "ways": found.ways, "mixture": found.mixture})
        return
    _show_standing(found.report)
    _show_left_out(found.report)
    click.echo()
    names = {one.skill: one for one in found.report.judgement.skills}
    if found.ways:
        print_table(
            ("skill", "would be routed by", "why"),
            [
                (skill, way, _why(found.report.policy, names.get(skill), skill))
                for skill, way in found.ways.items()
            ],
            whole=("skill",),
        )
        click.echo()
    if not found.mixture.right["vector"].n:
        click.echo("no prompts are known yet that asked for a skill and count as evidence")
        return
    print_table(
        ("router", "right where one was asked for", "prompts", "takes one where none was", "prompts"),
        [
            (way, _share(right), right.n, _share(loud), loud.n)
            for way, right in found.mixture.right.items()
            if (loud := found.mixture.loud[way])
        ],
        title="on sessions that did not choose what is ready",
    )
    missing = [check.name for check in found.report.judgement.checks if not check.passed]
    click.echo()
    click.echo(f"not reached: {', '.join(missing)}" if missing else "everything is reached")


def show_hybrid(report: Report, *, as_json: bool) -> None:
    """Show each skill."""
    judged, policy = report.judgement, report.policy
    if as_json:
        ways = {one.skill: policy.way(one.skill) for one in judged.skills}
        print_json({"policy": policy, "skills": judged.skills, "ways": ways, "left_out": report.left_out})
        return
    _show_standing(report)
    if judged.skills:
        print_table(
            ("skill", "asked for", "vector", "regex", "vector over regex", "has it", "has earned", "why"),
            [
                (
                    one.skill,
                    one.n,
                    one.vector,
                    one.regex,
                    _over(one),
                    policy.way(one.skill),
                    "vector" if one.ready else "regex",
                    _why(policy, one, one.skill),
                )
                for one in judged.skills
            ],
            whole=("skill",),
        )
    else:
        click.echo("no prompts are known yet that asked for a skill and count as evidence")
    _show_left_out(report)


def show_experiment(policy: Policy, found: Experiment | None, *, as_json: bool) -> None:
    """Show how those that are told do."""
    if as_json:
        print_json({"policy": policy, "experiment": found})
        return
    if found is None:
        click.echo("routing is not live, so there is nobody to compare; `karl promote` says what is missing")
        return
    click.echo(f"live since {moment(policy.since_ms)}, {policy.share:.0%} of the sessions are told")
    print_table(
        ("", "told", "others", "difference", "sessions told", "others"),
        [_row("reward", found.reward), _row("corrected", found.corrections)],
    )
    click.echo()
    told = "-" if found.delivered is None else f"{found.delivered:.1%}"
    click.echo(f"{found.prompts:,} prompts with a suggestion; {told} of those that should be told were")
    if found.uneven:
        click.echo("the sides are not as large as they were drawn: something loses suggestions of one side")
    click.echo(plain(f"{found.finding}: {found.says}"))


def _show_standing(report: Report) -> None:
    policy = report.policy
    since = f" since {moment(policy.since_ms)}" if policy.since_ms else ""
    router = f"router {policy.router[:12]}" if policy.router else "no router yet (`karl bootstrap`)"
    forced = ", forced" if report.forced else ""
    mode = "live" if policy.mode == "active" else policy.mode
    click.echo(f"{mode}{since}{forced}; {router}")
    if report.since_ms:
        click.echo(f"evidence counts since {moment(report.since_ms)}, when routing stopped being live")
    click.echo()


def _show_left_out(report: Report) -> None:
    if report.left_out:
        click.echo()
        parts = ", ".join(f"{count:,} {why}" for why, count in report.left_out.items())
        click.echo(f"left out as no evidence: {parts}")


def _of(report: Report) -> dict[str, object]:
    judged = report.judgement
    return {
        "policy": report.policy,
        "forced": report.forced,
        "evidence_since_ms": report.since_ms,
        "passed": judged.passed,
        "checks": judged.checks,
        "measured": judged.measured,
        "over": judged.over,
        "skills": judged.skills,
        "left_out": report.left_out,
        "experiment": report.experiment,
    }


def _row(name: str, side: Apart) -> tuple[object, ...]:
    between = "too few"
    if side.difference is not None and side.low is not None and side.high is not None:
        between = f"{side.difference:+.4f} ({side.low:+.4f} to {side.high:+.4f})"
    return (name, side.told, side.others, between, *side.sessions)


def _over(one: SkillJudged) -> str | None:
    over = one.over
    if over is None or over.difference is None or over.low is None or over.high is None:
        return None
    return f"{100 * over.difference:+.1f} ({100 * over.low:+.1f} to {100 * over.high:+.1f})"


def _why(policy: Policy, one: SkillJudged | None, skill: str) -> str:
    if skill in policy.overrides:
        return "a person's word (`karl routing-override`)"
    return one.says if one else "no evidence yet"


def _share(share: Share) -> str:
    if share.share is None or share.low is None or share.high is None:
        return "-"
    return f"{100 * share.share:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"

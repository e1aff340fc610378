"""Routing goes live when it has earned it, and back: `karl promote` and its kin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import moment
from karl.cli.people import a_reason, only_people, user_at, without_secrets
from karl.cli.render import one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.routing import Way
    from workers.doors import Doors

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
_REASON = click.option(
    "--reason", required=True, callback=a_reason, metavar="TEXT", help="Why; it stays in the ledger."
)


@click.command()
@click.option("--apply", is_flag=True, help="Have routing go live, when everything is reached.")
@_JSON
@pass_settings
def promote(settings: Settings, *, apply: bool, as_json: bool) -> None:
    """Say whether the router in use has earned to route, and with --apply have it go live.

    It is held against the rules on prompts that were predicted live, whose truth came afterwards, and of
    which no router had spoken; what was made afterwards does not count. docs/promotion.md has each check and
    why. From then on agents are told of skills in a share of the sessions (KARL_ROUTING_SHARE), for the
    skills that the vector router has earned; rules have the others.

    Exit code 1 when something is not reached. Run it where the views are; with --apply, while the line runs.
    """
    from karl.cli.promotion_shown import show_done  # noqa: PLC0415 - numpy loads when needed
    from workers.promotion import promote as run  # noqa: PLC0415

    if apply:
        only_people()
    with _doors(settings, connects=apply) as doors:
        done = run(doors, person=user_at(settings), apply=apply)
    show_done(done, as_json=as_json)
    live = done.report.policy.mode == "active"
    sys.exit(0 if done.decision or live or done.report.judgement.passed else 1)


@click.command()
@_JSON
@pass_settings
def auto_promote(settings: Settings, *, as_json: bool) -> None:
    """Do what is due: have routing go live, take it back, or bring up to date which skills are routed.

    It goes live when everything of `karl promote` is reached, and back to shadow when sessions that are told
    do surely worse than the others (`karl ab-monitor`). Safe at any interval: what it looks at allows for
    being looked at again and again. `karl worker jobs` does the same every hour, as the job `promotion`.
    """
    from karl.cli.promotion_shown import show_done  # noqa: PLC0415
    from workers.promotion import automatic  # noqa: PLC0415

    only_people()
    with _doors(settings) as doors:
        done = automatic(doors)
    show_done(done, as_json=as_json)


@click.command()
@_REASON
@_JSON
@pass_settings
def force_promote(settings: Settings, *, reason: str, as_json: bool) -> None:
    """Have routing go live whatever is reached, with all skills of the router in use.

    The record says that it was forced, with the checks that it did not reach. It is still compared with the
    sessions that are not told, and taken back by `karl auto-promote` when it does harm.
    """
    from karl.cli.promotion_shown import show_done  # noqa: PLC0415
    from workers.promotion import force  # noqa: PLC0415

    only_people()
    with _doors(settings) as doors:
        done = force(doors, person=user_at(settings), reason=without_secrets(reason))
    show_done(done, as_json=as_json)


@click.command()
@_JSON
@pass_settings
def promote_sim(settings: Settings, *, as_json: bool) -> None:
    """Say what a promotion would do by now: which router would have which skill, and how well that does.

    The accuracy of both together is that on sessions which did not choose what is ready: chosen on four
    fifths of the sessions, judged on the last, five times.
    """
    from karl.cli.promotion_shown import show_simulated  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.promotion import simulate  # noqa: PLC0415

    with Routed(settings.views) as views:
        found = simulate(views, settings)
    show_simulated(found, as_json=as_json)


@click.command()
@_JSON
@pass_settings
def hybrid(settings: Settings, *, as_json: bool) -> None:
    """Show skill by skill how both routers do, which one routes it, and which one would."""
    from karl.cli.promotion_shown import show_hybrid  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.promotion import report_on  # noqa: PLC0415

    with Routed(settings.views) as views:
        found = report_on(views, settings)
    show_hybrid(found, as_json=as_json)


@click.command()
@_JSON
@pass_settings
def ab_monitor(settings: Settings, *, as_json: bool) -> None:
    """Compare sessions that are told of skills with those that are not, since routing is live.

    Sessions are drawn by their id. A session counts once, on the side that it was drawn for, whether it was
    told in time or not. The intervals hold however often somebody looks. Exit code 1 when those that are told
    do surely worse: `karl auto-promote` then takes it back.
    """
    from karl.cli.promotion_shown import show_experiment  # noqa: PLC0415
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.promotion import experiment_of  # noqa: PLC0415

    with Routed(settings.views) as views:
        policy = views.policy()
        found = experiment_of(views, policy) if policy.mode == "active" else None
    show_experiment(policy, found, as_json=as_json)
    sys.exit(1 if found and found.finding == "worse" else 0)


@click.command()
@click.argument("skill", required=False)
@click.argument("way", required=False, type=click.Choice(["vector", "regex"]))
@click.option("--remove", is_flag=True, help="Take the override of SKILL back.")
@_JSON
@pass_settings
def routing_override(
    settings: Settings, skill: str | None, way: Way | None, *, remove: bool, as_json: bool
) -> None:
    """Say which router has a skill, whatever it has earned; without SKILL list what was said.

    Example: karl routing-override code-review vector
    """
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.promotion import override  # noqa: PLC0415

    if remove and (way or not skill):
        raise click.UsageError("--remove takes SKILL alone")
    if skill and (way or remove):
        only_people()
        with _doors(settings) as doors:
            body = override(doors, skill, way, person=user_at(settings))
        if as_json:
            print_json(body)
        else:
            click.echo(plain(body.reason) if body else "it was so already")
        return
    with Routed(settings.views) as views:
        said = views.policy().overrides
    said = {name: one for name, one in said.items() if skill in {None, name}}
    if as_json:
        print_json(said)
    elif said:
        print_table(("skill", "router"), sorted(said.items()), whole=("skill",))
    else:
        click.echo("nothing is overridden; skills are routed as they have earned (`karl hybrid`)")


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Decisions at most.")
@_JSON
@pass_settings
def log(settings: Settings, *, limit: int, as_json: bool) -> None:
    """List what was decided about routing, newest first: what, when, by whom and why."""
    from karl.schema.routing import RoutingBody  # noqa: PLC0415
    from karl.views.routing import Routed, body_at  # noqa: PLC0415

    with Routed(settings.views) as views:
        rows = views.decisions(limit)
    if as_json:
        print_json([body_at(settings.ledger, row.place, RoutingBody) for row in rows])
        return
    if not rows:
        click.echo("nothing was decided about routing yet")
        return
    print_table(
        ("decision", "when", "what", "mode", "router", "by", "why"),
        [
            (
                row.id[:12],
                moment(row.time_ms),
                f"{row.action} (forced)" if row.forced else row.action,
                row.mode,
                row.router[:12],
                one_line(row.person, 24),
                one_line(row.reason, 60),
            )
            for row in rows
        ],
        whole=("decision", "router"),
        short=("by", "why"),
    )


@click.command()
@_REASON
@_JSON
@pass_settings
def rollback(settings: Settings, *, reason: str, as_json: bool) -> None:
    """Have routing go back to shadow: no agent is told of a skill any more.

    After this only a person has it go live again, with evidence that comes from now on.
    """
    from karl.cli.promotion_shown import show_done  # noqa: PLC0415
    from workers.promotion import take_back  # noqa: PLC0415

    only_people()
    with _doors(settings) as doors:
        done = take_back(doors, person=user_at(settings), reason=without_secrets(reason))
    show_done(done, as_json=as_json)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it stays in the ledger.")
@_JSON
@pass_settings
def switch_off(settings: Settings, *, reason: str, as_json: bool) -> None:
    """Switch routing off, everywhere: no prompt is predicted any more, and no agent is told of a skill.

    What was predicted, learned and decided stays as it is; `karl routing on` goes on with it. Machines hear
    of it within seconds.
    """
    from workers.switch import switch_off as run  # noqa: PLC0415

    only_people()
    with _doors(settings) as doors:
        done = run(doors, user_at(settings), without_secrets(reason))
    if as_json:
        print_json(done)
    else:
        click.echo("Routing is off." if done.changed else "Routing is off already.")


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it stays in the ledger.")
@_JSON
@pass_settings
def switch_on(settings: Settings, *, reason: str, as_json: bool) -> None:
    """Switch routing on again, in shadow, and publish what routes: policy, skills, rules and router.

    Where it is on already, it is published again: so after Redis has lost what it held. Exit code 1 where
    the router is not on this machine and can not be published.
    """
    from workers.switch import switch_on as run  # noqa: PLC0415

    only_people()
    with _doors(settings) as doors:
        done = run(doors, user_at(settings), without_secrets(reason))
    if as_json:
        print_json(done)
    else:
        state = "Routing is on, in shadow" if done.changed else f"Routing is on already ({done.policy.mode})"
        router = done.policy.router[:12] or "none"
        click.echo(f"{state}; published: {done.skills} skills, router {router}.")
    if done.problem:
        click.echo(f"karl: the router could not be published: {plain(done.problem)}", err=True)
    sys.exit(1 if done.problem else 0)


@contextmanager
def _doors(settings: Settings, *, connects: bool = True) -> Iterator[Doors]:
    from workers.doors import Doors  # noqa: PLC0415 - Redis loads when needed
    from workers.line import on_line  # noqa: PLC0415

    opened: AbstractContextManager[Any] = on_line(settings, "karl-promotion") if connects else nullcontext()
    with opened as redis:
        yield Doors(settings, redis)

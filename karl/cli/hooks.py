"""The hook on this machine: install, uninstall, status, and the off switch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.errors import Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from producers.agents import Agent
    from producers.install import Action, Plan

#: What may be said for an agent, and the names that are meant; the first is the default.
_AGENTS = {
    "claude": ("claude-code",),
    "claude-code": ("claude-code",),
    "codex": ("codex",),
    "all": ("claude-code", "codex"),
}
#: The option's words that mean one agent, by what it is called in events.
_WORDS = {"claude-code": "claude", "codex": "codex"}


def _whose(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which agent and which settings are meant."""
    options = (
        click.option(
            "--agent",
            type=click.Choice([*_AGENTS]),
            default="claude",
            show_default=True,
            help="Kind of agent; claude-code is the same as claude.",
        ),
        click.option(
            "--settings", "file", type=click.Path(dir_okay=False, path_type=Path), help="This file instead."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _changing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that change settings."""
    scope = click.option(
        "--scope",
        type=click.Choice(["user", "project", "local"]),
        default="user",
        show_default=True,
        help="Whose settings: yours everywhere, the repository's, or yours in this repository (Claude only).",
    )
    dry = click.option("--dry-run", is_flag=True, help="Show the change as a diff; change nothing.")
    return _whose(scope(dry(function)))


@click.command()
@_changing
@click.option(
    "--transport",
    type=click.Choice(["command", "http"]),
    default="command",
    show_default=True,
    help="How events reach the spool: by a command, or by HTTP to `karl ship` (Claude only).",
)
@click.option("--routing", is_flag=True, help="Have prompts ask for a skill (Claude only).")
@pass_settings
def install(
    settings: Settings,
    *,
    agent: str,
    scope: str,
    file: Path | None,
    transport: str,
    routing: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Record an agent: add KARL's hook to its settings.

    Other people's hooks, the order of keys and the file's mode stay as they are; installing twice
    changes nothing. The hook is one line of shell that leaves each event in the spool folder. Codex runs
    it once you have trusted it there, with /hooks.

    With --transport http the agent posts its events to `karl ship`, at KARL_HTTP_PORT; what it can not
    post (the start of a session) stays a command. The agent needs KARL_HTTP_TOKEN in its environment.

    With --routing the hook of prompts waits up to 50 ms for the skill that was picked, once routing was
    promoted (`karl promote`), and tells the agent of it; without an answer in time it tells nothing.
    Installed again without --routing, it asks no more.
    """
    from karl.cli.hooks_shown import print_after_install  # noqa: PLC0415
    from producers.agents import AGENTS  # noqa: PLC0415 - the installer loads with its commands
    from producers.spool import Spool  # noqa: PLC0415

    agents = [AGENTS[name] for name in _AGENTS[agent]]
    _check_use(agents, scope, file, transport)
    plans = _plans(settings, agents, scope, file, "install", over_http=transport == "http", routing=routing)
    if not dry_run:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        Spool(settings.spool).prepare()
        if transport == "http":
            from producers.http import token_of  # noqa: PLC0415

            token_of(settings)
    _carry_out(plans, agent, dry_run=dry_run, as_json=as_json)
    if not dry_run and not as_json:
        for one, plan in zip(agents, plans, strict=True):
            print_after_install(settings, one, plan, "user" if file else scope, transport)


@click.command()
@_changing
@pass_settings
def uninstall(
    settings: Settings, *, agent: str, scope: str, file: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Take KARL's hook out again; the settings are then, byte for byte, as they were before."""
    from producers.agents import AGENTS  # noqa: PLC0415

    agents = [AGENTS[name] for name in _AGENTS[agent]]
    _check_use(agents, scope, file, "command")
    plans = _plans(settings, agents, scope, file, "uninstall")
    _carry_out(plans, agent, dry_run=dry_run, as_json=as_json)


@click.command()
@_whose
@pass_settings
def status(settings: Settings, *, agent: str, file: Path | None, as_json: bool) -> None:
    """Say where the hook is installed and whether it works; exit code 1 when it records nothing.

    Of Codex it says too what its config.toml tells: whether hooks are switched off, and which ones it
    trusts.
    """
    from karl.cli.hooks_shown import look, print_report  # noqa: PLC0415
    from producers.agents import AGENTS  # noqa: PLC0415

    agents = [AGENTS[name] for name in _AGENTS[agent]]
    _check_use(agents, "user", file, "command")
    reports = [look(settings, one, file) for one in agents]
    if as_json and agent == "all":
        works = all(report["works"] for report in reports)
        print_json({"agents": reports, "works": works})
    elif as_json:
        print_json(reports[0])
    else:
        for report in reports:
            print_report(report, alone=len(reports) == 1)
    sys.exit(0 if all(report["works"] for report in reports) else 1)


@click.command()
@pass_settings
def enable(settings: Settings) -> None:
    """Record again after `karl disable`."""
    from producers.spool import Spool  # noqa: PLC0415

    Spool(settings.spool).switch_on()
    click.echo("The hook takes events again.")


@click.command()
@pass_settings
def disable(settings: Settings) -> None:
    """Stop recording on this machine; agents' settings stay as they are."""
    from producers.spool import Spool  # noqa: PLC0415

    spool = Spool(settings.spool)
    spool.prepare()
    spool.switch_off()
    click.echo("The hook does nothing until `karl enable`.")


def _check_use(agents: list[Agent], scope: str, file: Path | None, transport: str) -> None:
    """Raise UsageError for options that do not go together."""
    if file is not None and len(agents) > 1:
        raise click.UsageError("--settings names the file of one agent; say which with --agent")
    for agent in agents:
        if file is None and scope not in agent.files(os.environ, Path.home(), Path.cwd()):
            raise click.UsageError(f"{agent.shown} has no settings of scope {scope}")
        if transport == "http" and not agent.posts:
            raise click.UsageError(f"{agent.shown} runs hooks as commands only; leave --transport out")


def _plans(
    settings: Settings,
    agents: list[Agent],
    scope: str,
    file: Path | None,
    action: Action,
    *,
    over_http: bool = False,
    routing: bool = False,
) -> list[Plan]:
    return [
        _plan(settings, agent, scope, file, action, over_http=over_http, routing=routing) for agent in agents
    ]


def _plan(
    settings: Settings,
    agent: Agent,
    scope: str,
    file: Path | None,
    action: Action,
    *,
    over_http: bool,
    routing: bool,
) -> Plan:
    from karl.cli.hooks_shown import events_of, post_address  # noqa: PLC0415
    from producers import install as installer  # noqa: PLC0415
    from producers.hook_line import asking_line, hook_line  # noqa: PLC0415

    files = {str(name): path for name, path in agent.files(os.environ, Path.home(), Path.cwd()).items()}
    events = events_of(agent)
    if over_http:
        if not settings.http_port:
            raise Refused("no port is set for events over HTTP: set KARL_HTTP_PORT, here and for `karl up`")
        if events != agent.events:
            raise Refused(f"this {agent.shown} is too old to post events; leave --transport out")
    try:
        return installer.plan(
            file or files[scope],
            hook_line(settings, os.environ, agent.name),
            action,
            data_dir=settings.data_dir,
            events=events,
            agent=agent,
            url=post_address(settings, agent) if over_http else None,
            asking=asking_line(settings, os.environ, agent) if routing else None,
        )
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error


def _carry_out(plans: list[Plan], agent: str, *, dry_run: bool, as_json: bool) -> None:
    for plan in plans:
        _apply(plan, dry_run=dry_run)
    if as_json:
        done = [_told(plan, dry_run=dry_run) for plan in plans]
        print_json({"agents": done} if agent == "all" else done[0])
        return
    for plan in plans:
        if dry_run:
            click.echo(plan.diff or f"{plan.path} needs no change.", nl=not plan.diff)
        else:
            verb = {"install": "The hook is in", "uninstall": "The hook is out of"}[plan.action]
            click.echo(f"{verb} {plan.path}" + ("." if plan.changed else " already; nothing was changed."))


def _apply(plan: Plan, *, dry_run: bool) -> None:
    from producers import install as installer  # noqa: PLC0415

    if dry_run:
        return
    try:
        installer.apply(plan)
    except OSError as error:
        raise Refused(f"{error.filename or plan.path} could not be written: {error.strerror}") from error


def _told(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "agent": plan.agent,
        "file": str(plan.path),
        "changed": plan.changed and not dry_run,
        "would_change": plan.changed,
        "diff": plan.diff,
    }

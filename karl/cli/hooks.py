"""The hook on this machine: install, uninstall, status, and the off switch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json, print_table
from karl.errors import Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from producers.install import Action, HooksStatus, Plan

AGENT = "claude-code"


def _where(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say whose settings are meant."""
    options = (
        click.option(
            "--agent", type=click.Choice([AGENT]), default=AGENT, show_default=True, help="Kind of agent."
        ),
        click.option(
            "--scope",
            type=click.Choice(["user", "project", "local"]),
            default="user",
            show_default=True,
            help="Whose settings: yours everywhere, the repository's, or yours in this repository.",
        ),
        click.option(
            "--settings", "file", type=click.Path(dir_okay=False, path_type=Path), help="This file instead."
        ),
        click.option("--dry-run", is_flag=True, help="Show the change as a diff; change nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@_where
@pass_settings
def install(
    settings: Settings, *, agent: str, scope: str, file: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Record an agent: add KARL's hook to its settings.

    Other people's hooks, the order of keys and the file's mode stay as they are; installing twice
    changes nothing. The hook is one line of shell that leaves each event in the spool folder.
    """
    from producers.spool import Spool  # noqa: PLC0415 - the installer loads with its commands

    if not dry_run:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        Spool(settings.spool).prepare()
    plan = _plan(settings, agent, scope, file, "install")
    _carry_out(plan, dry_run=dry_run, as_json=as_json)
    if plan.changed and not dry_run and not as_json:
        click.echo("Start the line with `karl up`; agents that run already take the hook up by themselves.")
        if scope == "project" and file is None:
            click.echo(
                "The hook names a folder of this machine; with --scope local it stays out of the repository."
            )


@click.command()
@_where
@pass_settings
def uninstall(
    settings: Settings, *, agent: str, scope: str, file: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Take KARL's hook out again; the settings are then, byte for byte, as they were before."""
    _carry_out(_plan(settings, agent, scope, file, "uninstall"), dry_run=dry_run, as_json=as_json)


@click.command()
@click.option(
    "--settings", "file", type=click.Path(dir_okay=False, path_type=Path), help="Look at this file only."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def status(settings: Settings, *, file: Path | None, as_json: bool) -> None:
    """Say where the hook is installed and whether it works; exit code 1 when it records nothing."""
    from producers import install as installer  # noqa: PLC0415

    files = installer.settings_files(os.environ, Path.home(), Path.cwd())
    if file:
        files = {"user": file}
    events = installer.events_for(installer.claude_version())
    found = installer.status(files, _command(settings, AGENT), settings.spool, events)
    problems = _problems(found, off=settings.disable)
    if as_json:
        print_json({**msgspec.to_builtins(found, enc_hook=str), "works": not problems, "problems": problems})
    else:
        _print_status(found, problems)
    sys.exit(1 if problems else 0)


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


def _command(settings: Settings, agent: str) -> str:
    from producers.hook import hook_command  # noqa: PLC0415
    from producers.install import find_cat  # noqa: PLC0415

    try:
        return hook_command(settings.spool, agent, find_cat(os.environ.get("PATH")))
    except ValueError as error:
        raise Refused(f"no hook can write to {settings.spool}: {error}; set KARL_SPOOL_DIR") from error


def _plan(settings: Settings, agent: str, scope: str, file: Path | None, action: Action) -> Plan:
    from producers import install as installer  # noqa: PLC0415

    files = {
        str(name): path
        for name, path in installer.settings_files(os.environ, Path.home(), Path.cwd()).items()
    }
    events = installer.events_for(installer.claude_version())
    try:
        return installer.plan(
            file or files[scope], _command(settings, agent), action, data_dir=settings.data_dir, events=events
        )
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error


def _carry_out(plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    from producers import install as installer  # noqa: PLC0415

    if not dry_run:
        try:
            installer.apply(plan)
        except OSError as error:
            raise Refused(f"{plan.path} could not be written: {error.strerror}") from error
    if as_json:
        done = plan.changed and not dry_run
        print_json({"file": str(plan.path), "changed": done, "would_change": plan.changed, "diff": plan.diff})
    elif dry_run:
        click.echo(plan.diff or f"{plan.path} needs no change.", nl=not plan.diff)
    else:
        verb = {"install": "The hook is in", "uninstall": "The hook is out of"}[plan.action]
        click.echo(f"{verb} {plan.path}" + ("." if plan.changed else " already; nothing was changed."))


def _problems(found: HooksStatus, *, off: bool) -> list[str]:
    """Say what keeps events from being recorded; nothing when all is well."""
    problems = [f"{file.path}: {file.problem}" for file in found.files if file.problem]
    problems += [f"{file.path} sets {name}" for file in found.files for name in file.disabled_by]
    if not any(file.installed for file in found.files):
        partly = any(state != "missing" for file in found.files for state in file.events.values())
        problems.append("the hook is outdated or incomplete" if partly else "the hook is not installed")
        problems[-1] += "; run `karl hooks install`"
    spool = found.spool
    if not (spool.exists and spool.writable):
        problems.append(f"{spool.folder} can not be written to; run `karl hooks install`")
    if spool.off or off:
        problems.append(
            "recording is switched off; `karl enable`" + (" and unset KARL_DISABLE" if off else "")
        )
    if spool.full:
        problems.append("the spool is full; start `karl up` so that events are shipped")
    return problems


def _print_status(found: HooksStatus, problems: list[str]) -> None:
    rows = []
    for file in found.files:
        states = list(file.events.values())
        count = f"{states.count('current')} of {len(states)}"
        rows.append(
            (file.scope, plain(file.path), "yes" if file.exists else "no", count, states.count("outdated"))
        )
    print_table(("scope", "settings", "exists", "events hooked", "outdated"), rows)
    click.echo(f"spool: {plain(found.spool.folder)}")
    for problem in problems:
        click.echo(f"! {plain(problem)}")
    if not problems:
        click.echo("The hook is installed and takes events.")

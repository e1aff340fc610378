"""What `karl hooks` says: of an installation, and of everything between an agent and the spool."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.moments import age
from karl.cli.render import plain, print_table
from karl.errors import KarlError
from karl.settings import Settings

if TYPE_CHECKING:
    from producers.agents import Agent, Scope
    from producers.codex_trust import CodexStatus
    from producers.install import HooksStatus, Plan

_REVIEW = "start Codex, type /hooks and trust KARL's hook"


def events_of(agent: Agent) -> tuple[str, ...]:
    """Say which events an agent on this machine is given."""
    from producers.agents import CLAUDE, claude_version, events_for  # noqa: PLC0415

    return events_for(claude_version()) if agent is CLAUDE else agent.events


def post_address(settings: Settings, agent: Agent) -> str | None:
    """Give the address that this agent may post events to; None where there is none."""
    from producers.hook import hook_url  # noqa: PLC0415

    return hook_url(settings.http_port, agent.name) if agent.posts and settings.http_port else None


def print_after_install(settings: Settings, agent: Agent, plan: Plan, scope: str, transport: str) -> None:
    """Say what is left to do before events come."""
    if plan.changed:
        click.echo(
            "Start the line with `karl up`; agents that run already take the hook up by themselves."
            if agent.name != "codex"
            else "Start the line with `karl up`."
        )
    if agent.name == "codex":
        click.echo(f"Codex runs no hook before you have trusted it: {_REVIEW}.")
        click.echo("The command line stays the same over upgrades of KARL, and so does your trust.")
        for line in _codex_notes(_codex(agent, None)):
            click.echo(plain(line))
    if scope == "project" and plan.changed:
        out = "with --scope local it stays" if "local" in _files(agent, None) else "leave it"
        click.echo(f"The hook names a folder of this machine; {out} out of the repository.")
    if transport == "http":
        token = settings.data_dir / "http.token"
        click.echo(
            "The agent needs the token in its environment:"
            f' export KARL_HTTP_TOKEN="$(cat {plain(token)})", for instance in ~/.profile.'
        )


def look(settings: Settings, agent: Agent, file: Path | None) -> dict[str, Any]:
    """Look at one agent's hook; gives what `--json` prints. Raises Refused."""
    from producers import install as installer  # noqa: PLC0415
    from producers.hook_line import asking_line_if_any, hook_line  # noqa: PLC0415

    found = installer.status(
        _files(agent, file),
        hook_line(settings, os.environ, agent.name),
        settings.spool,
        events_of(agent),
        agent=agent,
        url=post_address(settings, agent),
        asking=asking_line_if_any(settings, os.environ, agent),
    )
    seen = _last_seen_ms(settings, agent.name)
    codex = _codex(agent, file)
    problems = [*_problems(found, agent, settings), *_codex_problems(codex, found, seen)]
    notes = [*_asks(found, settings), *_codex_notes(codex), *_seen(codex, seen)]
    told = {"agent": agent.name, **msgspec.to_builtins(found, enc_hook=str)}
    if codex:
        config = {**msgspec.to_builtins(codex.config, enc_hook=str)}
        config.pop("state")
        told["codex"] = {"config": config, "trust": codex.trust}
    return {
        **told,
        "last_event_ms": seen,
        "works": not problems,
        "problems": problems,
        "notes": notes,
    }


def print_report(report: Mapping[str, Any], *, alone: bool) -> None:
    """Print what `look` found; the agent is named where it is not the only one."""
    from producers.agents import AGENTS  # noqa: PLC0415

    rows = []
    for file in report["files"]:
        states = list(file["events"].values())
        count = f"{states.count('current')} of {len(states)}"
        shown = plain(file["path"])
        rows.append(
            (file["scope"], shown, "yes" if file["exists"] else "no", count, states.count("outdated"))
        )
    title = "" if alone else AGENTS[report["agent"]].shown
    print_table(("scope", "settings", "exists", "events hooked", "outdated"), rows, title=title)
    click.echo(f"spool: {plain(report['spool']['folder'])}")
    for note in report["notes"]:
        click.echo(f"- {plain(note)}")
    for problem in report["problems"]:
        click.echo(f"! {plain(problem)}")
    if report["works"]:
        click.echo("The hook is installed and takes events.")


def _files(agent: Agent, file: Path | None) -> dict[Scope, Path]:
    if file:
        return {"user": file}
    files = agent.files(os.environ, Path.home(), Path.cwd())
    # At home, the project's file is the user's.
    return {scope: path for scope, path in files.items() if scope == "user" or path != files["user"]}


def _codex(agent: Agent, file: Path | None) -> CodexStatus | None:
    from producers.agents import codex_folder  # noqa: PLC0415
    from producers.codex_trust import codex_status  # noqa: PLC0415

    if agent.name != "codex":
        return None
    return codex_status(_files(agent, file), codex_folder(os.environ, Path.home()))


def _last_seen_ms(settings: Settings, agent: str) -> int | None:
    """Say when an agent's youngest event was written, as far as this machine knows: spool, then views."""
    from karl.views.queries import Filter, Views  # noqa: PLC0415
    from producers.spool import Spool  # noqa: PLC0415

    try:
        waiting = Spool(settings.spool).last_of(agent)
    except OSError:
        waiting = None  # the spool's own status says what is wrong with it
    if waiting is not None:
        return waiting // 1_000_000
    try:
        with Views(settings.views) as views:
            rows = views.sessions(Filter(agent=agent), 1)
    except KarlError:
        return None  # no views on this machine: then nothing is known
    return rows[0].last_ms if rows else None


def _problems(found: HooksStatus, agent: Agent, settings: Settings) -> list[str]:
    """Say what keeps events from being recorded; nothing when all is well."""
    problems = [f"{file.path}: {file.problem}" for file in found.files if file.problem]
    problems += [f"{file.path} sets {name}" for file in found.files for name in file.disabled_by]
    again = (
        "`karl hooks install`"
        if agent.name == "claude-code"
        else f"`karl hooks install --agent {agent.name}`"
    )
    if not any(file.installed for file in found.files):
        partly = any(state != "missing" for file in found.files for state in file.events.values())
        problems.append("the hook is outdated or incomplete" if partly else "the hook is not installed")
        problems[-1] += f"; run {again}"
    problems += _unheard(found, settings)
    spool = found.spool
    if not (spool.exists and spool.writable):
        problems.append(f"{spool.folder} can not be written to; run {again}")
    if spool.off or settings.disable:
        problems.append(
            "recording is switched off; `karl enable`"
            + (" and unset KARL_DISABLE" if settings.disable else "")
        )
    if spool.full:
        problems.append("the spool is full; start `karl up` so that events are shipped")
    return problems


def _unheard(found: HooksStatus, settings: Settings) -> Iterator[str]:
    from producers.http import is_listening  # noqa: PLC0415

    if any(file.posts for file in found.files) and not is_listening(settings.http_port):
        yield (
            f"events are posted to port {settings.http_port or '?'} of this machine, where nothing listens:"
            " they are lost; start `karl up` with KARL_HTTP_PORT"
        )


def _asks(found: HooksStatus, settings: Settings) -> Iterator[str]:
    from karl.stream.server import is_heard  # noqa: PLC0415
    from producers.hook_line import socket_of  # noqa: PLC0415

    if any(file.asks for file in found.files):
        heard = is_heard(socket_of(settings.data_dir))
        silent = "; nobody answers: start `karl up` with KARL_ROUTING_LIVE=1"
        yield "prompts ask for a skill" + ("" if heard else silent)


def _codex_problems(codex: CodexStatus | None, found: HooksStatus, seen_ms: int | None) -> Iterator[str]:
    if codex is None:
        return
    if codex.config.problem:
        yield codex.config.problem
    if codex.config.switched_off:
        yield f"{codex.config.path} sets {codex.config.switched_off} = false: Codex runs no hooks"
    if codex.config.inline_ours:
        yield (
            f"{codex.config.path} holds KARL's hook as well: each event is recorded twice; take it out there"
        )
    for file in found.files:
        states = codex.trust.get(file.scope, {})
        off = [event for event, trust in states.items() if trust == "off"]
        if off:
            yield f"the hook in {file.path} is switched off in Codex for {', '.join(off)}; {_REVIEW}"
        unseen = [event for event, trust in states.items() if trust == "unseen"]
        if unseen and not _ran_since(file.path, seen_ms):
            yield (
                f"Codex has not been told to trust the hook in {file.path} for {len(unseen)} of {len(states)}"
                f" events, and does not run it there; {_REVIEW}"
            )


def _ran_since(file: Path, seen_ms: int | None) -> bool:
    """Say whether an event came after the hook was put in: older versions of Codex ask for no trust."""
    return seen_ms is not None and seen_ms > file.stat().st_mtime * 1000


def _codex_notes(codex: CodexStatus | None) -> Iterator[str]:
    if codex is None:
        return
    if codex.config.inline:
        events = ", ".join(codex.config.inline)
        yield (
            f"{codex.config.path} has hooks too ({events}); KARL leaves that file alone, and Codex warns of"
            " the two places at its start"
        )
    for scope, states in codex.trust.items():
        trusts = list(states.values())
        if count := trusts.count("trusted"):
            yield f"Codex trusts the hook of scope {scope} for {count} of {len(trusts)} events"
        if count := trusts.count("another"):
            yield (
                f"of scope {scope}, Codex knows the hook for {count} of {len(trusts)} events by a hash that"
                " KARL can not confirm: you trusted another line, or this Codex hashes otherwise; see /hooks"
            )


def _seen(codex: CodexStatus | None, seen_ms: int | None) -> Iterator[str]:
    if codex is None:
        return
    if seen_ms is None:
        yield "no event of Codex is in the spool or in the views of this machine"
    else:
        yield f"last event of Codex: {age(time.time() - seen_ms / 1000)} ago"

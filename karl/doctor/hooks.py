"""The hook in the agents' settings: there, current, allowed to run, and not switched off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from karl.counted import many
from karl.doctor import codex
from karl.doctor.check import Check, Look, Machine, Verdict
from karl.errors import KarlError
from karl.stream.server import is_heard
from producers import install as installer
from producers.agents import CLAUDE as CLAUDE_CODE
from producers.agents import CODEX, Scope, claude_version, events_for, settings_files
from producers.hook import hook_url
from producers.hook_line import asking_line, asking_line_if_any, hook_line, socket_of
from producers.http import is_listening
from producers.install import FileStatus, State
from producers.spool import Spool

LINK = "hook"
CLAUDE = "claude-code"
#: The kinds of agents whose hooks can be looked at.
AGENTS = (CLAUDE, CODEX.name)
#: Seconds that an agent has to say its version.
VERSION_S = 5.0
_INSTALL = "`karl hooks install`"


class InstalledLine(NamedTuple):
    """The command line that an agent runs at an event, as it stands in its settings."""

    agent: str
    command: str


def current_line(machine: Machine, agent: str) -> str:
    """Give the command line that an installation of today would write. Raises Refused."""
    return hook_line(machine.settings, machine.environ, agent)


def installed_line(machine: Machine, event: str) -> InstalledLine | None:
    """Give the line that an agent here runs at this event; null where none is installed or readable."""
    if machine.agent not in {None, CLAUDE}:
        return None
    for path in _files(machine).values():
        try:
            entries = installer.entries(path)
        except (OSError, KarlError):
            continue  # what is wrong with the file is said by its own check
        lines = (one.command for one in entries if one.event == event and one.key == "command")
        if found := next(lines, None):
            return InstalledLine(CLAUDE, found)
    return None


def _files(machine: Machine) -> dict[Scope, Path]:
    every = settings_files(machine.environ, machine.home, machine.cwd)
    # At home, the project's file is the user's.
    return {scope: path for scope, path in every.items() if scope == "user" or path != every["user"]}


def _address(machine: Machine) -> str | None:
    """Give the address that Claude Code may post events to; null where none is set."""
    port = machine.settings.http_port
    return hook_url(port, CLAUDE) if port else None


def _claude(machine: Machine) -> Iterator[Check]:
    """Look at Claude Code's settings files, from the user's to those that a company manages."""
    if machine.agent not in {None, CLAUDE}:
        return
    events = events_for(claude_version(timeout_s=VERSION_S))
    status = installer.status(
        _files(machine), current_line(machine, CLAUDE), machine.settings.spool, events, url=_address(machine),
        asking=asking_line_if_any(machine.settings, machine.environ, CLAUDE_CODE),
    )  # fmt: skip
    for file in status.files:
        if file.problem:
            hint = "mend the file: Claude Code may not read it either"
            yield Check(LINK, f"{file.scope} settings", "fail", file.problem, hint)
        for switch in file.disabled_by:
            hint = f"take it out of {file.path}: no hook runs with it"
            yield Check(LINK, f"{file.scope} settings", "fail", f"{file.path} sets {switch}", hint)
    yield _judged(machine, status.files)
    port = machine.settings.http_port
    if any(file.posts for file in status.files) and not is_listening(port):
        seen = f"events are posted to port {port or '?'} of this machine, where nothing listens"
        yield Check(LINK, "http", "fail", seen, "set KARL_HTTP_PORT and start `karl up` or `karl ship`")
    if any(file.asks for file in status.files):
        yield _asked(socket_of(machine.settings.data_dir))


def _asked(path: Path) -> Check:
    """Look whether somebody answers hooks that ask for a skill."""
    if is_heard(path):
        return Check(LINK, "routing", "ok", f"prompts ask for a skill at {path}")
    seen = f"prompts ask for a skill at {path}, where nothing listens: agents are told nothing"
    hint = "start `karl up` with KARL_ROUTING_LIVE=1, or `karl routing serve`"
    return Check(LINK, "routing", "warn", seen, hint)


def _judged(machine: Machine, files: tuple[FileStatus, ...]) -> Check:
    """Judge all files together: Claude Code merges the hooks of all of them."""
    best = max(files, key=lambda file: _count(file, "current"))
    old = [file for file in files if _count(file, "outdated")]
    total = len(best.events)
    if old:
        hint = f"{_INSTALL}; `karl hooks status` says more"
        where = ", ".join(str(file.path) for file in old)
        seen = f"{where}: the hook there is outdated; it may leave events elsewhere, or leave them twice"
        return Check(LINK, CLAUDE, "fail", seen, hint, mend=lambda: _reinstall(machine, old))
    if best.installed:
        return Check(LINK, CLAUDE, "ok", f"{total} of {total} events, in {best.path}")
    if count := _count(best, "current"):
        missing = [event for event, state in best.events.items() if state != "current"]
        verdict: Verdict = "fail" if {"UserPromptSubmit", "Stop"} & set(missing) else "warn"
        seen = f"{count} of {total} events in {best.path}; missing: {', '.join(missing)}"
        return Check(
            LINK, CLAUDE, verdict, seen, _INSTALL, mend=lambda: _reinstall(machine, [best])
        )  # fmt: skip
    return _missing(machine, files)


def _missing(machine: Machine, files: tuple[FileStatus, ...]) -> Check:
    """Judge a machine without a hook: one that has neither agent nor server may be a worker's."""
    here = shutil.which("claude", path=machine.environ.get("PATH")) or any(
        file.path.parent.exists() for file in files
    )
    if here or not machine.settings.redis_url:
        return Check(LINK, CLAUDE, "fail", "the hook is not installed: nothing is recorded here", _INSTALL)
    seen = "neither the hook nor Claude Code is on this machine"
    return Check(LINK, CLAUDE, "warn", seen, f"{_INSTALL}, if agents run here")


def _count(file: FileStatus, state: State) -> int:
    return list(file.events.values()).count(state)


def _reinstall(machine: Machine, files: list[FileStatus]) -> str:
    """Bring hooks up to date where they stand already. Raises Refused and OSError."""
    Spool(machine.settings.spool).prepare()
    for file in files:
        plan = installer.plan(
            file.path, current_line(machine, CLAUDE), "install",
            data_dir=machine.settings.data_dir, events=tuple(file.events),
            url=_address(machine) if file.posts else None,
            asking=asking_line(machine.settings, machine.environ, CLAUDE_CODE) if file.asks else None,
        )  # fmt: skip
        installer.apply(plan)
    return f"brought the hook in {many(len(files), 'settings file')} up to date"


def _recording(machine: Machine) -> Iterator[Check]:
    """Look at the user's own switches."""
    if machine.settings.disable:
        seen = "KARL_DISABLE is set here: an agent started from here records nothing"
        yield Check(LINK, "recording", "fail", seen, "unset KARL_DISABLE")
    elif Spool(machine.settings.spool).is_off():
        yield Check(LINK, "recording", "fail", "switched off by `karl disable`", "`karl enable`")
    else:
        yield Check(LINK, "recording", "ok", "switched on")


def _codex(machine: Machine) -> Iterator[Check]:
    if machine.agent in {None, CODEX.name}:
        yield from codex.look(machine, current_line(machine, CODEX.name))


CHECKS: tuple[Look, ...] = (_claude, _codex, _recording)

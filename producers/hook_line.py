"""The hook's line on this machine: where its folder, its programs and the endpoint of routing are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from karl.errors import Refused
from karl.settings import Settings
from karl.stream.server import socket_in
from producers.agents import Agent
from producers.hook import Asked, hook_command


def hook_line(settings: Settings, environ: Mapping[str, str], agent: str) -> str:
    """Give the command line that an agent runs at an event. Raises Refused."""
    return _line(settings, environ, agent, None)


def asking_line(settings: Settings, environ: Mapping[str, str], agent: Agent) -> str:
    """Give the command line for prompts that asks for a skill. Raises Refused."""
    if not agent.listens:
        raise Refused(f"{agent.shown} takes nothing in from a hook; install it without --routing")
    asked = Asked(socket_of(settings.data_dir), find_program("curl", environ.get("PATH")))
    return _line(settings, environ, agent.name, asked)


def asking_line_if_any(settings: Settings, environ: Mapping[str, str], agent: Agent) -> str | None:
    """Give that line; null where there can be none."""
    try:
        return asking_line(settings, environ, agent)
    except Refused:
        return None


def socket_of(data_dir: Path) -> Path:
    """Say where hooks ask: the socket of `karl routing serve`."""
    return socket_in(data_dir, Path("routing.sock"))


def _line(settings: Settings, environ: Mapping[str, str], agent: str, asked: Asked | None) -> str:
    try:
        return hook_command(settings.spool, agent, find_program("cat", environ.get("PATH")), asked)
    except ValueError as error:
        raise Refused(f"no hook can write to {settings.spool}: {error}; set KARL_SPOOL_DIR") from error


def find_program(name: str, search_path: str | None = None) -> str:
    """Give a program's absolute path, a system folder's before one of the user's. Raises Refused."""
    found = shutil.which(name, path="/bin:/usr/bin") or shutil.which(name, path=search_path)
    if found is None:
        raise Refused(f"there is no `{name}` on this machine's PATH, and the hook needs it")
    return str(Path(found).absolute())

"""Who says something, by name. An agent's word on its own work, or on who routes it, is no person's."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import click

from karl.errors import KarlError, Refused

if TYPE_CHECKING:
    from karl.settings import Settings

#: What agents set in the shells that they run.
AGENTS_SHELLS = (
    "CLAUDECODE", "CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED", "CURSOR_AGENT", "GEMINI_CLI", "OPENCODE",
)  # fmt: skip
_REASON_MAX = 2000


def only_people() -> None:
    """Raises Refused in a shell that an agent runs."""
    if agents := [name for name in AGENTS_SHELLS if os.environ.get(name)]:
        raise Refused(f"this is an agent's shell ({agents[0]} is set); say it from a terminal of your own")


def a_reason(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check what an option says as a reason. Raises BadParameter."""
    if value is None:
        return None
    if not value.strip():
        raise click.BadParameter("say why, for whoever reads it later")
    if len(value) > _REASON_MAX:
        raise click.BadParameter(f"a reason has at most {_REASON_MAX:,} characters")
    return value


def user_at(settings: Settings) -> str:
    """Say who this is: the user's name and the node's. Raises KarlError."""
    try:
        return f"{getpass.getuser()}@{settings.node}"
    except (KeyError, OSError) as error:  # a user that the system has no name for
        raise KarlError(f"who are you? {error}; set USER") from error


def no_secret(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a name or words that are recorded as they are, with a secret in them; a callback of click's."""
    if value and without_secrets(value) != value:
        raise click.BadParameter("it looks like a secret, and would be in the ledger for good", param=param)
    return value


def without_secrets(words: str) -> str:
    """Give what a person wrote as it may be recorded: secrets are taken out, as of all that is."""
    from producers.redact import Redactor  # noqa: PLC0415 - the rules load when needed

    return Redactor().text(words)[0]

"""What only a person may say: an agent's word on its own work, or on who routes it, is no person's."""

from __future__ import annotations

import os

from karl.errors import Refused

#: What agents set in the shells that they run.
AGENTS_SHELLS = (
    "CLAUDECODE", "CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED", "CURSOR_AGENT", "GEMINI_CLI", "OPENCODE",
)  # fmt: skip


def only_people() -> None:
    """Raises Refused in a shell that an agent runs."""
    if agents := [name for name in AGENTS_SHELLS if os.environ.get(name)]:
        raise Refused(f"this is an agent's shell ({agents[0]} is set); say it from a terminal of your own")

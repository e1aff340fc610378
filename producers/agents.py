"""The agents whose hooks KARL installs, one row each: where they keep settings, and what they have to say.

Each takes the same shape of settings (`producers.settings_text`): {"hooks": {EVENT: [{"hooks": [HANDLER]}]}}.
A handler of ours runs the hook's command line, or posts to `karl ship` where the agent can do that.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from karl.errors import Refused

Scope = Literal["user", "project", "local", "managed"]
Version = tuple[int, int, int]
#: One entry of an agent's settings.
Handler = dict[str, Any]
#: Gives an agent's settings files of the environment, the home folder and the working folder.
Files = Callable[[Mapping[str, str], Path, Path], dict[Scope, Path]]

#: Seconds after which the agent gives a hook up: far above a loaded machine's worst, for a hung disk.
TIMEOUT_S = 5
#: The environment variable of an agent that posts: its token stands in no settings file.
TOKEN_VARIABLE = "KARL_HTTP_TOKEN"  # noqa: S105 - the name of one

#: The event at which an agent may be told of a skill.
PROMPT = "UserPromptSubmit"

#: What a recorder needs, in the order of a session. Not here, and never to be: MessageDisplay (one per shown
#: line), WorktreeCreate (a hook replaces the behaviour), Elicitation* (credentials), PostToolBatch (repeats).
EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "PreToolUse",
    "PermissionRequest",
    "PermissionDenied",
    "PostToolUse",
    "PostToolUseFailure",
    "SubagentStart",
    "SubagentStop",
    "TaskCompleted",
    "PreCompact",
    "PostCompact",
    "PostModelSwitch",
    "Stop",
    "StopFailure",
    "SessionEnd",
)

#: The first version that ignores an unknown event name. An older one ignores the whole settings file, the
#: user's permissions included. Source: Claude Code's changelog.
TOLERANT_SINCE = (2, 1, 101)

#: The events that every older version in use knows (from 1.0.85, August 2025).
OLD_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "SessionEnd",
)

#: All that Codex has (September 2026); its versions pass over names that they do not know.
CODEX_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Interrupt",
    "Stop",
    "SessionEnd",
)


@dataclass(frozen=True, slots=True)
class Agent:
    """One kind of agent. `name` stands in spool files and events, `shown` is how people call it.

    `limits` are the events (with seconds) at which the agent lets no hook take longer; asking for more
    would make it warn at each start. `posts` says whether it can send events by HTTP, all but `by_command`;
    `listens` that it takes in what a hook prints of a prompt.
    """

    name: str
    shown: str
    events: tuple[str, ...]
    files: Files
    limits: Mapping[str, int] = field(default_factory=dict)
    posts: bool = False
    by_command: frozenset[str] = frozenset()
    listens: bool = False

    def handlers(
        self,
        command: str,
        events: Sequence[str] | None = None,
        url: str | None = None,
        asking: str | None = None,
    ) -> dict[str, Handler]:
        """Give the settings' entry for each event, one that posts to `url` where it is given and can be used.

        `asking` is the command for prompts that prints a skill. Raises Refused when the agent can not post,
        or does not listen.
        """
        if asking is not None and not self.listens:
            raise Refused(f"{self.shown} takes nothing in from a hook; install it without `--routing`")
        if url is not None and not self.posts:
            raise Refused(f"{self.shown} runs hooks as commands only; install it without `--transport http`")
        handlers = {
            event: self._handler(event, command, None if event in self.by_command else url)
            for event in (self.events if events is None else events)
        }
        if asking is not None:
            handlers[PROMPT] = self._handler(PROMPT, asking, None)
        return handlers

    def _handler(self, event: str, command: str, url: str | None) -> Handler:
        timeout = self.limits.get(event, TIMEOUT_S)
        if url is None:
            return {"type": "command", "command": command, "timeout": timeout}
        return {
            "type": "http",
            "url": url,
            "timeout": timeout,
            "headers": {"Authorization": f"Bearer ${TOKEN_VARIABLE}"},
            "allowedEnvVars": [TOKEN_VARIABLE],
        }


def settings_files(environ: Mapping[str, str], home: Path, cwd: Path) -> dict[Scope, Path]:
    """Say where Claude Code reads its settings, by scope; it merges the hooks of all of them."""
    folder = Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    system = Path("/Library/Application Support/ClaudeCode")
    managed = system if system.is_dir() else Path("/etc/claude-code")
    return {
        "user": folder.expanduser().absolute() / "settings.json",
        "project": cwd / ".claude" / "settings.json",
        "local": cwd / ".claude" / "settings.local.json",
        "managed": managed / "managed-settings.json",
    }


def codex_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Say where Codex keeps the user's settings."""
    return Path(environ.get("CODEX_HOME") or home / ".codex").expanduser().absolute()


def codex_files(environ: Mapping[str, str], home: Path, cwd: Path) -> dict[Scope, Path]:
    """Say where Codex reads hooks, by scope; it runs those of both.

    A project is the repository around `cwd`.
    """
    root = next((level for level in (cwd, *cwd.parents) if (level / ".git").exists()), cwd)
    return {
        "user": codex_folder(environ, home) / "hooks.json",
        "project": root / ".codex" / "hooks.json",
    }


CLAUDE = Agent(
    "claude-code",
    "Claude Code",
    EVENTS,
    settings_files,
    posts=True,
    by_command=frozenset({"SessionStart"}),
    listens=True,
)
CODEX = Agent("codex", "Codex", CODEX_EVENTS, codex_files, limits={"SessionEnd": 3, "Interrupt": 3})

#: By name, in the order in which they are shown.
AGENTS = {agent.name: agent for agent in (CLAUDE, CODEX)}


def claude_version(executable: str = "claude", timeout_s: float = 20.0) -> Version | None:
    """Ask Claude Code for its version; None when it is not on PATH or does not say."""
    path = shutil.which(executable)
    if path is None:
        return None
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([path, "--version"], capture_output=True, timeout=timeout_s, check=False)
        if found := re.match(rb"\s*(\d+)\.(\d+)\.(\d+)", done.stdout):
            return int(found[1]), int(found[2]), int(found[3])
    return None


def events_for(version: Version | None) -> tuple[str, ...]:
    """Say which events Claude Code is given; an unknown version counts as a current one."""
    return EVENTS if version is None or version >= TOLERANT_SINCE else OLD_EVENTS

"""What Codex's `config.toml` says of hooks: whether they run, which stand there, and which Codex trusts.

Codex runs a hook of a person's or a repository's only after that person has looked at it, with `/hooks`. It
keeps the answer under `[hooks.state."<file>:<event>:<group>:<place>"]`, with a hash of the hook's
definition. The file is read, never written: an installer that answered for the user would make the
question worthless.

How the hash is made is Codex's own affair and may change, so only an equal hash says something for certain;
another one may be an older definition of ours or a newer way to hash.

Source: openai/codex, codex-rs/hooks/src/engine/discovery.rs and codex-rs/config, September 2026.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from producers.agents import CODEX_EVENTS, Scope
from producers.hook import is_ours

#: `trusted`: Codex has this very definition. `another`: it has a hash that KARL can not confirm. `off`: the
#: user has switched the hook off in `/hooks`. `unseen`: nobody has looked at it yet, so it does not run.
Trust = Literal["trusted", "another", "off", "unseen"]

#: The events at which Codex looks at a group's matcher.
_MATCHED = frozenset(
    {
        "SessionStart",
        "PreToolUse",
        "PermissionRequest",
        "PostToolUse",
        "PreCompact",
        "PostCompact",
        "SubagentStart",
        "SubagentStop",
    }
)
_DEFAULT_TIMEOUT_S = 600
_FEATURES = ("hooks", "codex_hooks")  # the second is the name of older versions


@dataclass(frozen=True, slots=True)
class CodexConfig:
    """What `config.toml` says. `switched_off` names the switch, `inline` the events that have hooks there.

    `inline_ours` says that one of those is KARL's: with `hooks.json` each event would be recorded twice.
    """

    path: Path
    exists: bool = False
    problem: str | None = None
    switched_off: str | None = None
    inline: tuple[str, ...] = ()
    inline_ours: bool = False
    state: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


def read_config(path: Path) -> CodexConfig:
    """Read a `config.toml`; one that can not be read is a `problem`."""
    if path.exists() and not path.is_file():  # a pipe would be waited for for ever
        return CodexConfig(path, exists=True, problem=f"{path} can not be read: it is no file")
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return CodexConfig(path)
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return CodexConfig(path, exists=True, problem=f"{path} can not be read: {said}")
    features, hooks = _table(found.get("features")), _table(found.get("hooks"))
    inline = {name: groups for name, groups in hooks.items() if isinstance(groups, list) and groups}
    return CodexConfig(
        path,
        exists=True,
        switched_off=next((f"features.{name}" for name in _FEATURES if features.get(name) is False), None),
        inline=tuple(inline),
        inline_ours=any(is_ours(handler.get("command")) for _, _, _, handler in _places(inline)),
        state={key: _table(value) for key, value in _table(hooks.get("state")).items()},
    )


@dataclass(frozen=True, slots=True)
class CodexStatus:
    """Codex's side of the hook: the user's `config.toml`, and by scope what it trusts at each event."""

    config: CodexConfig
    trust: Mapping[str, Mapping[str, Trust]]


def codex_status(files: Mapping[Scope, Path], folder: Path) -> CodexStatus:
    """Look at what Codex keeps in `folder` of the hooks in these files. Raises nothing."""
    config = read_config(folder / "config.toml")
    trust: dict[str, Mapping[str, Trust]] = {}
    for scope, file in files.items():
        if file.exists() and not file.is_file():
            continue
        with suppress(
            OSError, ValueError, RecursionError
        ):  # the file's own status says what is wrong with it
            trust[scope] = trust_of(file, _table(json.loads(file.read_text("utf-8-sig"))), config)
    return CodexStatus(config, trust)


def trust_of(hooks_file: Path, settings: Mapping[str, Any], config: CodexConfig) -> dict[str, Trust]:
    """Say for each event of KARL's hook in a `hooks.json` (read into `settings`) whether Codex trusts it.

    Codex names the file by its folder as it was given, or with its links resolved, and by no other link.
    """
    files = {str(hooks_file), str(hooks_file.parent.resolve() / hooks_file.name)}
    found: dict[str, Trust] = {}
    for event, group, place, handler in _places(_table(settings.get("hooks"))):
        if is_ours(handler.get("command")):
            label = _label(event)
            keys = [f"{file}:{label}:{group[0]}:{place}" for file in sorted(files)]
            state = next((config.state[key] for key in keys if key in config.state), {})
            found[event] = _judged(state, hook_hash(event, group[1], handler))
    return found


def hook_hash(event: str, matcher: str | None, handler: Mapping[str, Any]) -> str:
    """Hash a definition as Codex does: SHA-256 of its JSON, with sorted keys and without blanks."""
    timeout = handler.get("timeout")
    normal: dict[str, Any] = {
        "type": "command",
        "command": handler.get("command"),
        "timeout": max(1, timeout) if isinstance(timeout, int) else _DEFAULT_TIMEOUT_S,
        "async": handler.get("async") is True,
    }
    if isinstance(handler.get("statusMessage"), str):
        normal["statusMessage"] = handler["statusMessage"]
    identity: dict[str, Any] = {"event_name": _label(event), "hooks": [normal]}
    if matcher is not None and event in _MATCHED:
        identity["matcher"] = matcher
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _judged(state: Mapping[str, Any], current: str) -> Trust:
    if state.get("enabled") is False:
        return "off"
    known = state.get("trusted_hash")
    if not isinstance(known, str):
        return "unseen"
    return "trusted" if known == current else "another"


def _places(
    events: Mapping[str, Any],
) -> list[tuple[str, tuple[int, str | None], int, dict[str, Any]]]:
    """List handlers with their event, their group's place and matcher, and their own place in the group."""
    found = []
    for event in CODEX_EVENTS:
        for at, group in enumerate(_list(events.get(event))):
            matcher = _table(group).get("matcher")
            for place, handler in enumerate(_list(_table(group).get("hooks"))):
                where = (at, matcher if isinstance(matcher, str) else None)
                found.append((event, where, place, _table(handler)))
    return found


def _label(event: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event).lower()


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

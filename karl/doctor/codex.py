"""Codex's hook: there, current, and trusted by Codex, which runs no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

from karl.doctor.check import Check, Machine, Verdict
from producers import install as installer
from producers.agents import CODEX, codex_folder
from producers.codex_trust import CodexStatus, Trust, codex_status
from producers.install import FileStatus

LINK = "hook"
_INSTALL = "`karl hooks install --agent codex`"
_REVIEW = "start Codex, type /hooks and trust KARL's hook"


def look(machine: Machine, command: str) -> Iterator[Check]:
    """Judge Codex's hook; a machine without Codex has nothing to judge. `command` is the line of today."""
    every = CODEX.files(machine.environ, machine.home, machine.cwd)
    # At home, the project's file is the user's.
    files = {scope: path for scope, path in every.items() if scope == "user" or path != every["user"]}
    status = installer.status(files, command, machine.settings.spool, agent=CODEX)
    hooked = [file for file in status.files if any(state != "missing" for state in file.events.values())]
    for file in status.files:
        if file.problem:
            yield Check(LINK, f"codex {file.scope} settings", "fail", file.problem, "mend the file")
    if not hooked:
        yield from _missing(machine)
        return
    seen = codex_status(files, codex_folder(machine.environ, machine.home))
    yield from _settings(seen)
    for file in hooked:
        yield _judged(file, seen.trust.get(file.scope, {}))


def _missing(machine: Machine) -> Iterator[Check]:
    seen = "the hook is not installed in Codex"
    if machine.agent == CODEX.name:
        yield Check(LINK, CODEX.name, "fail", seen, _INSTALL)
    elif shutil.which("codex", path=machine.environ.get("PATH")):
        yield Check(LINK, CODEX.name, "warn", seen, _INSTALL)


def _settings(seen: CodexStatus) -> Iterator[Check]:
    config = seen.config
    if config.problem:
        hint = "mend the file: Codex may not read it either"
        yield Check(LINK, "codex settings", "fail", config.problem, hint)
    if config.switched_off:
        said = f"{config.path} sets {config.switched_off} = false: Codex runs no hooks"
        yield Check(LINK, "codex switch", "fail", said, "take that line out")
    if config.inline_ours:
        said = f"{config.path} holds KARL's hook as well: each event is recorded twice"
        yield Check(LINK, "codex twice", "fail", said, "take it out there")


def _judged(file: FileStatus, trust: Mapping[str, Trust]) -> Check:
    name = CODEX.name if file.scope == "user" else f"{CODEX.name} {file.scope}"
    if not file.installed:
        missing = [event for event, state in file.events.items() if state != "current"]
        verdict: Verdict = "fail" if {"UserPromptSubmit", "Stop"} & set(missing) else "warn"
        seen = f"{file.path}: missing or outdated for {', '.join(missing)}"
        return Check(LINK, name, verdict, seen, _INSTALL)
    trusts = list(trust.values())
    idle = trusts.count("unseen") + trusts.count("off")
    if idle:
        seen = f"{file.path}: Codex's settings show no trust for {idle} of {len(trusts)} events"
        return Check(LINK, name, "warn", seen, f"{_REVIEW}; `karl hooks status --agent codex` says more")
    known = "trusted" if "another" not in trusts else "trusted by a hash that KARL can not confirm"
    return Check(LINK, name, "ok", f"{len(trusts)} of {len(trusts)} events, in {file.path}, {known}")

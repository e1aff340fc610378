"""The demo from beginning to end: hook, line and story in a scratch folder, and what came of it."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from karl.demo import checks
from karl.demo.hooks import Hooks
from karl.demo.line import Line, Watch, install_hook
from karl.demo.progress import Progress
from karl.demo.report import DemoReport, Found, hook_times, look
from karl.demo.scratch import make_repository
from karl.demo.story import CORRECTION, Sessions, tell
from karl.demo.tools import ToolFailed, clean_environ
from karl.errors import KarlError, Refused
from karl.ledger import verify
from karl.process import leaving_in_order
from karl.settings import Settings, read_settings
from karl.stream.server import socket_path

#: Seconds of silence that close the unfinished turn: more than any single step of the story takes.
IDLE_S = 6.0
#: Seconds after the story for everything to be in the ledger and the views.
ARRIVAL_S = 90.0


@dataclass(slots=True)
class _Stage:
    """Everything that one demo is played with."""

    folder: Path
    settings: Settings
    sessions: Sessions
    secret: str
    hooks: Hooks
    progress: Progress
    problems: list[str] = field(default_factory=list)

    @property
    def shop(self) -> Path:
        return self.folder / "shop"

    @property
    def log(self) -> Path:
        return self.folder / "line.log"


def run(keep: Path | None) -> DemoReport:
    """Play the demo. `keep` is a folder for its data, which goes otherwise. Raises Refused when it is taken.

    Nothing outside the folder is read or written, and nothing runs any more when this returns.
    """
    start = time.monotonic()
    progress = Progress(sys.stderr)
    with ExitStack() as stack:
        stack.enter_context(leaving_in_order())
        stack.callback(progress.done)
        folder = _folder(keep, stack)
        variables = {"KARL_DATA_DIR": str(folder / "data"), "KARL_IDLE_TIMEOUT_S": f"{IDLE_S:g}"}
        stage = _set(folder, read_settings(variables), progress)
        _play(stage, variables)
        return _report(stage, start, kept=keep is not None)


def _set(folder: Path, settings: Settings, progress: Progress) -> _Stage:
    """Make the repository, and install the hook as a user would."""
    # It looks like a token of GitHub's, and is none.
    secret = "ghp_" + secrets.token_hex(18)
    file = folder / ".claude" / "settings.json"
    install_hook(settings, file, os.environ)
    sessions = Sessions(*(str(uuid.uuid4()) for _ in range(4)))
    stage = _Stage(folder, settings, sessions, secret, Hooks(file, clean_environ(os.environ)), progress)
    make_repository(stage.shop, secret)
    return stage


def _play(stage: _Stage, variables: dict[str, str]) -> None:
    """Run line and story, until every event has arrived and the line has ended."""
    progress, hooks, problems = stage.progress, stage.hooks, stage.problems
    progress.chapter("the line starts: server, shipper, workers; the agent does not wait for it")
    with (
        _socket_folder(stage.settings),
        Line(os.environ, variables, stage.log) as line,
        closing(Watch(stage.settings)) as watch,
    ):
        try:
            tell(hooks, stage.shop, stage.sessions, progress)
        except ToolFailed as failure:
            problems.append(f"the scripted agent could not play its story: {failure}")
        progress.chapter("every event on its way: spool, stream, ledger, views")
        problems += filter(None, [watch.wait(line, len(hooks.sent), progress, ARRIVAL_S)])
        progress.now("the line stops")
        line.stop()
        problems += line.problems
    if watch.dead_letters:
        problems.append(f"{watch.dead_letters} events could not be understood")


def _report(stage: _Stage, start: float, *, kept: bool) -> DemoReport:
    """Read back what was recorded, and hold it against what was played."""
    hooks, sessions, problems = stage.hooks, stage.sessions, stage.problems
    found = _look(stage.settings, problems)
    problems += checks.missing(found, hooks.sent)
    problems += checks.untold(found, sessions)
    problems += checks.disturbing(hooks.runs)
    problems += checks.leaks([stage.settings.data_dir, stage.log], stage.secret)
    corrected = [turn for turn in found.turns_of(sessions.corrected) if turn.later]
    return DemoReport(
        sessions=found.sessions,
        turns=found.turns,
        corrected=next(iter(corrected), None),
        correction=CORRECTION,
        delegated=next(iter(found.turns_of(sessions.delegated)), None),
        redactions=found.redactions,
        verified=found.verified,
        hook=hook_times(hooks.runs),
        sent=len(hooks.sent),
        recorded=len(found.events),
        seconds=round(time.monotonic() - start, 1),
        data_dir=stage.settings.data_dir if kept else None,
        problems=problems,
    )


@contextmanager
def _socket_folder(settings: Settings) -> Iterator[None]:
    """Remove the folder that a socket has of its own where the data folder's path is too long for one."""
    folder = socket_path(settings.data_dir).parent
    try:
        yield
    finally:
        if settings.data_dir not in folder.parents:
            with suppress(OSError):  # it was never made, or a killed server has left its socket in it
                folder.rmdir()


def _look(settings: Settings, problems: list[str]) -> Found:
    """Read what is there; what can not be read is a problem, and the rest is still shown."""
    try:
        return look(settings)
    except KarlError as error:
        problems.append(f"what was recorded can not be read: {error}")
        return Found(verify.Report())


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    """Give an empty folder; one of our own goes when the stack ends."""
    if keep is None:
        made = tempfile.TemporaryDirectory(prefix="karl-demo-", ignore_cleanup_errors=True)
        return Path(stack.enter_context(made)).resolve()
    folder = keep.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise Refused(f"{folder} can not be used: {error.strerror}; give another folder to --keep") from error
    if taken:
        raise Refused(f"{folder} is not empty; give --keep a folder that is, or that does not exist yet")
    return folder

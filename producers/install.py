"""The installer: puts the hook into an agent's settings, says whether it is there, and takes it out again.

Invariants:
- Settings are edited as text, at the places where the hook goes; every other byte stays as it is.
- `plan` reads and computes, `apply` alone writes: a temporary file beside the target, fsync, rename. A link
  is followed to its target; mode and owner are kept.
- Taking the hook out of a file that nobody has edited since gives back the bytes of before, or no file at all
  where there was none. A record in the data folder makes that exact. It holds the difference, not the file:
  settings hold secrets.
- What can not be edited with certainty (comments, broken JSON, unexpected shapes) is refused, untouched.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Literal

from karl.errors import Refused
from producers.agents import CLAUDE, Agent, Handler, Scope
from producers.settings_text import Found, ours, parse, parse_settings, with_hook, without_hook
from producers.spool import Spool

#: What keeps hooks from running.
_SWITCHES = ("disableAllHooks", "allowManagedHooksOnly")

Action = Literal["install", "uninstall"]
State = Literal["current", "outdated", "missing"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do to one file. `before` and `after` are its bytes, None where there is no file."""

    path: Path
    agent: str
    action: Action
    before: bytes | None
    after: bytes | None
    diff: str
    data_dir: Path
    pristine: bytes | None = field(repr=False)

    @property
    def changed(self) -> bool:
        """Say whether there is anything to do."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class FileStatus:
    """One settings file: the state of the hook by event, what keeps hooks from running, what is wrong.

    `posts` says that events of some kind are sent by HTTP, `asks` that prompts ask for a skill.
    """

    scope: str
    path: Path
    exists: bool
    events: Mapping[str, State]
    disabled_by: tuple[str, ...] = ()
    problem: str | None = None
    posts: bool = False
    asks: bool = False

    @property
    def installed(self) -> bool:
        """Say whether the hook is here in its current version, for every event."""
        return bool(self.events) and all(state == "current" for state in self.events.values())


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """The folder that the hook writes to. `off` and `full` are the flags that silence the hook."""

    folder: Path
    exists: bool
    writable: bool
    private: bool
    off: bool
    full: bool


@dataclass(frozen=True, slots=True)
class HooksStatus:
    """Everything between an agent and the spool."""

    files: tuple[FileStatus, ...]
    spool: SpoolStatus


def plan(
    settings_file: Path,
    command: str,
    action: Action,
    *,
    data_dir: Path,
    events: Sequence[str] | None = None,
    agent: Agent = CLAUDE,
    url: str | None = None,
    asking: str | None = None,
) -> Plan:
    """Work out what installing or uninstalling would make of a settings file.

    `events` are all of the agent's unless given; with a `url` it posts those that it can, and with `asking`
    prompts have that command. Raises Refused
    when the file can not be edited with certainty, and OSError when it can not be read.
    """
    path = Path(os.path.realpath(settings_file))  # of links in a circle, reading says that they are
    before = _read(path)
    pristine = _without_ours(path, before, data_dir)
    handlers = agent.handlers(command, events, url, asking)
    after = _with_ours(path, before, handlers) if action == "install" else pristine
    if before is not None and before != after and (names := path.stat().st_nlink) > 1:
        raise Refused(
            f"{path} has {names} names (hard links), and a change would part them; give it one name, or use"
            " symbolic links, and run the command again"
        )
    return Plan(
        path=path,
        agent=agent.name,
        action=action,
        before=before,
        after=after,
        diff=_diff(path, before, after),
        data_dir=data_dir,
        pristine=pristine,
    )


def apply(plan: Plan) -> None:
    """Carry a plan out. Raises Refused when the file is not what the plan was made for any more."""
    if not plan.changed:
        return
    if _read(plan.path) != plan.before or os.path.realpath(plan.path) != str(plan.path):
        raise Refused(f"{plan.path} has changed meanwhile; run the command again")
    if plan.action == "install":
        _remember(plan)
    if plan.after is not None:
        plan.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(plan.path, plan.after)
    else:
        plan.path.unlink()
    if plan.action == "uninstall":
        _forget(plan)


def status(
    files: Mapping[Scope, Path],
    command: str,
    spool: Path,
    events: Sequence[str] | None = None,
    *,
    agent: Agent = CLAUDE,
    url: str | None = None,
    asking: str | None = None,
) -> HooksStatus:
    """Look at settings files and the spool folder; nothing is changed, and a broken file is a `problem`.

    Hooks that run `command` are current, and so are those that post to `url`, or run `asking`.
    """
    wanted = agent.events if events is None else events
    looked = tuple(_file_status(scope, path, {command, url, asking}, wanted) for scope, path in files.items())
    return HooksStatus(files=looked, spool=_spool_status(spool))


def entries(path: Path) -> tuple[Found, ...]:
    """Give the entries of ours in a settings file. Raises Refused and OSError."""
    text = _decode(path, _read(path))
    parse_settings(text, str(path))
    return tuple(ours(text))


def _spool_status(folder: Path) -> SpoolStatus:
    spool = Spool(folder)
    try:
        return SpoolStatus(
            folder=folder,
            exists=folder.is_dir(),
            writable=folder.is_dir() and os.access(folder, os.W_OK | os.X_OK),
            private=folder.is_dir() and not folder.stat().st_mode & 0o077,
            off=spool.is_off(),
            full=spool.is_full(),
        )
    except PermissionError:  # somebody else's folder: there, and of no use to this user
        return SpoolStatus(folder, exists=True, writable=False, private=False, off=False, full=False)


def _file_status(
    scope: str, path: Path, current: AbstractSet[str | None], events: Sequence[str]
) -> FileStatus:
    states: dict[str, State] = dict.fromkeys(events, "missing")
    try:
        data = _read(path)
        text = _decode(path, data)
        value = parse_settings(text, str(path))
    except (Refused, OSError) as error:
        return FileStatus(scope, path, exists=True, events=states, problem=str(error))
    entries = list(ours(text))
    for found in entries:
        if found.event in states and states[found.event] != "current":
            states[found.event] = "current" if found.command in current else "outdated"
    return FileStatus(
        scope,
        path,
        exists=data is not None,
        events=states,
        disabled_by=tuple(name for name in _SWITCHES if value.get(name) is True),
        posts=any(found.key == "url" for found in entries),
        asks=any("/v1/route/" in found.command for found in entries),
    )


def _with_ours(path: Path, before: bytes | None, handlers: Mapping[str, Handler]) -> bytes:
    text = _decode(path, before)
    parse_settings(text, str(path))
    return with_hook(text, handlers).encode()


def _without_ours(path: Path, before: bytes | None, data_dir: Path) -> bytes | None:
    """Give the bytes without the hook: those of before the installation when nobody has edited since."""
    if before is None:
        return None
    if (record := _record(path, before, data_dir)) is not None:
        return record.restore(before)
    text = _decode(path, before)
    parse(text, str(path))
    return without_hook(text).encode() if next(ours(text), None) else before


def _decode(path: Path, data: bytes | None) -> str:
    """Give the text of settings; where there are none, the smallest that can be edited."""
    try:
        text = (data or b"").decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 at byte {error.start}; KARL leaves it as it is") from error
    return text if text.strip() else "{}\n"


def _diff(path: Path, before: bytes | None, after: bytes | None) -> str:
    old, new = ((data or b"").decode().splitlines(keepends=True) for data in (before, after))
    lines = difflib.unified_diff(old, new, fromfile=str(path), tofile=str(path))
    mark = "\n\\ No newline at end of file\n"
    return "".join(line if line.endswith("\n") else line + mark for line in lines)


def _read(path: Path) -> bytes | None:
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise Refused(f"{path} is no file; KARL leaves it as it is")  # a pipe would be waited for
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _replace(path: Path, data: bytes) -> None:
    """Put bytes in the place of a file in one step; a new file is for its owner alone."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if path.exists():
                old = path.stat()
                os.fchmod(handle, old.st_mode & 0o7777)
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, old.st_uid, old.st_gid)
                _copy_attributes(path, handle)
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)  # there only when something went wrong


def _copy_attributes(path: Path, handle: int) -> None:
    """Give a file the extended attributes of another, its access list among them."""
    for name in os.listxattr(path) if hasattr(os, "listxattr") else ():
        with suppress(OSError):  # some are the system's own
            os.setxattr(handle, name, os.getxattr(path, name))


@dataclass(frozen=True, slots=True)
class _Record:
    """The way from installed settings to those of before: `edits` are (start, end, text), in characters."""

    after_sha256: str
    before_sha256: str | None
    edits: tuple[tuple[int, int, str], ...]
    made_folder: bool

    def restore(self, after: bytes) -> bytes | None:
        """Undo the installation; None stands for no file."""
        if self.before_sha256 is None:
            return None
        text = after.decode()
        for start, end, instead in reversed(self.edits):
            text = text[:start] + instead + text[end:]
        return text.encode()

    def fits(self, after: bytes) -> bool:
        """Say whether this leads from these bytes to those of before."""
        if self.after_sha256 != _sha256(after):
            return False
        before = self.restore(after)
        return self.before_sha256 == (None if before is None else _sha256(before))


def _record_path(path: Path, data_dir: Path) -> Path:
    return data_dir / "hooks" / f"{_sha256(os.fsencode(path))[:32]}.json"


def _record(path: Path, current: bytes | None, data_dir: Path) -> _Record | None:
    """Give what is remembered of a file; None when it is not as `apply` left it."""
    stored = _read(_record_path(path, data_dir))
    if stored is None or current is None:
        return None
    try:
        record = _Record(**json.loads(stored))
        return record if record.fits(current) else None
    except (ValueError, TypeError):
        return None  # half a record is none: the hook can be found without it


def _remember(plan: Plan) -> None:
    """Write the way back before the settings change: after a crash between the two it fits nothing."""
    if plan.after is None:
        return
    earlier = _record(plan.path, plan.before, plan.data_dir)
    record = _Record(
        after_sha256=_sha256(plan.after),
        before_sha256=None if plan.pristine is None else _sha256(plan.pristine),
        edits=tuple(_edits(plan.after.decode(), (plan.pristine or b"").decode())),
        made_folder=earlier.made_folder if earlier else not plan.path.parent.exists(),
    )
    target = _record_path(plan.path, plan.data_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, json.dumps(asdict(record)).encode())


def _forget(plan: Plan) -> None:
    record = _record(plan.path, plan.before, plan.data_dir)
    _record_path(plan.path, plan.data_dir).unlink(missing_ok=True)
    if record is not None and record.made_folder and plan.after is None:
        with suppress(OSError):  # somebody else keeps something in it
            plan.path.parent.rmdir()


def _edits(after: str, before: str) -> Iterator[tuple[int, int, str]]:
    """Compare line by line; what is equal is not stored."""
    new, old = after.splitlines(keepends=True), before.splitlines(keepends=True)
    starts = [0, *accumulate(len(line) for line in new)]
    for tag, i, j, k, m in difflib.SequenceMatcher(None, new, old, autojunk=False).get_opcodes():
        if tag != "equal":
            one, other = "".join(new[i:j]), "".join(old[k:m])
            head = _shared(one, other)
            tail = _shared(one[head:][::-1], other[head:][::-1])
            yield starts[i] + head, starts[j] - tail, other[head : len(other) - tail]


def _shared(one: str, other: str) -> int:
    """Count the characters that two texts begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

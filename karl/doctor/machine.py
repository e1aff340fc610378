"""The machine under the line: settings, folders, room on its disks, versions, and whether `karl up` runs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import karl
from karl.counted import many
from karl.doctor.check import Check, Look, Machine, Verdict, held, size
from karl.errors import SettingsError
from karl.settings import Settings, read_settings
from karl.stream.server import socket_path

LINK = "machine"

#: Free bytes, and free files, below which a disk is a warning and a failure.
ROOM_WARN, ROOM_FAIL = 1 << 30, 100 << 20
FILES_WARN, FILES_FAIL = 10_000, 1_000

#: What the line's processes can not start without.
_NEEDED = ("redis", "msgspec", "click", "re2")


def readable(environ: Mapping[str, str]) -> tuple[Settings, Check]:
    """Read what can be read of the settings, and say what can not: no other process would start with it."""
    kept, weights, troubles = {}, {}, []
    for name, value in environ.items():
        if name.startswith("KARL_REWARD_W_"):
            weights[name] = value  # they make sense together only
        elif name.startswith("KARL_"):
            try:
                read_settings({name: value})
                kept[name] = value
            except SettingsError as error:
                troubles.append(str(error))
    try:
        settings = read_settings({**kept, **weights})
    except SettingsError as error:
        troubles.append(str(error))
        settings = read_settings(kept)
    if troubles:
        hint = "mend or unset it where it is set: every process of KARL refuses to start with it"
        return settings, Check(LINK, "settings", "fail", "; ".join(troubles), hint)
    return settings, Check(LINK, "settings", "ok", f"{many(len(kept) + len(weights), 'variable')} set")


def private(link: str, name: str, folder: Path) -> Check | None:
    """Say what is wrong with a folder that its owner alone should use; null when nothing is."""
    try:
        status = folder.stat()
    except OSError as error:
        return Check(link, name, "fail", f"{folder} can not be looked at: {error.strerror}")
    if not folder.is_dir():
        hint = "move the file away, or set KARL_DATA_DIR"
        return Check(link, name, "fail", f"{folder} is no folder", hint)
    mine = status.st_uid == os.geteuid()
    # What a link leads to, and a folder that is shared by its nature (/tmp), is not ours to close.
    ours = mine and not folder.is_symlink() and not status.st_mode & stat.S_ISVTX
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        hint = "mount it writable, or set KARL_DATA_DIR or KARL_SPOOL_DIR"
        return Check(link, name, "fail", f"{folder} is on a disk that is mounted read-only", hint)

    def close() -> str:
        folder.chmod(0o700)
        return f"gave {folder} the mode 0700"

    mode = status.st_mode & 0o777
    if mode & 0o700 != 0o700 or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        owner = "" if mine else f" and belongs to user {status.st_uid}"
        return Check(
            link, name, "fail", f"{folder} can not be written to: its mode is {mode:04o}{owner}",
            f"chmod 700 {folder}", mend=close if ours else None,
        )  # fmt: skip
    if mode & 0o077:
        return Check(
            link, name, "warn", f"{folder} is open to other users: its mode is {mode:04o}",
            f"chmod 700 {folder}", mend=close if ours else None,
        )  # fmt: skip
    return None


def _data_folder(machine: Machine) -> Iterator[Check]:
    folder = machine.settings.data_dir

    def make() -> str:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return f"made {folder}"

    if not os.path.lexists(folder):
        hint = "`karl up` makes it; or set KARL_DATA_DIR"
        yield Check(LINK, "data folder", "warn", f"there is no {folder}", hint, mend=make)
        return
    yield private(LINK, "data folder", folder) or Check(LINK, "data folder", "ok", f"{folder}, mode 0700")


def _socket(machine: Machine) -> Iterator[Check]:
    path = socket_path(machine.settings.data_dir)
    if machine.settings.redis_url or path.is_relative_to(machine.settings.data_dir):
        return
    if path.parent.exists() and path.parent.stat().st_uid != os.geteuid():
        seen = f"{path.parent}, where the server's socket must be, belongs to another user"
        yield Check(LINK, "socket", "fail", seen, "set KARL_DATA_DIR to a shorter path")
        return
    seen = f"the data folder's path is too long for a socket, which is therefore {path}"
    yield Check(LINK, "socket", "ok", seen)


def room(free_bytes: int, free_files: int | None) -> Verdict:
    """Judge what is left on a disk; null files stand for a file system that does not count them."""
    files = FILES_WARN if free_files is None else free_files
    if free_bytes < ROOM_FAIL or files < FILES_FAIL:
        return "fail"
    return "warn" if free_bytes < ROOM_WARN or files < FILES_WARN else "ok"


def _rooms(machine: Machine) -> Iterator[Check]:
    """Look at each disk that the line writes to, once."""
    settings = machine.settings
    seen: dict[int, list[str]] = {}
    places: dict[int, Path] = {}
    for what, path in (("data", settings.data_dir), ("spool", settings.spool), ("ledger", settings.ledger)):
        place = _existing(path)
        device = place.stat().st_dev
        seen.setdefault(device, []).append(what)
        places[device] = place
    for device, place in places.items():
        status = os.statvfs(place)
        free = status.f_bavail * status.f_frsize
        files = status.f_favail if status.f_files else None
        text = f"{size(free)} free" + (f", room for {files:,} files" if files is not None else "")
        verdict = room(free, files)
        hint = "" if verdict == "ok" else "make room: without it events, and then records, can not be kept"
        yield Check(LINK, f"disk of {', '.join(seen[device])}", verdict, text, hint)


def _existing(path: Path) -> Path:
    """Give the path, or the nearest folder above it that there is."""
    return next(place for place in (path, *path.parents) if place.exists())


def _versions(_machine: Machine) -> Iterator[Check]:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        hint = "install KARL again: its packages are not all there"
        yield Check(LINK, "versions", "fail", f"missing: {', '.join(missing)}", hint)
        return
    named = {
        "karl": karl.__version__,
        "Python": platform.python_version(),
        "redis-py": importlib.metadata.version("redis"),
        "SQLite": sqlite3.sqlite_version,
        platform.system(): platform.release(),
    }
    text = ", ".join(f"{name} {version}" for name, version in named.items())
    if importlib.util.find_spec("hiredis") is None:
        yield Check(LINK, "versions", "warn", f"{text}; no hiredis", "pip install hiredis: it reads faster")
        return
    yield Check(LINK, "versions", "ok", text)


def supervisor(data_dir: Path) -> str | None:
    """Give the process id of the `karl up` of a data folder; null when none runs."""
    lock = data_dir / "up.lock"
    if not held(lock):
        return None
    return lock.read_text("ascii", "replace").strip() or "unknown"


def _supervisor(machine: Machine) -> Iterator[Check]:
    pid = supervisor(machine.settings.data_dir)
    if pid is not None:
        yield Check(LINK, "karl up", "ok", f"runs as process {pid}, and starts again what ends")
    elif machine.settings.redis_url:
        yield Check(LINK, "karl up", "ok", "does not run here; the line's Redis is elsewhere")
    else:
        yield Check(LINK, "karl up", "warn", "does not run: this machine has no line", "`karl up`")


CHECKS: tuple[Look, ...] = (_data_folder, _socket, _rooms, _versions, _supervisor)

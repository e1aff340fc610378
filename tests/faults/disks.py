"""Small disks of the kernel's own making, which can be full or read-only.

A disk is a tmpfs mounted on a folder; that takes the right to mount (`may_mount`), which root has, and
everybody else in a namespace of their own: `unshare --user --map-root-user --mount`.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_BALLAST = ".ballast"
NO_MOUNT = "may not mount a file system here (as root, or inside `unshare -rm`, it may)"


@cache
def may_mount() -> bool:
    """Try it."""
    with tempfile.TemporaryDirectory() as folder:
        if _run("mount", "-t", "tmpfs", "-o", "size=1m", "none", folder):
            return False
        _run("umount", "-l", folder)
    return True


class Disk:
    """A tmpfs of so many MiB on a folder, which is made."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True)
        if _run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "none", str(folder)):
            raise AssertionError(NO_MOUNT)

    def fill(self, room: int = 0) -> None:
        """Leave so many bytes free, rounded down to whole pages; writes beyond get ENOSPC."""
        with (self.folder / _BALLAST).open("wb") as file:
            while True:
                disk = os.statvfs(self.folder)
                size = (disk.f_bavail - room // disk.f_frsize) * disk.f_frsize
                if size <= 0:
                    return
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise  # else somebody has written meanwhile: there is less to fill
                else:
                    return

    def make_room(self) -> None:
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def read_only(self) -> bool:
        """Allow no more changes; False when a process holds a file open for writing: the kernel forbids it then."""
        return _run("mount", "-o", "remount,ro", str(self.folder)) == 0

    def writable(self) -> None:
        _run("mount", "-o", "remount,rw", str(self.folder))

    def close(self) -> None:
        """Unmount; what is left is gone."""
        _run("umount", "-l", str(self.folder))


def _run(*argv: str) -> int:
    try:
        return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode
    except FileNotFoundError:
        return 127

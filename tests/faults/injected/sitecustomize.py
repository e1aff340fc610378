"""What harms a child process from inside: its disk's answers and its wall clock, as a shared page of bytes says.

Python runs a module of this name at its start when its folder is on PYTHONPATH, before any module of the
product, which knows nothing of it. `TORTURE_PAGE` names the file of the page; without it nothing is changed.

The page, all numbers little-endian doubles in the order of `FIELDS`:

    clock_s     added to the wall clock (monotonic clocks stay as they are)
    slow_s      seconds that each fsync takes longer
    fail        how many fsyncs still answer EIO; each one counts down
    lose        1: a failing fsync also drops what was written since the last good one, as Linux may
    torn        the next write of data puts so many of its bytes into the file (modulo its length); -1: whole
    how         what a torn write then does: 0 an error (ENOSPC), 1 the process dies, 2 a short count
    harmed      what was done so far; counted here, for whoever wrote the page

Only descriptors of files below `TORTURE_DISK` are harmed.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import mmap
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

FIELDS = ("clock_s", "slow_s", "fail", "lose", "torn", "how", "harmed")
PAGE = struct.Struct(f"<{len(FIELDS)}d")
ERROR, DEATH, SHORT = 0.0, 1.0, 2.0


class Page:
    """The shared page as attributes."""

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), PAGE.size)

    def get(self, name: str) -> float:
        return float(struct.unpack_from("<d", self._bytes, 8 * FIELDS.index(name))[0])

    def put(self, name: str, value: float) -> None:
        struct.pack_into("<d", self._bytes, 8 * FIELDS.index(name), value)

    def close(self) -> None:
        self._bytes.close()


def harm_clock(page: Page) -> None:
    """Move the wall clock: `time.time`, `time.time_ns`, and what `datetime` takes from the system."""
    real_time, real_time_ns, real = time.time, time.time_ns, dt.datetime
    offset = struct.Struct("<d")
    bytes_ = page._bytes

    class _Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

    class Shifted(real, metaclass=_Kind):
        def __new__(cls, *words: Any, **named: Any) -> Any:
            return real(*words, **named)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return real.now(tz) + dt.timedelta(seconds=page.get("clock_s"))

    time.time = lambda: real_time() + offset.unpack_from(bytes_)[0]
    time.time_ns = lambda: real_time_ns() + int(offset.unpack_from(bytes_)[0]) * 1_000_000_000
    dt.datetime = Shifted  # type: ignore[misc]


def harm_disk(page: Page, disk: str) -> None:
    """Put the page's answers before those of the disk."""
    synced: dict[int, int] = {}
    write, close = os.write, os.close

    def is_harmed(fd: int) -> bool:
        try:
            if hasattr(fcntl, "F_GETPATH"):  # macOS
                return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).startswith(os.fsencode(disk))
            return os.readlink(f"/proc/self/fd/{fd}").startswith(disk)  # noqa: PTH115 - a string will do
        except OSError:
            return False

    def torn_write(fd: int, data: Any) -> int:
        torn = int(page.get("torn"))
        if torn < 0 or not is_harmed(fd):
            return write(fd, data)
        page.put("torn", -1)
        page.put("harmed", page.get("harmed") + 1)
        view = memoryview(data).cast("B")
        length = torn % len(view)
        if length:
            write(fd, view[:length])
        how = page.get("how")
        if how == DEATH:
            os.kill(os.getpid(), signal.SIGKILL)
        if how == ERROR:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return length

    def hard(sync: Any) -> Any:
        def harmed(fd: int) -> None:
            if is_harmed(fd):
                if page.get("slow_s"):
                    time.sleep(page.get("slow_s"))
                if page.get("fail") > 0:
                    page.put("fail", page.get("fail") - 1)
                    page.put("harmed", page.get("harmed") + 1)
                    if page.get("lose") and fd in synced and synced[fd] < os.fstat(fd).st_size:
                        os.ftruncate(fd, synced[fd])
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                sync(fd)
                synced[fd] = os.fstat(fd).st_size
            else:
                sync(fd)

        return harmed

    def forgetful_close(fd: int) -> None:
        synced.pop(fd, None)
        close(fd)

    os.write, os.close = torn_write, forgetful_close
    os.fsync, os.fdatasync = hard(os.fsync), hard(os.fdatasync)


if "TORTURE_PAGE" in os.environ:
    _page = Page(os.environ["TORTURE_PAGE"])
    harm_clock(_page)
    harm_disk(_page, os.environ["TORTURE_DISK"])

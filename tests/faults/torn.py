"""Tear a ledger's writes at every so many bytes, each in a process that dies of it: `python -m tests.faults.torn`.

    python -m tests.faults.torn FOLDER STEP

One writer after the other, each a fork of this process, opens the ledger, appends a batch, and dies by SIGKILL when
so many bytes of one of its writes have reached the file: the claim in LOCK, the header of its segment, or the batch.
Prints how many died, and at which write.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from karl.ledger.writer import Draft, Writer
from tests.faults.injected.sitecustomize import DEATH, harm_disk
from tests.faults.page import Page, new_page

#: Which of a writer's writes is torn: the claim, the header, the batch.
WRITES = ("claim", "header", "batch")
BATCH = 3


def main(folder: Path, step: int) -> None:
    page = new_page(folder / "page")
    harm_disk(page, str(folder / "ledger"))
    died: Counter[str] = Counter()
    terms = itertools.count(1)
    _run(folder, page, next(terms), torn=-1, write=0)
    for write, name in enumerate(WRITES):
        for torn in range(0, 4000, step if write else 1):
            if not _run(folder, page, next(terms), torn=torn, write=write):
                break
            died[name] += 1
            _run(folder, page, next(terms), torn=-1, write=0)
    print(json.dumps(died))


def _run(folder: Path, page: Page, term: int, *, torn: int, write: int) -> bool:
    """Let a writer live; True when it died of the torn write, False when its write was shorter than that."""
    child = os.fork()
    if not child:
        os._exit(_write(folder / "ledger", page, term, torn, write))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _write(folder: Path, page: Page, term: int, torn: int, nth: int) -> int:
    """Open the ledger and append; the `nth` write from now is torn after so many bytes, if it has as many."""
    _arm(page, torn, nth)
    clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # noqa: E731 - a clock that stands
    with Writer.open(
        folder, term=term, clock=clock, segment_max_bytes=1 << 20, trusted=lambda: True
    ) as writer:
        last = int(writer.watermarks.get(7, "0-0").partition("-")[0])
        drafts = [
            Draft("events", b'{"session":"s","n":%d}' % n, 7, f"{n}-0")
            for n in range(last + 1, last + 1 + BATCH)
        ]
        writer.append(drafts)
    return 0


def _arm(page: Page, torn: int, nth: int) -> None:
    """Tear the `nth` write of this process at `torn` bytes, unless it is shorter."""
    page.put("torn", -1)
    page.put("how", DEATH)
    if torn < 0:
        return
    write, count = os.write, itertools.count()

    def counted(fd: int, data: bytes) -> int:
        if next(count) == nth and torn < len(data):
            page.put("torn", torn)
        return write(fd, data)

    os.write = counted  # type: ignore[assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""The views as they were when the ledger ended at some line: those in use, or others made anew for it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from karl.errors import Refused
from karl.export.under_way import clear, under_way
from karl.ledger.reader import Position, Reader
from karl.views.lineage import Lineage
from karl.views.prompts import Prompted
from karl.views.rebuild import build

Progress = Callable[[int], object]
#: How the folders of views that are made anew are called, beside those in use.
_MADE_ANEW = "export-"


class Moment(Lineage, Prompted):
    """The views of one moment, asked about learning and for prompts."""

    def prefer(self) -> str:
        """Give the version of the reward whose scores count where a turn has several."""
        rows = self._all("SELECT value FROM meta WHERE key = 'reward_version'")
        return str(rows[0][0]) if rows else ""


@contextmanager
def as_of(
    views: Path, ledger: Path, to_seq: int, reward_version: str, progress: Progress
) -> Iterator[Moment]:
    """Give the views up to the ledger's line `to_seq`, or all of them for 0, with scores of one version.

    What came later and changes no export does not count. `progress` is called with the line reached where
    they are made anew. Raises Refused where what the lines were can not be told any more.
    """
    with Moment(views) as lineage:
        last, head = lineage.position().seq, lineage.learned_head().seq
        if to_seq > last:
            raise Refused(f"the views end at line {last} of the ledger, before line {to_seq}")
        if lineage.prefer() == reward_version and (not to_seq or head <= to_seq):
            yield lineage
            return
        to_seq = to_seq or last
    clear(views.parent, _MADE_ANEW)
    folder = views.parent / f"{_MADE_ANEW}{secrets.token_hex(4)}"
    with under_way(folder, lambda: folder.mkdir(mode=0o700)):
        file = folder / "views.sqlite"
        build(file, ledger, reward_version, progress, up_to=to_seq)
        with Moment(file) as lineage:
            _check(ledger, lineage.position(), to_seq)
            yield lineage


def _check(ledger: Path, position: Position, to_seq: int) -> None:
    """Raises Refused where bodies were taken out since: what they said is in no view of that moment."""
    with Reader(ledger, position) as reader:
        while lines := reader.poll(1000):
            if any(line.kind == "erasure" for line in lines):
                raise Refused(
                    f"sessions were erased after line {to_seq} of the ledger: what was there then can not be "
                    "exported again; leave --to-seq away, or name a line after the erasure"
                )

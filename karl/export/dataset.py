"""A data set: train, valid and a manifest in one folder, whole or not at all.

    choose turns -> lay their rows aside -> part the sessions -> weigh and shuffle train -> write
        -> read back what was written: is it clean, is anything on both sides -> manifest

Invariants:
- Sessions are parted before anything is weighed or copied; held-out ones are not even read.
- The same lines of the ledger and the same options give the same bytes, on any machine.
- Nothing appears that has a secret in it, or the same thing on both sides.
- Memory holds one turn (of pairs and documents one session), and about 100 bytes a row.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from karl.errors import NotFound
from karl.export import parquet, written
from karl.export.budget import Budget
from karl.export.clean import Cleaner
from karl.export.gather import MASKED, Gathered, Gatherer, skips
from karl.export.moment import Moment, as_of
from karl.export.options import DataSetOptions
from karl.export.output import is_same_set, whole_set
from karl.export.selection import DAMAGED, Selection
from karl.export.spill import Spill
from karl.export.synthetic import synthetic_rows
from karl.export.weighing import Weighing, weigh
from karl.learning import manifests
from karl.learning.contamination import HeldOut
from karl.learning.groups import Item
from karl.learning.marks import mark
from karl.learning.split import Side, Sides, split
from karl.schema.learning import Manifest, Span
from producers.redact import Redactor
from workers.datasets import check

#: Sessions that are in no part, though they were read, by where they are.
NEAR_HELD = "rows of sessions that ask what a held-out session asks"
STRADDLING = "rows of sessions that go on after the cut, or ask what later ones ask"
REPEATS = "rows that say what a row of valid says, after the same messages"
UNPAIRED = "pairs of which each side is in another part"
_APART: dict[Side, str] = {"held out": NEAR_HELD, "straddling": STRADDLING}
#: Characters of a row that a model of an ordinary context can not take.
_LONG = 32_000

#: What is being done, how far it is, and of how much (0: nobody knows).
Progress = Callable[[str, int, int], object]


class Made(msgspec.Struct, frozen=True):
    """A data set that was made. `is_new` is false where the same one was there already."""

    id: str
    output: str
    manifest: Manifest
    is_new: bool = True
    kept_share: float = 1.0
    weights: dict[str, int] = {}
    damaged: int = 0
    long_rows: int = 0


class Parts(NamedTuple):
    """What was found, and where each session is."""

    gathered: Gathered
    spill: Spill
    items: list[Item]
    sides: Sides

    def sessions(self, side: Side) -> frozenset[str]:
        """Give the sessions of a side that have lines."""
        return frozenset(name for name in self.spill.sessions if self.sides.of.get(name) == side)

    def places(self, side: Side) -> list[int]:
        """Give the lines of a side; a pair of which each session is on another is on none."""
        of, others = self.sides.of, self.spill.others
        places = self.spill.places(self.sessions(side))
        return [at for at in places if at not in others or of.get(others[at]) == side]

    def to_train(self) -> list[int]:
        """Give the lines to train with: no row of them says what a row of valid says."""
        known = {one for at in self.places("valid") for one in self.spill.said(at)}
        return [at for at in self.places("train") if known.isdisjoint(self.spill.said(at))]

    def apart(self) -> list[Item]:
        """Give the sessions that are not trained with."""
        return [item for item in self.items if self.sides.of[item.session] != "train"]

    def held_prompts(self) -> tuple[str, ...]:
        """Give what was asked in sessions that are held out, or near to one that is."""
        near = (item for item in self.items if self.sides.of[item.session] == "held out")
        return tuple(text for item in near for text in (*item.prompts, *item.handed))


def make(
    views: Path,
    ledger: Path,
    how: DataSetOptions,
    output: Path | None,
    progress: Progress,
    *,
    budget: Budget | None = None,
    force: bool = False,
) -> Made:
    """Make a data set; without `output`, only say what it would be.

    Raises NotFound where nothing fits, Refused for what is there already, for a side that would be empty, and
    for what is contaminated or not clean.
    """
    if how.format == "parquet":
        parquet.needed()

    def behind(seq: int) -> None:
        progress("reading the ledger", seq, 0)

    folder = whole_set(output, force=force) if output else _nowhere()
    with as_of(views, ledger, how.to_seq, how.reward_version, behind) as moment, folder as to:
        how = msgspec.structs.replace(how, to_seq=moment.learned_head().seq)
        made = _Making(moment, ledger, how, to, progress=progress, budget=budget).make()
        (to / manifests.NAME).write_bytes(manifests.as_bytes(made.manifest))
        is_new = output is None or not is_same_set(output, to)
        if output is not None and not is_new:
            check(output)
    return msgspec.structs.replace(made, output=str(output or ""), is_new=is_new)


@contextmanager
def _nowhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="karl-export-") as folder:
        yield Path(folder)


class _Making:
    """One data set while it is made, in the folder `to`."""

    def __init__(
        self,
        moment: Moment,
        ledger: Path,
        how: DataSetOptions,
        to: Path,
        *,
        progress: Progress,
        budget: Budget | None,
    ) -> None:
        self._moment = moment
        self._ledger = ledger
        self._how = how
        self._to = to
        self._progress = progress
        self._budget = budget
        self._cleaner = Cleaner(Redactor())
        self._held_out = moment.held_out()

    def make(self) -> Made:
        with Spill(self._to / "rows") as spill:
            parts = self._parted(spill)
            places = parts.to_train()
            parts.gathered.left_out[REPEATS] = len(parts.places("train")) - len(places)
            masked = sum(parts.gathered.left_out[reason] for reason in MASKED)
            weighing = weigh(self._how, places, [spill.advantages[at] for at in places], masked)
            extra = synthetic_rows(self._moment, self._ledger, self._how, parts.apart(), len(weighing.order))
            lines = written.Lines(spill, weighing, parts.places("valid"), extra)
            if not weighing.order or not lines.valid:
                _nothing(parts.gathered.left_out)
            written.write(self._to, self._how, lines, partial(self._progress, "writing"))
            found = self._examined(parts, lines.total)
            parts.gathered.counts["tokens"] = sum(spill.tokens[at] for at in lines.places)
        manifest = self._manifest(parts, weighing, found, len(extra))
        weighs = sum(at in weighing.weights for at in places)
        return Made(
            id=manifests.id_of(manifest),
            output="",
            manifest=manifest,
            kept_share=round(weighs / len(places), 4) if places else 0.0,
            weights=weighing.classes,
            damaged=parts.gathered.left_out[DAMAGED],
            long_rows=found.longer_than(_LONG) if self._budget is None else 0,
        )

    def _parted(self, spill: Spill) -> Parts:
        """Lay lines aside, and say where each session is."""
        how, moment = self._how, self._moment
        choice = how.choice
        selection = Selection(moment, self._ledger, choice, self._cleaner, skips(how, self._held_out))
        total = sum(
            moment.fitting(choice.which._replace(session=name)) for name in choice.sessions or (None,)
        )
        gathered = Gatherer(how, selection, self._cleaner, self._budget).gather(
            spill, lambda _session, number: self._progress("reading turns", number, total)
        )
        if not len(spill):
            _nothing(gathered.left_out)
        rows, others = spill.counts(), set(spill.others.values())
        items = [
            item._replace(rows=rows.get(item.session, 0), handed=gathered.handed.get(item.session, ()))
            for item in moment.items()
            if item.session in rows or item.session in self._held_out or item.session in others
        ]
        parts = Parts(gathered, spill, items, split(items, how.split, self._held_out))
        for side, reason in _APART.items():
            gathered.left_out[reason] += len(spill.places(parts.sessions(side)))
        gathered.left_out[UNPAIRED] = sum(
            len(spill.places(parts.sessions(side))) - len(parts.places(side)) for side in ("train", "valid")
        )
        return parts

    def _examined(self, parts: Parts, total: int) -> written.Examined:
        held = HeldOut(self._held_out, parts.held_prompts())
        return written.examine(
            self._to, self._how, held, self._cleaner, lambda number: self._progress("checking", number, total)
        )

    def _manifest(self, parts: Parts, weighing: Weighing, found: written.Examined, extra: int) -> Manifest:
        how, sides, gathered = self._how, parts.sides, parts.gathered
        head = self._moment.learned_head()
        counts = {**gathered.counts, "synthetic rows": extra, "padding": weighing.padding, **weighing.classes}
        return Manifest(
            form=manifests.FORM,
            karl=version("karl-ledger"),
            format=how.format,
            command=how.command(),
            ledger=Span(how.from_seq, head.seq, head.hash),
            reward_version=how.reward_version,
            filters=how.filters(),
            options=how.options(),
            split={
                "groups": dict(sides.groups),
                "sessions": dict(sides.sessions),
                "rows": dict(sides.rows),
                "largest_group": round(sides.largest, 4),
                "cut_ms": sides.cut_ms,
            },
            held_out=tuple(sorted(row.id for row in self._moment.holdouts())),
            counts={name: number for name, number in counts.items() if number},
            left_out={reason: number for reason, number in gathered.left_out.items() if number},
            redactions=dict(self._cleaner.counts),
            contamination=found.contamination,
            weights=weighing.weighed,
            files=found.files,
            sessions={
                side: tuple(sorted(mark(name) for name in parts.sessions(side)))
                for side in ("train", "valid")
            },
        )


def _nothing(left_out: Counter[str]) -> NoReturn:
    """Raises NotFound, with the reasons."""
    reasons = "; ".join(f"{number:,} {reason}" for reason, number in left_out.most_common())
    raise NotFound(
        f"nothing of what was chosen can be learned from: {reasons}"
        if reasons
        else "no trajectory fits; `karl sessions` lists what there is"
    )

"""The runs of an evaluation: each arm with each seed, trained, judged, and its result kept.

    RUN/results/DIGEST.json     what a run was judged, by what it was trained with: rows, weights, recipe
    RUN/DIGEST/                 a run that is under way: its rows and checkpoints; gone when it was judged

Invariants:
- A result appears whole or not at all, and is never made twice: two arms with the same rows share it.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import Refused
from karl.jobs.table import Lift, Progress
from karl.learning.arms import TRAINED, Arms, Chosen
from karl.learning.cost import JUDGED, of_judging, of_runs, of_training
from karl.learning.lift import pack
from karl.learning.manifests import TRAIN, VALID
from karl.learning.row import Row
from karl.schema.learning import ArmRun, Recipe, TrainingBody
from karl.settings import Settings
from karl.training.base_models import Model
from karl.training.order import Judge, Judged, Notice, Train, Trained
from karl.training.process import Died, run
from workers.adapter_files import keep
from workers.capability import device_of
from workers.this_job import asked_to_end, this
from workers.whole_files import write_whole

#: The folder of what was judged.
RESULTS = "results"
#: How often a training that died is started again.
_TRIES = 3
_decode = msgspec.json.Decoder(Row).decode


class Items(NamedTuple):
    """The steps that are judged, session by session, and how many there are of each.

    `repeated` counts those that were left out because a row that is trained with says the same.
    """

    rows: list[Row]
    sessions: tuple[int, ...]
    repeated: int = 0


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of an arm with a seed. `guard` is the loss on plain instructions, nats a token."""

    arm: str
    run: ArmRun
    guard: float | None
    seconds: float
    training: TrainingBody | None = None


def rows_of(path: Path) -> list[Row]:
    """Read the rows of a file. Raises Refused for what is none."""
    try:
        with path.open("rb") as lines:
            return [_decode(line) for line in lines if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise Refused(f"{path.name} can not be read as rows of a data set: {error}") from error


@dataclass(slots=True)
class Runs:
    """The runs of one evaluation, one after the other."""

    asked: Lift
    settings: Settings
    model: Model
    folder: Path
    #: The folder of an adapter that is judged as it is, in the place of the one that its seed would give.
    given: Path | None
    train: list[Row]
    #: What a checkpoint is chosen by; nothing where the last one counts.
    valid: list[Row]
    held: Items
    arms: Arms
    progress: Progress
    evaluation: str
    _begun_s: float = field(default_factory=time.monotonic)
    #: What is done, in rows (karl.learning.cost): of all, and by this process.
    _units: float = 0.0
    _here: float = 0.0
    _at: str = ""
    _number: int = 0
    _judged: int = 0

    def all(self) -> list[Done]:
        """Give the results of base, and of each arm with each seed; those that are there are not redone."""
        (self.folder / RESULTS).mkdir(parents=True, exist_ok=True)
        self._write(self.folder / "items.jsonl", self.held.rows)
        done = [self._base()]
        for seed in self.asked.seeds:
            for arm in TRAINED:
                if arm in self.asked.arms:
                    self._number += 1
                    done.append(self._arm(arm, seed))
        return done

    @property
    def _count(self) -> int:
        return len(self.asked.seeds) * sum(arm in self.asked.arms for arm in TRAINED)

    def _base(self) -> Done:
        self._at = "base"
        path = self.folder / RESULTS / "base.json"
        if path.exists():
            self._units += self._judging
            return self._read(path, "base")
        judged = self._judge(None)
        return self._kept(path, Done("base", self._run(0, judged), judged.guard, judged.seconds))

    def _arm(self, arm: str, seed: int) -> Done:
        self._at = f"{arm}, seed {seed}"
        chosen = self.arms.choose(arm, seed)
        recipe = msgspec.structs.replace(self.asked.recipe, seed=seed)
        given = self.given if arm == "advantage" and seed == self.asked.seed else None
        digest = self._digest(chosen, recipe, given)
        path = self.folder / RESULTS / f"{digest}.json"
        if path.exists():
            self._units += self._judging + (0.0 if given else self._training)
            found = self._read(path, arm)
            return found if arm == "advantage" else msgspec.structs.replace(found, training=None)
        work = self.folder / digest[:16]
        trained = None if given else self._train(chosen, recipe, work)
        adapter = given or work / "adapter"
        judged = self._judge(adapter)
        run_ = self._run(seed, judged, chosen, self.asked.adapter if given else "")
        seconds = judged.seconds + (trained.seconds if trained else 0.0)
        made = Done(arm, run_, judged.guard, seconds)
        if trained and arm == "advantage" and seed == self._keeps:
            made = self._keep(made, trained, recipe)
        made = self._kept(path, made)
        shutil.rmtree(work, ignore_errors=True)
        return made

    @property
    def _keeps(self) -> int:
        """The seed whose adapter stays: the recipe's own, if it is among them."""
        seeds = self.asked.seeds
        return self.asked.seed if self.asked.seed in seeds else seeds[0]

    @property
    def _training(self) -> float:
        return of_training(self.asked.recipe, valid=len(self.valid))

    @property
    def _judging(self) -> float:
        return of_judging(len(self.held.rows))

    def _train(self, chosen: Chosen, recipe: Recipe, work: Path) -> Trained:
        data = work / "data"
        data.mkdir(parents=True, exist_ok=True)
        rows = [
            msgspec.structs.replace(self.train[at], weight=weight)
            for at, weight in zip(chosen.places, chosen.weights, strict=True)
        ]
        self._write(data / TRAIN, rows)
        self._write(data / VALID, self.valid)
        order = Train(
            data=data,
            model=self.model.path,
            name=self.model.name,
            out=work,
            recipe=recipe,
            resume=True,
            device=device_of(self.settings),
        )
        for left in reversed(range(_TRIES)):
            try:
                trained = run(order, **self._how(self._told_training))
            except Died:
                if not left:
                    raise
                continue
            break
        self._did(self._training)
        return trained

    def _judge(self, adapter: Path | None) -> Judged:
        order = Judge(
            model=self.model.path,
            items=self.folder / "items.jsonl",
            tools=tuple(sorted({row.karl.tool for row in self.train if row.karl.tool})),
            adapter=adapter,
            batch=max(1, self.asked.batch),
            max_tokens=self.asked.max_tokens,
            device=device_of(self.settings),
        )
        self._judged = 0
        judged = run(order, **self._how(self._told_judging))
        self._did(self._judging)
        return judged

    def _did(self, rows: float) -> None:
        self._units += rows
        self._here += rows

    def _how(self, progress: Any) -> dict[str, Any]:
        return {
            "cache": self.settings.fast,
            "progress": progress,
            "stop": asked_to_end,
            "log": self.folder / "log.txt",
        }

    def _run(self, seed: int, judged: Judged, chosen: Chosen | None = None, adapter: str = "") -> ArmRun:
        return ArmRun(
            seed=seed,
            tools=pack(judged.tools),
            targets=pack(judged.targets),
            nll=_by_session(judged, self.held.sessions),
            adapter=adapter,
            rows=len(chosen.places) if chosen else 0,
            ess=chosen.ess if chosen else 0.0,
        )

    def _keep(self, made: Done, trained: Trained, recipe: Recipe) -> Done:
        """Keep an adapter, with the record that tells where it comes from."""
        adapter = keep(self.settings, trained.adapter)
        now_ms = time.time_ns() // 1_000_000
        body = TrainingBody(
            id=hashlib.sha256(f"{self.evaluation} {adapter}".encode()).hexdigest(),
            export=self.asked.export,
            model=self.model.name,
            model_digest=self.model.digest,
            recipe=recipe,
            ended="done",
            device=trained.device,
            versions=trained.versions,
            curve=trained.curve,
            node=self.settings.node,
            started_ms=now_ms - int(1000 * made.seconds),
            time_ms=now_ms,
            adapter=adapter,
            best=trained.best,
            files=trained.files,
            bytes=sum((trained.adapter / name).stat().st_size for name in trained.files),
            rows=made.run.rows,
            tokens=trained.tokens,
            tokens_per_s=trained.tokens_per_s,
            seconds=trained.seconds,
            peak_mb=trained.peak_mb,
            resumed=trained.resumed,
            reason=f"the advantage arm of the evaluation {self.evaluation[:12]}",
            job=this.id,
            label=self.asked.label,
            person=self.asked.person,
        )
        run_ = msgspec.structs.replace(made.run, adapter=adapter)
        return msgspec.structs.replace(made, run=run_, training=body)

    def _digest(self, chosen: Chosen, recipe: Recipe, given: Path | None) -> str:
        """Name what a run is made of."""
        what = (chosen.places, chosen.weights, recipe, given.name if given else "")
        return hashlib.sha256(msgspec.json.encode(what)).hexdigest()

    def _read(self, path: Path, arm: str) -> Done:
        return msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Done), arm=arm)

    def _kept(self, path: Path, done: Done) -> Done:
        write_whole(path, msgspec.json.encode(done))
        return done

    def _write(self, path: Path, rows: Sequence[Row]) -> None:
        write_whole(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def _told_training(self, told: Notice) -> None:
        self._tell(
            told,
            float(told.iteration * self.asked.batch),
            f"{self._at}: training",
            train_loss=told.train_loss,
            tokens_per_s=round(told.tokens_per_s, 1),
        )

    def _told_judging(self, told: Notice) -> None:
        # After the items come plain instructions, counted anew.
        before = 0 if told.where == "judging" else len(self.held.rows)
        self._judged = max(self._judged, before + told.iteration) if told.iterations else 0
        self._tell(told, JUDGED * self._judged, f"{self._at}: judging")

    def _tell(self, told: Notice, more: float, where: str, **figures: float | None) -> None:
        """Say how far all of it is."""
        given = self.given is not None and self.asked.seed in self.asked.seeds
        total = of_runs(
            self.asked.recipe, self._count, len(self.held.rows), given=given, valid=len(self.valid)
        )
        here, done = self._here + more, self._units + more
        left = (total - done) * (time.monotonic() - self._begun_s) / here if here else None
        self.progress(
            round(done),
            round(total),
            {
                "where": where,
                "run": self._number,
                "runs": self._count,
                "iteration": told.iteration,
                "iterations": told.iterations,
                "seconds_left": None if left is None else round(left),
                **figures,
            },
        )


def _by_session(judged: Judged, sessions: Sequence[int]) -> tuple[float, ...]:
    """Give the mean loss of each session's answers, nats a token."""
    means, at = [], 0
    for count in sessions:
        span = slice(at, at + count)
        tokens = sum(judged.tokens[span])
        lost = math.fsum(nll * n for nll, n in zip(judged.nll[span], judged.tokens[span], strict=True))
        means.append(round(lost / tokens, 6) if tokens else 0.0)
        at += count
    return tuple(means)

"""Runs of flows: which run an envelope of a gateway belongs to.

A flow is known by its `flow_id`, and may run again and again, also several times at once; envelopes name
no run. One run is one session: its start is the prompt, each step a call, its completion the end of the turn.

Of the runs of its flow an envelope belongs to one that had begun by its time and not ended before it:
- a step's start to the run that something happened in last: a step begins at once after what goes before it;
  not to one that had this step, or has one under way, while there is another,
- a step's end to a run in which this step is under way, by its `duration_ms` and then to the oldest,
- a completion to the run that began nearest to `duration_ms` before, without a step under way, and
  then to the oldest.
A run in which nothing happened for half an hour comes after the others: the gateway may have died in it.
A step or a completion of which no start is known waits for it, and then begins a run of its own.

Invariants:
- Pure: the same envelopes in the same order give the same runs, events and names.
- A run is named by the envelope that begins it, so reading that again begins no other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from karl.schema.event import event_id
from producers.flow_facts import END, START, STEP, STEP_END, Envelope, Order, said_of, session_of, summed_up

#: Runs that have ended and may still be heard of; those of them that lie in several files; runs under way,
#: and those of one flow.
ENDED_KEPT, SPLIT_KEPT, OPEN_KEPT, OPEN_OF_FLOW_KEPT = 512, 2048, 10_000, 128
#: Envelopes that may wait for their run's start.
HELD_KEPT = 1000
#: Names of envelopes by which one that is told twice is known.
RECENT_KEPT = 512
#: Milliseconds without a word after which a run is thought of last.
STALE_MS = 30 * 60 * 1000
#: Lines of a run's summary, and names of its envelopes.
_LINES_MAX, _NAMES_MAX = 200, 4096


class Source(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an envelope stands."""

    file: str
    line: int


class Fact(msgspec.Struct, frozen=True, gc=False):
    """What a hook would have said, its name, and where it was read."""

    payload: dict[str, Any]
    name: str
    source: Source


class Step(msgspec.Struct, omit_defaults=True):
    """A step of a run: how often it was begun, whether it is under way, and since when (Unix time, ms)."""

    number: int = 1
    is_open: bool = True
    since_ms: int | None = None


class Run(msgspec.Struct, omit_defaults=True):
    """One run of a flow. `said` has a line for each step that ended, until the run has.

    `moved` counts up over all runs with each envelope. `names` are those of its envelopes; they are kept
    when it lies in several files (`is_split`), so that a copy of the later one is known.
    """

    session: str
    begun: Order
    file: str = ""
    ended: Order | None = None
    steps: dict[str, Step] = {}
    said: list[str] = []
    names: list[str] = []
    is_split: bool = False
    moved: int = 0
    moved_ms: int | None = None

    @property
    def has_open_step(self) -> bool:
        """Say whether a step is under way."""
        return any(step.is_open for step in self.steps.values())

    def call(self, step: str) -> str:
        """Name the call that a step is; one that is tried again is another call."""
        known = self.steps.get(step)
        again = f"#{known.number}" if known and known.number > 1 else ""
        return f"{self.session}:{step}{again}"

    def rank(self, moment: Order) -> int:
        """Say how ill a moment fits in here, whatever happened in it."""
        if self.ended is not None:
            return 1 if moment.is_before(self.ended) else 3
        if moment.time_ms is None or self.moved_ms is None:
            return 0
        return 2 if moment.time_ms - self.moved_ms > STALE_MS else 0

    def begin_step(self, step: str, since_ms: int | None) -> None:
        """Note a step's start."""
        known = self.steps.get(step)
        self.steps[step] = Step(known.number + 1 if known else 1, since_ms=since_ms)

    def note(self, envelope: Envelope, step: str, name: str, file: str, moved: int) -> None:
        """Keep what later envelopes of the run must know, after what this one says was told."""
        self.moved, self.moved_ms = moved, envelope.order.time_ms or self.moved_ms
        self.is_split = self.is_split or file != self.file
        if envelope.type == STEP_END:
            known = self.steps.get(step)
            if known is None:
                known = self.steps[step] = Step()
            known.is_open = False
            if len(self.said) < _LINES_MAX:
                self.said.append(summed_up(envelope))
        elif envelope.type == END and self.ended is None:
            self.ended, self.said = envelope.order, []
        if len(self.names) < _NAMES_MAX:
            self.names.append(name)
        if self.ended is not None and not self.is_split:
            self.names = []


class Waiting(msgspec.Struct):
    """An envelope without a run, and since when it waits for one (Unix time, ms)."""

    envelope: Envelope
    name: str
    source: Source
    since_ms: int


class Flows(msgspec.Struct):
    """The runs that are under way or ended a while ago, by their flow, oldest first.

    `held` waits for its run; `recent` has the names of the last envelopes: a line told again is no news.
    """

    runs: dict[str, list[Run]] = {}
    held: list[Waiting] = []
    recent: dict[str, int] = {}
    moved: int = 0

    def take(
        self, envelope: Envelope, name: str, source: Source, now_ms: int = 0, session: str | None = None
    ) -> list[Fact]:
        """Give what an envelope of a flow says; nothing while it waits, or when it is told again.

        `name` is its own, `session` that of its run where it is known from elsewhere.
        """
        recent = self.recent
        if name in recent:
            return []
        recent[name] = now_ms
        if len(recent) > 2 * RECENT_KEPT:
            self.recent = dict(list(recent.items())[-RECENT_KEPT:])
        flow = envelope.flow
        if envelope.type == START or session:
            run = self._begun(envelope, source, session or session_of(flow, name))
            return self._told(run, envelope, name, source) + self._joined(flow, run)
        chosen = _chosen(self.runs.setdefault(flow, []), envelope)
        if chosen is not None:
            return self._told(chosen, envelope, name, source)
        time_ms = envelope.order.time_ms
        self.held.append(Waiting(envelope, name, source, 0 if time_ms is None else min(time_ms, now_ms)))
        return self._let_go(self.held[:1]) if len(self.held) > HELD_KEPT else []

    def release(self, until_ms: int) -> list[Fact]:
        """Give what those say that wait since then or before: no start will come."""
        return self._let_go([waiting for waiting in self.held if waiting.since_ms <= until_ms])

    def reread(self, file: str) -> None:
        """Prepare for reading a file from its beginning: its runs go on as if nothing of it had been read."""
        for flow, runs in self.runs.items():
            self.runs[flow] = [run for run in runs if run.ended is None or run.file != file]
            for run in self.runs[flow]:
                if run.file == file:
                    run.steps, run.said = {}, []
        self.held = [waiting for waiting in self.held if waiting.source.file != file]
        self.recent = {}

    @property
    def under_way(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for runs in self.runs.values() for run in runs if run.ended is None]

    @property
    def open_sessions(self) -> set[str]:
        """The sessions of the runs that are under way."""
        return {run.session for run in self.under_way}

    @property
    def split(self) -> dict[str, str]:
        """The sessions of the envelopes of runs that lie in several files, by the envelopes' names."""
        split = (run for runs in self.runs.values() for run in runs if run.is_split)
        return {name: run.session for run in split for name in run.names}

    def forget(self) -> None:
        """Let go of the oldest runs beyond what is kept."""
        for flow, runs in self.runs.items():
            if len(runs) > OPEN_OF_FLOW_KEPT:
                under_way = sorted((run for run in runs if run.ended is None), key=lambda run: run.moved)
                silent = {run.session for run in under_way[:-OPEN_OF_FLOW_KEPT]}
                self.runs[flow] = [run for run in runs if run.session not in silent]
        known = [(flow, run) for flow, runs in self.runs.items() for run in runs]
        if len(known) > ENDED_KEPT:
            known.sort(key=lambda item: (item[1].begun.time_ms or 0, item[0]))
            for ended, split, kept in (
                (True, False, ENDED_KEPT),
                (True, True, SPLIT_KEPT),
                (False, None, OPEN_KEPT),
            ):
                these = [
                    (flow, run)
                    for flow, run in known
                    if (run.ended is not None) is ended and split in {None, run.is_split}
                ]
                for flow, run in these[: max(0, len(these) - kept)]:
                    self.runs[flow].remove(run)
        self.runs = {flow: runs for flow, runs in self.runs.items() if runs}

    def _begun(self, envelope: Envelope, source: Source, session: str) -> Run:
        """Find the run of this session, or begin it."""
        runs = self.runs.setdefault(envelope.flow, [])
        found = next((run for run in runs if run.session == session), None)
        if found is None:
            found = Run(session, envelope.order, source.file)
            runs.append(found)
        return found

    def _joined(self, flow: str, run: Run) -> list[Fact]:
        """Give what those say that waited for this run's start."""
        if not self.held:
            return []
        return self._let_go(
            [
                waiting
                for waiting in self.held
                if waiting.envelope.flow == flow and not waiting.envelope.order.is_before(run.begun)
            ]
        )

    def _let_go(self, these: list[Waiting]) -> list[Fact]:
        facts: list[Fact] = []
        for one in these:
            self.held.remove(one)
            envelope = one.envelope
            run = _chosen(self.runs.setdefault(envelope.flow, []), envelope)
            if run is None:
                run = self._begun(envelope, one.source, session_of(envelope.flow, one.name))
            facts += self._told(run, envelope, one.name, one.source)
        return facts

    def _told(self, run: Run, envelope: Envelope, name: str, source: Source) -> list[Fact]:
        self.moved += 1
        kind, step, call = envelope.type, "", ""
        if kind in (STEP, STEP_END):
            step = envelope.step
            if kind == STEP:
                run.begin_step(step, envelope.order.time_ms)
            call = run.call(step)
        said = said_of(envelope, run.session, call, "\n".join(run.said) if kind == END else "")
        facts = [Fact(payload, event_id(name, str(number)), source) for number, payload in enumerate(said)]
        run.note(envelope, step, name, source.file, self.moved)
        return facts


def _chosen(runs: list[Run], envelope: Envelope) -> Run | None:
    """Choose among the runs of its flow the one that an envelope belongs to; null when there is none."""
    moment = envelope.order
    if len(runs) == 1 and runs[0].ended is None and not moment.is_before(runs[0].begun):
        return runs[0]  # as nearly all of them do
    begun = [run for run in runs if not moment.is_before(run.begun)]
    fitting = [run for run in begun if run.ended is None or not run.ended.is_before(moment)]
    fitting = fitting or [run for run in runs if run.ended is None]
    if envelope.type == STEP:
        return min(fitting, key=lambda run: _ill_begun(run, envelope), default=None)
    if envelope.type == STEP_END:
        return min(fitting, key=lambda run: _ill_ended(run, envelope), default=None)
    if envelope.type == END:
        return min(fitting, key=lambda run: _ill_completed(run, envelope), default=None)
    return min(fitting or runs[-1:], key=lambda run: (run.rank(moment), -run.moved), default=None)


def _ill_begun(run: Run, envelope: Envelope) -> tuple[int, bool, bool, int]:
    """Say how ill a step's start fits a run."""
    return run.rank(envelope.order), envelope.step in run.steps, run.has_open_step, -run.moved


def _ill_ended(run: Run, envelope: Envelope) -> tuple[bool, bool, int, int]:
    """Say how ill a step's end fits a run."""
    step = run.steps.get(envelope.step)
    off = _off_s(envelope, step.since_ms if step else None)
    return (
        step is None or not step.is_open,
        step is not None and not step.is_open,
        off,
        run.rank(envelope.order),
    )


def _ill_completed(run: Run, envelope: Envelope) -> tuple[bool, int, bool, int, bool]:
    """Say how ill a completion fits a run."""
    off = _off_s(envelope, run.begun.time_ms)
    return run.ended is not None, off, run.has_open_step, run.rank(envelope.order), not run.steps


def _off_s(envelope: Envelope, since_ms: int | None) -> int:
    """Say by how many seconds something that began then differs from what an envelope says that it took."""
    took, moment = envelope.took_ms, envelope.order.time_ms
    if took is None or moment is None or since_ms is None:
        return 0
    return int(min(abs(moment - took - since_ms), 1e15) // 1000)

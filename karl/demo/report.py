"""What the demo's ledger and views hold in the end, read back from disk as any reader would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import msgspec

from karl.demo.hooks import Run
from karl.ledger import verify
from karl.ledger.reader import Reader
from karl.schema.event import Event, decode_event
from karl.schema.record import EventsBody, TrajectoryBody
from karl.settings import Settings
from karl.views.detail import Detail, detail
from karl.views.queries import SessionRow, Views

_READ_AT_ONCE = 1000
_with_events: dict[str, msgspec.json.Decoder[TrajectoryBody | EventsBody]] = {
    "trajectory": msgspec.json.Decoder(TrajectoryBody),
    "events": msgspec.json.Decoder(EventsBody),
}


@dataclass(frozen=True, slots=True)
class HookTimes:
    """How long the agent waited for the hook, in milliseconds, over all its runs."""

    runs: int
    median_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What `karl demo` shows.

    `turns` are all trajectories, the oldest first. `corrected` is the turn that the user rejected with the
    prompt `correction`, `delegated` the one with subagents; null when there is none such. `redactions` count
    by rule what never reached the ledger. `sent` counts the events that the agent handed to its hooks,
    `recorded` those in the ledger. `data_dir` is null when the data was not kept.
    """

    sessions: list[SessionRow]
    turns: list[Detail]
    corrected: Detail | None
    correction: str
    delegated: Detail | None
    redactions: dict[str, int]
    verified: verify.Report
    hook: HookTimes
    sent: int
    recorded: int
    seconds: float
    data_dir: Path | None
    problems: list[str]

    @property
    def ok(self) -> bool:
        """Say whether everything was as it had to be."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Found:
    """What lies on disk after the line has ended."""

    verified: verify.Report
    sessions: list[SessionRow] = field(default_factory=list)
    turns: list[Detail] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def redactions(self) -> dict[str, int]:
        """Count what was taken out of the events, by rule."""
        total: Counter[str] = Counter()
        for event in self.events:
            total.update(event.redactions)
        return dict(sorted(total.items()))

    def turns_of(self, session: str) -> list[Detail]:
        """Give the turns of one session in their order."""
        return [turn for turn in self.turns if turn.row.session == session]


def look(settings: Settings) -> Found:
    """Read ledger and views. Raises NotFound when there are none, LedgerDamaged when they are not sound."""
    verified = verify.verify(settings.ledger)
    with Views(settings.views) as views:
        sessions = sorted(views.sessions(limit=100), key=lambda row: row.started_ms)
        turns = [
            detail(views, settings.ledger, turn.id) for row in sessions for turn in views.turns(row.session)
        ]
    return Found(verified, sessions, turns, list(ledger_events(settings.ledger)))


def ledger_events(ledger: Path) -> Iterator[Event]:
    """Give every event in a ledger, in its order."""
    with Reader(ledger) as reader:
        while lines := reader.poll(_READ_AT_ONCE):
            for line in lines:
                if decoder := _with_events.get(line.kind):
                    yield from (decode_event(bytes(raw)) for raw in decoder.decode(line.body).events)


def hook_times(runs: Sequence[Run]) -> HookTimes:
    """Sum up the runs of the hook."""
    times = [run.ms for run in runs] or [0.0]
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return HookTimes(len(runs), *(round(ms, 2) for ms in (median(times), p95, max(times))))

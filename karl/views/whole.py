"""A trajectory with everything that belongs to it: its record, and the facts that came after.

A late result, or what a transcript tells of a turn that hooks had recorded, lies in an `events` record
that names the trajectory. Whoever reads a trajectory reads both: the events together are normalised
and scored anew, by the same code, under the version and weights of the score that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import NotFound
from karl.ledger.reader import read_at
from karl.reward.score import VERSIONS, score
from karl.schema.event import decode_event
from karl.schema.record import AnnotationBody, EventsBody, Score, ScoreBody, TrajectoryBody
from karl.schema.trajectory import Trajectory
from karl.session.emissions import Held, Turn
from karl.session.turn import normalize_turn
from karl.views.schema import FLAGS

_body = msgspec.json.Decoder(TrajectoryBody).decode
_events = msgspec.json.Decoder(EventsBody).decode
_later: dict[str, Callable[[msgspec.Raw], AnnotationBody | ScoreBody]] = {
    "annotation": msgspec.json.Decoder(AnnotationBody).decode,
    "score": msgspec.json.Decoder(ScoreBody).decode,
}

#: Where a record lies: segment, offset, end.
Where = tuple[str, int, int]


class Parts(NamedTuple):
    """Where a trajectory's parts lie. `score` is null while the record's own score counts."""

    record: Where
    late: list[Where]
    score: tuple[str, Where] | None
    flags: dict[str, bool | None]


class Whole(NamedTuple):
    """The body with all events and the reading of all of them, and the score that counts."""

    body: TrajectoryBody
    score: Score


def parts(execute: Callable[..., Any], trajectory: str) -> Parts:
    """Find a trajectory's parts in the views. Raises NotFound."""
    row = execute(
        f"SELECT segment, offset, end, seq, score_seq, {', '.join(FLAGS)} FROM trajectories WHERE id = ?",  # noqa: S608 - our own columns
        (trajectory,),
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no trajectory {trajectory}")
    late = execute("SELECT segment, offset, end FROM late WHERE trajectory = ? ORDER BY seq", (trajectory,))
    newer = None
    if row[3] != row[4]:
        kind, *where = execute(
            "SELECT kind, segment, offset, end FROM scores WHERE seq = ?", (row[4],)
        ).fetchone()
        newer = (kind, (where[0], where[1], where[2]))
    flags = {name: None if value is None else bool(value) for name, value in zip(FLAGS, row[5:], strict=True)}
    return Parts((row[0], row[1], row[2]), [(one[0], one[1], one[2]) for one in late], newer, flags)


def assemble(ledger: Path, where: Parts) -> Whole:
    """Read a trajectory's parts. Raises LedgerDamaged when a record is not where it was."""
    body = _body(read_at(ledger, *where.record).body)
    current = body.score
    if where.score is not None:
        kind, place = where.score
        current = _later[kind](read_at(ledger, *place).body).score
    if not where.late:
        return Whole(body, current)
    late = [_events(read_at(ledger, *place).body) for place in where.late]
    body = with_late(body, late)
    if current.version not in VERSIONS:
        return Whole(body, current)  # another version of KARL made it: better an old score than none
    return Whole(body, scored(body.trajectory, where.flags, current.version, current.weights))


class _Scored(msgspec.Struct, frozen=True):
    """What of a body says how it was scored."""

    score: Score


_scored = msgspec.json.Decoder(_Scored).decode


def weights_of(ledger: Path, where: Parts) -> dict[str, float]:
    """Read the weights of the score that counts. Raises LedgerDamaged as `assemble` does."""
    place = where.record if where.score is None else where.score[1]
    return _scored(read_at(ledger, *place).body).score.weights


def with_late(body: TrajectoryBody, late: Sequence[EventsBody]) -> TrajectoryBody:
    """Give a trajectory with later facts in their places, by time, and read anew."""
    raws = [*body.events, *(raw for one in late for raw in one.events)]
    held = [Held("", bytes(raw), decode_event(raw)) for raw in raws]
    held = _by_time(held)
    turn = Turn(
        id=body.id,
        session=body.session,
        number=body.turn,
        closed_by=body.closed_by,
        held=tuple(held),
        marks=b"",
        time_ms=body.time_ms,
        model=body.model,
        agent_version=body.agent_version,
        permission_mode=body.trajectory.context.permission_mode,
    )
    reading = msgspec.structs.replace(normalize_turn(turn), channel=body.trajectory.channel)
    return msgspec.structs.replace(
        body,
        trajectory=reading,
        events=[msgspec.Raw(item.raw) for item in held],
        model=reading.context.model or body.model,
        project=body.project or reading.context.git_repo or "",
    )


def _by_time(held: list[Held]) -> list[Held]:
    """Order by time; what has none stays behind what it came after."""
    times: list[int] = []
    for item in held:
        time_ms = item.event.time_ms
        times.append(time_ms if time_ms is not None else times[-1] if times else 0)
    order = sorted(range(len(held)), key=times.__getitem__)
    return [held[at] for at in order]


def scored(
    trajectory: Trajectory, flags: Mapping[str, bool | None], version: str, weights: Mapping[str, float]
) -> Score:
    """Score a trajectory with what is known of its outcome by now. Raises KarlError as `score` does."""
    said = {name: flag for name, flag in flags.items() if flag is not None}
    outcome = msgspec.structs.replace(trajectory.outcome, **said)
    return score(msgspec.structs.replace(trajectory, outcome=outcome), version=version, weights=weights)

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

from karl.acts.reader import READER
from karl.errors import NotFound
from karl.ledger.reader import read_at
from karl.reward.basis import NOTHING, Basis
from karl.reward.calibration import Calibration, of_record
from karl.reward.score import VERSIONS, rescore_outcome, score
from karl.schema.event import decode_event
from karl.schema.record import AnnotationBody, CalibrationBody, EventsBody, Score, ScoreBody, TrajectoryBody
from karl.schema.trajectory import Trajectory
from karl.session.emissions import Held, Turn
from karl.session.turn import normalize_turn
from karl.views.columns import KNOWN, known_of

_body = msgspec.json.Decoder(TrajectoryBody).decode
_events = msgspec.json.Decoder(EventsBody).decode
_score = msgspec.json.Decoder(Score).decode
_calibration = msgspec.json.Decoder(CalibrationBody).decode
_later: dict[str, Callable[[msgspec.Raw], AnnotationBody | ScoreBody]] = {
    "annotation": msgspec.json.Decoder(AnnotationBody).decode,
    "score": msgspec.json.Decoder(ScoreBody).decode,
}

_PARTS = "SELECT segment, offset, end, seq, score_seq, made, {} FROM trajectories WHERE id = ?".format(  # noqa: S608
    ", ".join(KNOWN)
)

#: Where a record lies: segment, offset, end.
Where = tuple[str, int, int]


class Parts(NamedTuple):
    """Where a trajectory's parts lie. `score` is null while the record's own score counts.

    `known` is what was said of the outcome, as fields of Outcome. `made` is the score that the views made
    themselves, encoded, where what counts was made without something that is known by now.
    """

    record: Where
    late: list[Where]
    score: tuple[str, Where] | None
    known: dict[str, Any]
    made: str | None = None


class Whole(NamedTuple):
    """The body with all events and the reading of all of them, and the score that counts."""

    body: TrajectoryBody
    score: Score


def parts(execute: Callable[..., Any], trajectory: str) -> Parts:
    """Find a trajectory's parts in the views. Raises NotFound."""
    row = execute(_PARTS, (trajectory,)).fetchone()
    if row is None:
        raise NotFound(f"there is no trajectory {trajectory}")
    late = execute("SELECT segment, offset, end FROM late WHERE trajectory = ? ORDER BY seq", (trajectory,))
    newer = None
    if row[3] != row[4]:
        kind, *where = execute(
            "SELECT kind, segment, offset, end FROM scores WHERE seq = ?", (row[4],)
        ).fetchone()
        newer = (kind, (where[0], where[1], where[2]))
    known = known_of(dict(zip(KNOWN, tuple(row)[6:], strict=True)))
    return Parts((row[0], row[1], row[2]), [(one[0], one[1], one[2]) for one in late], newer, known, row[5])


def assemble(ledger: Path, where: Parts) -> Whole:
    """Read a trajectory's parts. Raises LedgerDamaged when a record is not where it was.

    What an older reader of acts took apart is taken apart anew, if the events tell of as many calls.
    """
    body, current = _recorded(ledger, where)
    calls = body.trajectory.trajectory
    if where.late:
        body = with_late(body, [_events(read_at(ledger, *place).body) for place in where.late])
    elif calls.reader < READER and body.events:
        again = with_late(body, [])
        body = again if again.trajectory.trajectory.total_tools >= calls.total_tools else body
    return Whole(body, current if where.made is None else _score(where.made))


def made_anew(ledger: Path, where: Parts, basis: Callable[[Score], Basis]) -> Whole:
    """Read a trajectory's parts, and make its score with all that is known by now.

    `basis` says what is known of the agent, for a score that was made before. Raises as `assemble` does.
    """
    body, current = _recorded(ledger, where)
    if where.late:
        body = with_late(body, [_events(read_at(ledger, *place).body) for place in where.late])
    if current.version not in VERSIONS:
        return Whole(body, current)  # another version of KARL made it: better an old score than none
    if not where.late:
        known = msgspec.structs.replace(body.trajectory.outcome, **where.known)
        return Whole(body, rescore_outcome(current, known))
    made = scored(body.trajectory, where.known, current.version, current.weights, basis(current))
    return Whole(body, made)


def calibration_at(ledger: Path, segment: str, offset: int, end: int) -> Calibration:
    """Read a calibration's record. Raises LedgerDamaged when it is not there."""
    return of_record(_calibration(read_at(ledger, segment, offset, end).body))


def _recorded(ledger: Path, where: Parts) -> Whole:
    """Read a trajectory's record, and the score of the record that counts."""
    body = _body(read_at(ledger, *where.record).body)
    if where.score is None:
        return Whole(body, body.score)
    kind, place = where.score
    return Whole(body, _later[kind](read_at(ledger, *place).body).score)


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
    trajectory: Trajectory,
    known: Mapping[str, Any],
    version: str,
    weights: Mapping[str, float],
    basis: Basis = NOTHING,
) -> Score:
    """Score a trajectory with what is `known` of its outcome by now, as fields of Outcome; null says nothing.

    Raises KarlError as `score` does.
    """
    said = {name: value for name, value in known.items() if value is not None}
    outcome = msgspec.structs.replace(trajectory.outcome, **said)
    whole = msgspec.structs.replace(trajectory, outcome=outcome)
    return score(whole, version=version, weights=weights, basis=basis)

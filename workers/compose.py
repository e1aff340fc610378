"""From what the fold lets go to record bodies: normalise, score, encode. Pure; no I/O.

This is where the two pure rooms meet: `karl.session` knows nothing of rewards, `karl.reward` nothing
of sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from karl.reward.basis import NOTHING, Basis
from karl.reward.deeds import deeds
from karl.reward.score import rescore_outcome, score
from karl.reward.usual import Seen, seen_of
from karl.schema.record import ALL_KNOWN, AnnotationBody, EventsBody, TrajectoryBody
from karl.schema.trajectory import Outcome
from karl.session.emissions import Carry, Duplicate, Emission, Remark, Strays, Turn
from karl.session.turn import normalize_turn

_FLAGS = ("correction_detected", "redo_detected", "build_success", "session_continued")

_encode = msgspec.json.Encoder().encode


class Composer:
    """Makes record bodies under one reward version with one set of weights.

    `bases` is what is known of agents, by name; whoever has a store of it sets it now and then, and takes
    what was seen of their turns to there.
    """

    def __init__(self, version: str, weights: Mapping[str, float]) -> None:
        self._version = version
        self._weights = weights
        self.bases: Mapping[str, Basis] = {}
        self._seen: Counter[tuple[str, Seen]] = Counter()

    def take_seen(self) -> Counter[tuple[str, Seen]]:
        """Give how many turns of which kind were composed since the last time, by agent."""
        seen, self._seen = self._seen, Counter()
        return seen

    def compose(self, carry: Carry, emission: Emission) -> tuple[str, bytes] | None:
        """Give the kind and the encoded body of an emission's record; a duplicate has none.

        Changes `carry`: what a later remark about this turn needs is put there.
        """
        match emission:
            case Turn():
                return "trajectory", self._trajectory(carry, emission)
            case Strays():
                return "events", _events(emission)
            case Remark():
                return _annotation(carry, emission)
            case Duplicate():
                return None

    def _trajectory(self, carry: Carry, turn: Turn) -> bytes:
        trajectory = normalize_turn(turn)
        first = turn.held[0].event
        basis = self.bases.get(first.agent, NOTHING)
        done = deeds(trajectory)
        scored = score(trajectory, version=self._version, weights=self._weights, basis=basis, done=done)
        carry.last_score, carry.last_outcome = scored, trajectory.outcome
        if (kind := seen_of(done)) is not None:
            self._seen[first.agent, kind] += 1
        return _encode(
            TrajectoryBody(
                id=turn.id,
                session=turn.session,
                turn=turn.number,
                closed_by=turn.closed_by,
                fleet=first.fleet,
                node=first.node,
                agent=first.agent,
                project=next((h.event.project for h in turn.held if h.event.project), ""),
                time_ms=turn.time_ms,
                trajectory=trajectory,
                score=scored,
                events=[msgspec.Raw(held.raw) for held in turn.held],
                agent_version=turn.agent_version,
                model=turn.model,
            )
        )


def bare_facts(emission: Emission) -> tuple[str, bytes] | None:
    """Give the record of a turn that our reading of it failed on: its facts, without a reading."""
    if not isinstance(emission, Turn):
        return None
    return "events", _events(Strays(emission.session, emission.held, emission.marks, emission.time_ms))


def _events(strays: Strays) -> bytes:
    first = strays.held[0].event
    return _encode(
        EventsBody(
            session=strays.session,
            fleet=first.fleet,
            node=first.node,
            agent=first.agent,
            project=first.project,
            time_ms=strays.time_ms,
            events=[msgspec.Raw(held.raw) for held in strays.held],
            after=strays.after,
            ended=strays.ended,
            of=strays.of,
        )
    )


def _annotation(carry: Carry, remark: Remark) -> tuple[str, bytes] | None:
    if carry.last_score is None:  # an earlier version of the carry: the turn can not be re-scored from here
        return None
    said = {name: flag for name in _FLAGS if (flag := getattr(remark, name)) is not None}
    outcome = msgspec.structs.replace(carry.last_outcome or Outcome(), annotation_status=ALL_KNOWN, **said)
    if remark.correction_score is not None:
        outcome.correction_score = remark.correction_score
        outcome.correction_classes = list(remark.correction_classes)
    carry.last_outcome, carry.last_score = outcome, rescore_outcome(carry.last_score, outcome)
    body = AnnotationBody(
        trajectory=remark.trajectory,
        session=remark.session,
        by=remark.by,
        detector=remark.detector,
        outcome=outcome,
        score=carry.last_score,
        time_ms=remark.time_ms,
    )
    return "annotation", _encode(body)

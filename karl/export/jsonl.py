"""Schema v2, one trajectory a line: our reading, with what was said later and the score that counts now."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from karl.export.pieces import LeftOut, Piece
from karl.export.selection import Chosen, Group
from karl.schema.record import ALL_KNOWN
from karl.schema.trajectory import Trajectory

_SIGNALS = ("outcome", "process", "efficiency", "verification", "consistency", "motion")
#: What `extra` says under `karl`: where the trajectory stood, which schema v2 has no field for.
_PLACE = ("turn", "fleet", "node", "agent", "agent_version", "model", "project", "closed_by")


def pieces(group: Group) -> Iterator[Piece | LeftOut]:
    """Give each trajectory of a group."""
    for turn in group.turns:
        calls = len(turn.body.trajectory.trajectory.events)
        yield Piece(turn.row.session, record(turn), 1, 0, calls)


def record(turn: Chosen) -> Trajectory:
    """Give a trajectory as schema v2 has it outside the ledger: with its flags, reward and advantage."""
    known, score = turn.body.trajectory, turn.score
    said = turn.row.known
    signals = {f"{name}_score": score.signals[name] for name in _SIGNALS if name in score.signals}
    annotated = any(getattr(known.outcome, name) != flag for name, flag in said.items())
    outcome = msgspec.structs.replace(
        known.outcome,
        annotation_status=ALL_KNOWN if annotated else known.outcome.annotation_status,
        **said,
        **signals,
        reward_version=score.version,
        reward_score=score.reward,
        reward_components=score.components,
        advantage=turn.row.advantage,
    )
    place = {name: turn.about[name] for name in _PLACE if turn.about[name] is not None}
    return msgspec.structs.replace(
        known,
        id=turn.row.id,
        session_id=turn.row.session,
        outcome=outcome,
        extra={**known.extra, "karl": place},
    )

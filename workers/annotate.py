"""A person's word on a turn, or on the skill it was for, as an annotation that goes to the one writer.

What is said later counts: a word is taken back by saying the opposite, and both stay in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from karl.reward.score import rescore_outcome
from karl.schema.event import event_id
from karl.schema.record import ALL_KNOWN, AnnotationBody
from karl.views.routing import Routed
from karl.views.whole import assemble
from workers.records import Outgoing, send

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: The detector of what a person said.
PERSON = "person"

Word = Literal["good", "bad", "corrected", "not-corrected", "redone", "reverted"]
#: What each word says of the outcome, as fields of Outcome.
WORDS: Mapping[Word, Mapping[str, bool | float]] = {
    "good": {"label": True},
    "bad": {"label": False},
    "corrected": {"correction_detected": True, "correction_score": 1.0},
    "not-corrected": {"correction_detected": False, "correction_score": 0.0},
    "redone": {"redo_detected": True},
    "reverted": {"reverted": True},
}


class Annotated(NamedTuple):
    """What was sent, the reward that the turn had before, and whether anybody has heard of the skill."""

    body: AnnotationBody
    before: float
    is_known: bool = True


def annotate(
    redis: Redis,
    settings: Settings,
    trajectory: str,
    word: Word | None,
    *,
    note: str,
    person: str,
    now_ms: int,
    wait: Callable[[float], None],
    skill: str | None = None,
) -> Annotated:
    """Say something of one turn; `note` is one without secrets.

    `skill` is the one that its prompt was for, empty for none; without a word the score stays as it is.
    Raises NotFound, LineDown, and KarlError for a score of a version that there is not.
    """
    with Routed(settings.views) as views:
        row = views.trajectory(trajectory)
        whole = assemble(settings.ledger, views.parts(row.id))
        is_known = not skill or skill in views.known
    known = {**row.known, **(WORDS[word] if word else {})}
    outcome = msgspec.structs.replace(whole.body.trajectory.outcome, annotation_status=ALL_KNOWN, **known)
    body = AnnotationBody(
        trajectory=row.id,
        session=row.session,
        by=event_id(PERSON, row.id, person, str(now_ms)),
        detector=PERSON,
        outcome=outcome,
        score=rescore_outcome(whole.score, outcome) if word else whole.score,
        time_ms=now_ms,
        person=person,
        note=note,
        skill=skill,
    )
    send(redis, [Outgoing("annotation", row.session, body)], wait)
    return Annotated(body, row.reward, is_known)

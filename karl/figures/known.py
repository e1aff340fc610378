"""What is known of how a turn went (karl.evaluation.known), and what of it speaks against the turn."""

from __future__ import annotations

import msgspec

from karl.evaluation.known import Verdict, verdict
from karl.schema.trajectory import Outcome
from karl.views.figures import Measured

#: Each flag with the value that speaks against a turn.
AGAINST = {
    "label": False,
    "correction_detected": True,
    "redo_detected": True,
    "reverted": True,
    "build_success": False,
    "ci_passed": False,
    "survived": False,
}
_NOTHING = Outcome()


def known_of(row: Measured) -> Verdict | None:
    """Say whether a turn's task got done, and what said so; null when nobody did."""
    if not row.flags and row.correction_score is None:
        return None
    return verdict(msgspec.structs.replace(_NOTHING, **row.flags, correction_score=row.correction_score))


def reasons(row: Measured) -> list[str]:
    """Name what speaks against a turn that is known not to have got its task done; none of another."""
    known = known_of(row)
    if known is None or known.label:
        return []
    return [name for name, value in AGAINST.items() if row.flags.get(name) is value] or [known.by]

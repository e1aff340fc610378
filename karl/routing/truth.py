"""Which skill a prompt was for, as a turn and what followed it tell: never what a router said.

    called     the agent called the skill in that turn
    typed      a person typed /name
    corrected  the turn was corrected, and the next one used another skill
    label      a person said so
    unused     the turn came to its end and used no skill: the prompt asked for none, as far as anybody knows

A truth has a weight: how sure it is. The heaviest one of a prompt counts.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

TruthSource = Literal["label", "corrected", "typed", "called", "unused"]

#: How sure each is, from 0 to 1.
WEIGHTS: dict[TruthSource, float] = {
    "label": 1.0,
    "corrected": 0.9,
    "typed": 0.9,
    "called": 0.7,
    "unused": 0.3,
}
#: What is left of `called` and `typed` where the person corrected the turn.
CORRECTED_SHARE = 0.5


class Truth(NamedTuple):
    """A skill, null for none, with who says so and how sure that is."""

    skill: str | None
    source: TruthSource
    weight: float

"""What the views tell of routing, as values."""

from __future__ import annotations

import msgspec

from karl.routing.truth import TruthSource
from karl.schema.routing import Origin, RankedSkill, RouterWhy, RoutingAction, ShadowSource
from karl.views.rows import Place


class PlaceRow(msgspec.Struct, frozen=True):
    """A folder or file of a machine, with how many skills and rules were told of it last; `at` has them.

    `id` is the record's, and names its content. Without skills and rules the place is gone.
    """

    place: str
    node: str
    id: str
    origin: Origin
    skills: int
    rules: int
    time_ms: int
    at: Place


class ExemplarRow(msgspec.Struct, frozen=True):
    """An exemplar that somebody gave; `text` is its beginning, the record at `place` has all of it."""

    id: str
    skill: str
    text: str
    contrast: str
    of: str
    person: str
    removed: bool
    time_ms: int
    place: Place


class TruthRow(msgspec.Struct, frozen=True):
    """The truth about one trajectory's prompt that counts; `prompt` is the prompt's beginning.

    `skill` is null where no skill was used. `used` are all skills that the turn used, in their order.
    `influenced`: a router had told the agent of a skill in that turn.
    """

    trajectory: str
    session: str
    agent: str
    project: str
    time_ms: int
    prompt: str
    place: Place
    skill: str | None
    source: TruthSource
    weight: float
    used: tuple[str, ...]
    influenced: bool
    reward: float
    corrected: bool | None


class ShadowRow(msgspec.Struct, frozen=True):
    """A prediction, joined with what its prompt turned out to be for.

    `trajectory`, `truth_source`, `truth_weight`, `reward` and `corrected` are null until the turn has
    closed. With a `truth_source`, `truth` is the skill, null for none. Times are Unix time (ms).
    """

    seq: int
    event: str
    session: str
    fleet: str
    node: str
    agent: str
    project: str
    time_ms: int
    made_ms: int
    source: ShadowSource
    rules: str
    router: str
    encoder: str
    regex: str | None
    ranked: tuple[RankedSkill, ...]
    takes: bool
    fit: float | None
    picked: str | None
    took_us: int
    trajectory: str | None
    prompt: str | None
    truth: str | None
    truth_source: TruthSource | None
    truth_weight: float | None
    used: tuple[str, ...]
    influenced: bool
    reward: float | None
    corrected: bool | None

    @property
    def vector(self) -> str | None:
        """The vector router's first, whether it would take it or not."""
        return self.ranked[0].skill if self.ranked else None

    @property
    def margin(self) -> float | None:
        """How much more likely the first is than the second; null without a second."""
        return self.ranked[0].chance - self.ranked[1].chance if len(self.ranked) > 1 else None

    @property
    def organic(self) -> bool:
        """Say whether this can be evidence: made before the truth, of a prompt that no router touched."""
        return self.source == "live" and self.truth_source is not None and not self.influenced


class RouterRow(msgspec.Struct, frozen=True):
    """A router that was trained; the record at `place` has all of it."""

    id: str
    why: RouterWhy
    label: str
    encoder: str
    head: str
    skills: int
    exemplars: int
    person: str
    node: str
    time_ms: int
    place: Place


class RoutingRow(msgspec.Struct, frozen=True):
    """A decision about routing; the record at `place` has all of it."""

    id: str
    action: RoutingAction
    mode: str
    router: str
    forced: bool
    reason: str
    person: str
    node: str
    time_ms: int
    place: Place


class SuggestionRow(msgspec.Struct, frozen=True):
    """That a prompt was one for which a router would tell the agent of a skill; `told` whether it did.

    Which sessions are told is drawn by their id, so that the two can be compared. `chance` is 0 where the
    rules picked.
    """

    event: str
    session: str
    agent: str
    project: str
    time_ms: int
    skill: str
    chance: float
    policy: str
    told: bool
    trajectory: str | None
    used: tuple[str, ...]
    reward: float | None
    corrected: bool | None


class SkillState(msgspec.Struct, frozen=True):
    """What is known of one skill from all turns that used it.

    `suppressed` turns were corrected; of the others, `useful` ones have a reward of 0.6 and more, as it is
    now. Topics are words of their prompts, the newest first: `hot` of useful turns, `cold` of corrected ones.
    `confidence` is a moving mean of rewards that begins at 0.5. Times are those of turns, Unix time (ms).
    """

    skill: str
    activations: int
    useful: int
    suppressed: int
    hot: tuple[str, ...]
    cold: tuple[str, ...]
    confidence: float
    last_ms: int

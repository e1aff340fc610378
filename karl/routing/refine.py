"""Changes to what a router is trained with, proposed by cross-validation and kept if they prove right.

    prompts -- cross-validated --> errors --> proposals -- tried inside, one by one --> those that help
                                              together, over prompts that nothing has seen --> kept, or not

Two kinds of change: prompts that look mislabelled are dropped (confident learning: Northcutt, Jiang and
Chuang 2021, Journal of Artificial Intelligence Research 70); of two skills that are taken for each other,
further prompts are added, as contrast.

Pure: training and asking are given.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from karl.intervals import Paired, Verdict, paired_of
from karl.routing.exemplars import Chosen, Piece
from karl.routing.sources import parse

#: Parts that prompts are cross-validated in.
FOLDS = 4
#: Errors of one skill towards another from which on they are a pair worth a change.
PAIR_MIN = 2
#: Proposals that are tried in a round, and prompts of each skill that a contrast adds.
PROPOSALS_MAX, CONTRAST_EACH = 6, 3


class Said(NamedTuple):
    """What a router that had not seen a prompt said of it: each skill's chance, and the likeliest."""

    piece: Piece
    chances: Mapping[str, float]

    @property
    def first(self) -> str:
        """The likeliest skill, by its name where two are as likely."""
        return min(self.chances, key=lambda skill: (-self.chances[skill], skill), default="")

    @property
    def right(self) -> bool:
        """Whether that is the prompt's."""
        return self.first == self.piece.skill

    @property
    def mistaken(self) -> bool:
        """Whether it was taken for another skill's by who knows its own."""
        return not self.right and self.piece.skill in self.chances


class Proposal(NamedTuple):
    """A change: prompts that look mislabelled are dropped, or further ones of two skills are added.

    What is dropped is of many skills, so `skill` and `other` are empty: a wrong label does little alone.
    """

    what: Literal["drop", "contrast"]
    skill: str
    other: str
    pieces: tuple[Piece, ...]

    def to(self, chosen: Chosen) -> Chosen:
        """Give what is trained with after the change."""
        sources = {piece.source for piece in self.pieces}
        left = tuple(piece for piece in chosen.pieces if piece.source not in sources)
        added = () if self.what == "drop" else tuple(one._replace(kind="contrast") for one in self.pieces)
        return chosen._replace(pieces=(*left, *added))


class Learn(Protocol):
    """Trains with what is chosen, and says what that router says of prompts."""

    def __call__(self, chosen: Chosen, of: Sequence[Piece], /) -> list[Said]:
        """Give each prompt's chances, in their order."""


class Tried(NamedTuple):
    """A proposal, and how many prompts it put right, and how many it spoilt, in cross-validation."""

    proposal: Proposal
    better: int
    worse: int

    @property
    def helps(self) -> bool:
        """Whether it put more right than it spoilt."""
        return self.better > self.worse


class Round(NamedTuple):
    """What one round came to. `pair` compares after and before over prompts that nothing had seen."""

    tried: tuple[Tried, ...]
    pair: Paired | None
    kept: tuple[Proposal, ...]


def crossed(chosen: Chosen, learn: Learn, of: Sequence[Piece] | None = None) -> list[Said]:
    """Have each prompt judged by a router that was trained without its session's prompts; by `of` alone."""
    asked = [one for one in (chosen.pieces if of is None else of) if is_prompt(one)]
    found: list[Said] = []
    for fold in range(FOLDS):
        out = [piece for piece in asked if fold_of(piece) == fold]
        if out:
            left = tuple(one for one in chosen.pieces if not is_prompt(one) or fold_of(one) != fold)
            found += learn(chosen._replace(pieces=left), out)
    return found


def proposals(said: Sequence[Said], more: Mapping[str, Sequence[Piece]]) -> list[Proposal]:
    """Propose changes, the most promising first; `more` are further prompts of skills, the newest first."""
    dropped = suspects(said)
    found = []
    for skill, other in confused(said):
        added = [one for side in (skill, other) for one in more.get(side, ())[:CONTRAST_EACH]]
        if added:
            found.append(Proposal("contrast", skill, other, tuple(added)))
    drop = [Proposal("drop", "", "", tuple(dropped))] if dropped else []
    return [*drop, *found][:PROPOSALS_MAX]


def suspects(said: Sequence[Said]) -> list[Piece]:
    """Give the prompts that look mislabelled.

    They are as likely another skill's as that skill's own prompts are on average, and likelier than their
    own.
    """
    own: defaultdict[str, list[float]] = defaultdict(list)
    for one in said:
        own[one.piece.skill].append(one.chances.get(one.piece.skill, 0.0))
    usual = {skill: sum(chances) / len(chances) for skill, chances in own.items()}
    return [
        one.piece
        for one in said
        if one.mistaken and is_evidence(one.piece) and one.chances[one.first] >= usual.get(one.first, 2.0)
    ]


def confused(said: Sequence[Said]) -> dict[tuple[str, str], list[Piece]]:
    """Give the prompts that were taken for another skill's, by both skills, the most frequent pair first."""
    found: defaultdict[tuple[str, str], list[Piece]] = defaultdict(list)
    for one in said:
        if one.mistaken:
            found[one.piece.skill, one.first].append(one.piece)
    order = sorted(found, key=lambda pair: (-len(found[pair]), pair))
    return {pair: found[pair] for pair in order if len(found[pair]) >= PAIR_MIN}


def tried(chosen: Chosen, before: Sequence[Said], proposal: Proposal, learn: Learn) -> Tried:
    """Cross-validate a change: over the prompts that are in both, those that it is about left out."""
    about = {piece.source for piece in proposal.pieces}
    asked = [one.piece for one in before if one.piece.source not in about]
    was = {one.piece.source: one.right for one in before}
    after = crossed(proposal.to(chosen), learn, asked)
    moves = Counter((was[one.piece.source], one.right) for one in after)
    return Tried(proposal, moves[False, True], moves[True, False])


def one_round(
    chosen: Chosen,
    latest: Sequence[Piece],
    more: Mapping[str, Sequence[Piece]],
    learn: Learn,
    *,
    tail: float,
    told: Callable[[int, int], None],
) -> Round:
    """Propose, try, and judge by the latest prompts: kept is what makes more of them right, surely.

    `tail` is what the interval leaves out on each side: a fair share of it for each time that one looks.
    """
    said = crossed(chosen, learn)
    wanted = proposals(said, more)
    checks: list[Tried] = []
    now = chosen
    for place, proposal in enumerate(wanted):
        told(place, len(wanted))
        one = tried(now, said, proposal, learn)
        checks.append(one)
        if one.helps:
            now = proposal.to(now)
            said = crossed(now, learn)
    good = tuple(one.proposal for one in checks if one.helps)
    if not good or not latest:
        return Round(tuple(checks), None, ())
    pair = paired_of(
        (
            Verdict(one.piece.session or one.piece.source, one.right, two.right)
            for one, two in zip(learn(now, latest), learn(chosen, latest), strict=True)
        ),
        tail,
    )
    sure = pair.low is not None and pair.low > 0
    return Round(tuple(checks), pair, good if sure else ())


def is_prompt(piece: Piece) -> bool:
    """Say whether a text is a prompt, and not what a skill says of itself."""
    return piece.kind in {"prompt", "contrast"}


def is_evidence(piece: Piece) -> bool:
    """Say whether a text is a turn's prompt, and not what somebody gave."""
    return parse(piece.source).kind == "trajectory"


def fold_of(piece: Piece) -> int:
    """Say which part a prompt is in: a session's are together."""
    return zlib.crc32((piece.session or piece.source).encode("utf-8", "surrogatepass")) % FOLDS

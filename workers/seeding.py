"""Predictions made afterwards: of the ledger's prompts (replayed), and of what skills say (synthetic).

None of them is evidence, and their records say so by their source. They tell what another router, or other
rules, would have made of prompts that were, and let somebody try what looks at predictions before there are
any.

Invariants:
- What a router was trained with, or the same words for the same skill, is left out where it is replayed:
  about that it knows the answer.
- The same prompts, router and rules give no second record that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from karl.errors import LedgerRewound, NotFound, Refused, Unreadable
from karl.ledger.reader import read_at
from karl.routing.router import Exemplar, hash_of
from karl.routing.sources import turns_of
from karl.routing.text import asked
from karl.schema.event import decode_event, event_id
from karl.schema.routing import RouterBody, ShadowBody, ShadowSource
from karl.stream.prompts import Prompt
from karl.stream.routing import Published
from karl.views.filter import ALL, Filter
from karl.views.routing import Routed, body_at
from workers import routers
from workers.line import on_line
from workers.opened import Opened, open_published
from workers.prompts import prompt_of
from workers.records import Outgoing, send
from workers.shadow import BATCH, bodies_of

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from karl.routing.policy import Catalogue
    from karl.settings import Settings
    from karl.views.routing_rows import ShadowRow, TruthRow
    from karl.views.rows import Place

T = TypeVar("T")

#: What of a row is the prediction; the rest is the prompt's, and its truth.
_PREDICTED = (
    "made_ms", "source", "rules", "router", "encoder", "regex", "ranked", "takes", "fit", "picked", "took_us",
)  # fmt: skip
#: The session of synthetic predictions begins so; the skill's name follows.
SEED_SESSION = "seed-"


class Said(NamedTuple):
    """A prompt of the ledger, with the truth about its turn."""

    prompt: Prompt
    truth: TruthRow


class Pair(NamedTuple):
    """What was predicted as a prompt came, and what would be now; both joined with the same truth."""

    before: ShadowRow
    after: ShadowRow


class _Events(msgspec.Struct):
    """What of a trajectory's record holds its prompts; the rest is not decoded."""

    events: list[msgspec.Raw]


_events = msgspec.json.Decoder(_Events).decode


def current(views: Routed, router: str = "") -> Published:
    """Give what routes by the ledger: its policy, its catalogue, and its router or the one that is named.

    Raises NotFound.
    """
    policy, catalogue = views.policy(), views.catalogue()
    found = views.router(router).id if router else policy.router
    return Published(policy, catalogue, found, catalogue.digest)


def line_if_needed(
    settings: Settings, published: Published, *, apply: bool
) -> AbstractContextManager[Redis | None]:
    """Open the line where it is needed: to send, or because the router's bytes are not on this machine.

    Raises LineDown.
    """
    if not apply and (not published.router or routers.kept(settings, published.router) is not None):
        return nullcontext()
    return on_line(settings, "karl-reshadow")


def opened_whole(settings: Settings, redis: Redis | None, published: Published) -> Opened:
    """Open what was published. Raises Refused where its router can not be used here."""
    opened = open_published(settings, redis, published)
    if opened.why:
        raise Refused(f"the router {published.router[:12]} can not be used here: {opened.why}")
    return opened


def trained_with(views: Routed, ledger: Path, router: str) -> frozenset[str]:
    """Name the trajectories whose prompts a router was trained with. Raises LedgerDamaged."""
    if not router:
        return frozenset()
    try:
        return turns_of(body_at(ledger, views.router(router).place, RouterBody).sources)
    except (NotFound, LedgerRewound):  # the record was erased, or is on its way
        return frozenset()


def said(views: Routed, ledger: Path, which: Filter = ALL) -> Iterator[Said]:
    """Give people's prompts of closed turns, oldest first. What was erased is not there.

    Raises LedgerDamaged.
    """
    for truth in views.truths(which):
        yield from (Said(prompt, truth) for prompt in _prompts(ledger, truth.place, truth.time_ms))


class Afterwards:
    """Predicts what is known already, by what is opened; `left_out` counts what its router was trained with.

    `now_ms` gives Unix time. What it gives raises LedgerDamaged, EncoderSilent and EncoderMissing.
    """

    def __init__(self, views: Routed, ledger: Path, opened: Opened, now_ms: Callable[[], int]) -> None:
        """Look up what the router was trained with. Raises LedgerDamaged."""
        self._views = views
        self._ledger = ledger
        self._opened = opened
        self._now_ms = now_ms
        self._trained = trained_with(views, ledger, opened.published.router)
        self._exemplars = frozenset(opened.router.exemplars) if opened.router else frozenset()
        self.left_out = 0

    def replayed(self, which: Filter = ALL) -> Iterator[Pair]:
        """Predict each live prompt anew, oldest first."""
        before = {row.event: row for row in self._views.shadows(which) if row.truth_source is not None}
        known = (one.prompt for one in self._new(which, lambda event: event in before))
        for body in self._predicted(known, "replayed"):
            row = before[body.event]
            yield Pair(row, _after(row, body))

    def reshadowed(self, which: Filter = ALL) -> Iterator[ShadowBody]:
        """Predict stored prompts as records of their own, oldest first, but for those that there are."""
        there = self._there("replayed")
        trajectories: dict[str, str] = {}

        def new() -> Iterator[Prompt]:
            for prompt, truth in self._new(which, lambda event: event not in there):
                trajectories[prompt.event] = truth.trajectory
                yield prompt

        for body in self._predicted(new(), "replayed"):
            yield msgspec.structs.replace(body, trajectory=trajectories.pop(body.event, None))

    def seeded(self, *, fleet: str, node: str) -> Iterator[ShadowBody]:
        """Predict what skills say of themselves, by name, but for what there is."""
        there = self._there("synthetic")
        texts = _texts(self._opened.published.catalogue, fleet, node, self._now_ms())
        yield from self._predicted((one for one in texts if one.event not in there), "synthetic")

    def _new(self, which: Filter, wanted: Callable[[str], bool]) -> Iterator[Said]:
        """Give the prompts whose event is wanted and that the router was not trained with."""
        for one in said(self._views, self._ledger, which):
            if not wanted(one.prompt.event):
                continue
            if self._knows(one):
                self.left_out += 1
            else:
                yield one

    def _knows(self, one: Said) -> bool:
        skill = one.truth.skill
        return one.truth.trajectory in self._trained or (
            skill is not None and hash_of(Exemplar(skill, one.prompt.text)) in self._exemplars
        )

    def _predicted(self, prompts: Iterable[Prompt], source: ShadowSource) -> Iterator[ShadowBody]:
        for batch in _batches(prompts):
            yield from bodies_of(self._opened, batch, source, self._now_ms)

    def _there(self, source: ShadowSource) -> frozenset[str]:
        """Name the prompts that this router and these rules have predicted already."""
        by = self._opened.published.router if self._opened.encoder else "", self._opened.published.rules
        rows = self._views.shadows(sources=(source,))
        return frozenset(row.event for row in rows if (row.router, row.rules) == by)


def apply(
    redis: Redis, settings: Settings, bodies: Iterable[ShadowBody], wait: Callable[[float], None]
) -> Iterator[ShadowBody]:
    """Send records as they are made, and pass them on. Raises Refused, and LineDown."""
    if not settings.allow_seeding:
        raise Refused(
            "predictions made afterwards are no evidence and never become any: set KARL_ALLOW_SEEDING=1 to "
            "have them in the ledger all the same"
        )
    return _sent(redis, bodies, wait)


def _sent(redis: Redis, bodies: Iterable[ShadowBody], wait: Callable[[float], None]) -> Iterator[ShadowBody]:
    for batch in _batches(bodies):
        send(redis, [Outgoing("shadow", body.session, body) for body in batch], wait)
        yield from batch


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _prompts(ledger: Path, place: Place, time_ms: int) -> list[Prompt]:
    """Read the prompts of a turn; none where it was erased."""
    try:
        body = _events(read_at(ledger, place.segment, place.offset, place.end).body)
    except LedgerRewound:
        return []
    found = []
    for raw in body.events:
        try:
            prompt = prompt_of(decode_event(raw), time_ms)
        except Unreadable:
            continue  # an older KARL's: the views read no prompt there either
        if prompt is not None:
            found.append(prompt)
    return found


def _texts(catalogue: Catalogue, fleet: str, node: str, now_ms: int) -> Iterator[Prompt]:
    for skill in sorted(catalogue.skills, key=lambda one: (one.name, one.project)):
        for text in dict.fromkeys(map(asked, (*skill.examples, skill.when, skill.description))):
            if text:
                yield Prompt(
                    event=event_id("seed", skill.name, skill.project, text),
                    session=f"{SEED_SESSION}{skill.name}",
                    text=text,
                    time_ms=now_ms,
                    fleet=fleet,
                    node=node,
                    project=skill.project,
                )


def _after(row: ShadowRow, body: ShadowBody) -> ShadowRow:
    return msgspec.structs.replace(row, **{name: getattr(body, name) for name in _PREDICTED})

"""Shadow routing: what both routers say of each prompt as it comes, told to the ledger and to nobody else.

    prompts taken --> predicted with what routes just now --> records sent --> acknowledged and deleted

Invariants:
- A prompt is acknowledged once its record is on its way: a job that is killed leaves it to the next one. A
  prompt may so be predicted twice; the first record counts.
- What routes is read anew for each batch: a prediction says by which rules and which router it was made.
- Vectors are those of the router's own encoder, by name and version. Where that is not to be had the rules
  are alone, and the job says so; nothing is guessed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import EncoderMissing, EncoderSilent, LineDown, NotFound, SettingsError, Unreadable
from karl.jobs.table import Arguments, Outcome, Progress
from karl.routing.predict import Asked, Prediction, Predictor
from karl.schema.routing import RankedSkill, ShadowBody, ShadowSource
from karl.stream import prompts
from karl.stream.prompts import Prompt, Waiting
from karl.stream.routing import Published, read
from workers import routers
from workers.encoder import encoder_of
from workers.records import Outgoing, send

if TYPE_CHECKING:
    from redis import Redis

    from karl.encoders.encoder import Encoder
    from karl.routing.router import Router
    from karl.settings import Settings

#: Prompts that are predicted together.
BATCH = 256
#: Milliseconds to wait for the next prompt.
BLOCK_MS = 1000
#: Seconds without a prompt after which the job ends, and seconds after which it ends in any case.
LINGER_S, RUN_MAX_S = 60.0, 540.0
#: Seconds for which nothing was heard of a prompt that somebody took, and between two looks for such.
SILENT_S, CLAIM_EVERY_S = 20.0, 5.0
#: Seconds after which an encoder, or a router, that was not to be had is asked for again.
AGAIN_S = 30.0
#: Runs that a prompt may break before the rules are alone with it.
DELIVERIES_MAX = 3

_log = logging.getLogger("karl")


class Told(msgspec.Struct):
    """What a run did: prompts predicted, those of them by rules alone, what was no prompt, and why."""

    prompts: int = 0
    rules_alone: int = 0
    unreadable: int = 0
    warning: str = ""


class Way(NamedTuple):
    """What predicts now. Without an encoder the rules are alone, and `why` says why."""

    published: Published
    predictor: Predictor
    encoder: Encoder | None = None
    why: str = ""
    router: Router | None = None


class By(NamedTuple):
    """How predictions were made, as a record tells it; `router` and `encoder` are empty for rules alone."""

    source: ShadowSource
    rules: str
    router: str
    encoder: str
    made_ms: int
    took_us: int = 0


def route(arguments: Arguments, settings: Settings, progress: Progress) -> Outcome:
    """Predict what waits, and go on for as long as prompts keep coming."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    from karl.stream.connect import client_name, connect  # noqa: PLC0415
    from karl.stream.server import line_url  # noqa: PLC0415

    del arguments
    name = client_name("karl-route", settings.node)
    with closing(connect(line_url(settings.redis_url, settings.data_dir), name=name)) as redis:
        try:
            return Outcome(msgspec.to_builtins(Shadow(redis, settings).run(progress)))
        except RedisError as error:
            raise LineDown(f"Redis does not answer: {error}; what was not predicted waits there") from error
        except Unreadable:
            time.sleep(LINGER_S)  # it is asked for again while prompts wait: once a minute is enough
            raise


class Shadow:
    """One run. `clock` gives monotonic seconds, `now_ms` Unix time; `wait` sleeps for seconds."""

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        *,
        linger_s: float = LINGER_S,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis = redis
        self._linger_s = linger_s
        self._silent_s = silent_s
        self._clock = clock
        self._now_ms = now_ms
        self._wait = wait
        self._ways = Ways(redis, settings, clock)
        self._consumer = settings.node
        self._claim_at = 0.0
        self._broken = False
        self.told = Told()

    def run(self, progress: Progress) -> Told:
        """Predict until no prompt has come for a while. Raises LineDown and the client's error."""
        began = last = self._clock()
        while (way := self._ways.now()) is not None:  # else routing is off: what waits is for nobody
            entries = self._some()
            if entries:
                self._predict(way, entries)
                last = self._clock()
                progress(self.told.prompts, self.told.prompts, "prompts")
            now = self._clock()
            if (not entries and now - last >= self._linger_s) or now - began > RUN_MAX_S:
                break
        return self.told

    def _some(self) -> list[Waiting]:
        """Give prompts: now and then those that somebody left, else those that are new."""
        self._broken = False
        now = self._clock()
        if now >= self._claim_at:
            left = prompts.claim(self._redis, self._consumer, BATCH, int(self._silent_s * 1000))
            if left:
                self._broken = max(prompts.deliveries(self._redis, left)) > DELIVERIES_MAX
                return left
            self._claim_at = now + min(CLAIM_EVERY_S, self._silent_s)
        block_ms = min(BLOCK_MS, int(self._linger_s * 1000))
        return prompts.take(self._redis, self._consumer, BATCH, block_ms)

    def _say(self, way: Way) -> None:
        if way.why and way.why != self.told.warning:
            _log.warning("route: the rules are alone: %s", way.why)
            self.told.warning = way.why

    def _predict(self, way: Way, entries: Sequence[Waiting]) -> None:
        """Predict a batch, send what was said, and let the prompts leave."""
        if self._broken:
            way = way._replace(encoder=None, why="a prompt, or the router, broke several runs")
        self._say(way)
        asked: dict[str, Prompt] = {}
        for entry in entries:
            try:
                prompt = prompts.decode_prompt(entry.data)
            except Unreadable as error:
                _log.warning("route: left out an entry: %s", error)
                self.told.unreadable += 1
            else:
                asked.setdefault(prompt.event, prompt)
        bodies = self._bodies(way, list(asked.values()))
        send(self._redis, [Outgoing("shadow", body.session, body) for body in bodies], self._wait)
        prompts.done(self._redis, entries)
        self.told.prompts += len(bodies)
        self.told.rules_alone += sum(not body.router for body in bodies)

    def _bodies(self, way: Way, asked: Sequence[Prompt]) -> list[ShadowBody]:
        try:
            return bodies_of(way, asked, "live", self._now_ms)
        except (EncoderSilent, EncoderMissing, OSError) as error:
            alone = way._replace(encoder=None, why=str(error))
            self._say(alone)
            return bodies_of(alone, asked, "live", self._now_ms)


def bodies_of(
    way: Way, asked: Sequence[Prompt], source: ShadowSource, now_ms: Callable[[], int]
) -> list[ShadowBody]:
    """Give what routes now a batch of prompts, as records. Raises EncoderSilent, EncoderMissing, OSError."""
    began = time.perf_counter_ns()
    is_vector = way.encoder is not None and bool(asked)
    vectors = way.encoder.encode([one.text for one in asked]) if way.encoder and asked else None
    found = way.predictor.predict([Asked(one.text, one.project) for one in asked], vectors)
    took_us = (time.perf_counter_ns() - began) // 1000 // max(1, len(asked))
    by = By(
        source,
        way.published.rules,
        way.published.router if is_vector else "",
        way.encoder.name if way.encoder and is_vector else "",
        now_ms(),
        took_us,
    )
    return [_body(prompt, one, by) for prompt, one in zip(asked, found, strict=True)]


class Ways:
    """What predicts, kept for as long as nothing else is published."""

    def __init__(self, redis: Redis, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._way: Way | None = None
        self._again_at = 0.0

    def now(self) -> Way | None:
        """Give what predicts now; null where routing is off. Raises Unreadable and the client's error."""
        known = self._way.published if self._way else None
        published = read(self._redis, known)
        if published is None:
            return None
        if self._way is None or self._is_new(published):
            self._way = self._made(published)
            self._again_at = self._clock() + AGAIN_S
        return self._way

    def _is_new(self, published: Published) -> bool:
        way = self._way
        if way is None or (way.why and self._clock() >= self._again_at):
            return True
        known = way.published
        return (known.policy, known.router, known.rules) != (
            published.policy,
            published.router,
            published.rules,
        )

    def _made(self, published: Published) -> Way:
        return way_of(self._settings, self._redis, published, self._way.encoder if self._way else None)


def way_of(
    settings: Settings, redis: Redis | None, published: Published, known: Encoder | None = None
) -> Way:
    """Make ready what predicts by what was published; `known` is an encoder that is open already.

    Where its router, or the router's encoder, can not be had, the rules are alone.
    """
    if not published.router:
        return Way(published, Predictor(published.catalogue, published.policy))
    try:
        router = routers.load(settings, redis, published.router)
        encoder = _encoder(settings, router, known)
    except (NotFound, Unreadable, EncoderMissing, EncoderSilent, SettingsError, OSError) as error:
        return Way(published, Predictor(published.catalogue, published.policy), None, str(error))
    return Way(published, Predictor(published.catalogue, published.policy, router), encoder, "", router)


def _encoder(settings: Settings, router: Router, known: Encoder | None) -> Encoder:
    """Open a router's encoder, if it is not open. Raises EncoderMissing and what opening one raises."""
    encoder = known if known and known.name == router.encoder else encoder_of(settings, router.encoder)
    if encoder.version != router.encoder_version:
        raise EncoderMissing(
            f"the router was trained with {router.encoder} {router.encoder_version}, and this node has "
            f"{encoder.version}: train one anew with `karl centroids`, or install that version"
        )
    return encoder


def _body(prompt: Prompt, found: Prediction, by: By) -> ShadowBody:
    choice = found.choice
    return ShadowBody(
        event=prompt.event,
        session=prompt.session,
        fleet=prompt.fleet,
        node=prompt.node,
        agent=prompt.agent,
        project=prompt.project,
        time_ms=prompt.time_ms,
        made_ms=by.made_ms,
        source=by.source,
        rules=by.rules,
        router=by.router,
        encoder=by.encoder,
        regex=found.regex,
        ranked=tuple(RankedSkill(one.skill, one.chance) for one in choice.ranked) if choice else (),
        takes=bool(choice and choice.takes),
        fit=choice.fit if choice else None,
        picked=found.picked,
        took_us=by.took_us,
    )

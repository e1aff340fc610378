"""Shadow routing: what both routers say of each prompt as it comes, told to the ledger and to nobody else.

    prompts taken --> predicted with what routes just now --> records sent --> acknowledged and deleted

Invariants:
- A prompt is acknowledged once its record is on its way: a job that is killed leaves it to the next one. A
  prompt may so be predicted twice; the first record counts.
- What routes is read anew for each batch: a prediction says by which rules and which router it was made.
- Where the router's own encoder is not to be had, the rules are alone, and the job says so (workers.opened).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import EncoderMissing, EncoderSilent, LineDown, Unreadable
from karl.jobs.table import Arguments, Outcome, Progress
from karl.routing.predict import Asked, Prediction
from karl.schema.routing import RankedSkill, ShadowBody, ShadowSource
from karl.stream import prompts
from karl.stream.prompts import Prompt, Waiting
from workers.line import on_line
from workers.opened import Latest, Opened
from workers.records import Outgoing, send

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Prompts that are predicted together.
BATCH = 256
#: Milliseconds to wait for the next prompt.
BLOCK_MS = 1000
#: Seconds without a prompt after which the job ends, and seconds after which it ends in any case.
LINGER_S, RUN_MAX_S = 60.0, 540.0
#: Seconds for which nothing was heard of a prompt that somebody took, and between two looks for such.
SILENT_S, CLAIM_EVERY_S = 20.0, 5.0
#: Runs that a prompt may break before the rules are alone with it.
DELIVERIES_MAX = 3

_log = logging.getLogger("karl")


class Told(msgspec.Struct):
    """What a run did: prompts predicted, those of them by rules alone, what was no prompt, and why."""

    prompts: int = 0
    rules_alone: int = 0
    unreadable: int = 0
    warning: str = ""


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

    del arguments
    with on_line(settings, "karl-route") as redis:
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
        self._latest = Latest(redis, settings, clock)
        self._consumer = settings.node
        self._claim_at = 0.0
        self._broken = False
        self.told = Told()

    def run(self, progress: Progress) -> Told:
        """Predict until no prompt has come for a while. Raises LineDown and the client's error."""
        began = last = self._clock()
        while (opened := self._latest.now()) is not None:  # else routing is off: what waits is for nobody
            entries = self._some()
            if entries:
                self._predict(opened, entries)
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

    def _say(self, opened: Opened) -> None:
        if opened.why and opened.why != self.told.warning:
            _log.warning("route: the rules are alone: %s", opened.why)
            self.told.warning = opened.why

    def _predict(self, opened: Opened, entries: Sequence[Waiting]) -> None:
        """Predict a batch, send what was said, and let the prompts leave."""
        if self._broken:
            opened = opened._replace(encoder=None, why="a prompt, or the router, broke several runs")
        self._say(opened)
        asked: dict[str, Prompt] = {}
        for entry in entries:
            try:
                prompt = prompts.decode_prompt(entry.data)
            except Unreadable as error:
                _log.warning("route: left out an entry: %s", error)
                self.told.unreadable += 1
            else:
                asked.setdefault(prompt.event, prompt)
        bodies = self._bodies(opened, list(asked.values()))
        send(self._redis, [Outgoing("shadow", body.session, body) for body in bodies], self._wait)
        prompts.done(self._redis, entries)
        self.told.prompts += len(bodies)
        self.told.rules_alone += sum(not body.router for body in bodies)

    def _bodies(self, opened: Opened, asked: Sequence[Prompt]) -> list[ShadowBody]:
        try:
            return bodies_of(opened, asked, "live", self._now_ms)
        except (EncoderSilent, EncoderMissing, OSError) as error:
            alone = opened._replace(encoder=None, why=str(error))
            self._say(alone)
            return bodies_of(alone, asked, "live", self._now_ms)


def bodies_of(
    opened: Opened, asked: Sequence[Prompt], source: ShadowSource, now_ms: Callable[[], int]
) -> list[ShadowBody]:
    """Give what routes now a batch of prompts, as records. Raises EncoderSilent, EncoderMissing, OSError."""
    began = time.perf_counter_ns()
    is_vector = opened.encoder is not None and bool(asked)
    vectors = opened.encoder.encode([one.text for one in asked]) if opened.encoder and asked else None
    found = opened.predictor.predict([Asked(one.text, one.project) for one in asked], vectors)
    took_us = (time.perf_counter_ns() - began) // 1000 // max(1, len(asked))
    by = By(
        source,
        opened.published.rules,
        opened.published.router if is_vector else "",
        opened.encoder.name if opened.encoder and is_vector else "",
        now_ms(),
        took_us,
    )
    return [_body(prompt, one, by) for prompt, one in zip(asked, found, strict=True)]


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

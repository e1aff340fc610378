"""What predicts: what was published, opened on this machine with the encoder of its router.

Invariants:
- Vectors are those of the router's own encoder, by name and version. Where that is not to be had, the rules
  are alone, and `why` says so; it is asked for again after AGAIN_S.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from karl.errors import EncoderMissing, EncoderSilent, NotFound, SettingsError, Unreadable
from karl.routing.predict import Predictor
from karl.stream.routing import Published, read
from workers import routers
from workers.encoder import encoder_of

if TYPE_CHECKING:
    from redis import Redis

    from karl.encoders.encoder import Encoder
    from karl.routing.router import Router
    from karl.settings import Settings

#: Seconds after which an encoder, or a router, that was not to be had is asked for again.
AGAIN_S = 30.0


class Opened(NamedTuple):
    """What was published, and what predicts by it. Without an encoder the rules are alone: `why`."""

    published: Published
    predictor: Predictor
    encoder: Encoder | None = None
    why: str = ""
    router: Router | None = None


def open_published(
    settings: Settings, redis: Redis | None, published: Published, known: Encoder | None = None
) -> Opened:
    """Open what was published; `known` is an encoder that is open already. Raises LineDown.

    Where its router, or the router's encoder, can not be had, the rules are alone.
    """
    router = encoder = None
    why = ""
    if published.router:
        try:
            router = routers.load(settings, redis, published.router)
            encoder = _encoder(settings, router, known)
        except (NotFound, Unreadable, EncoderMissing, EncoderSilent, SettingsError, OSError) as error:
            router, why = None, str(error)
    return Opened(published, Predictor(published.catalogue, published.policy, router), encoder, why, router)


class Latest:
    """What was published last, kept open for as long as nothing else is."""

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        is_wanted: Callable[[Published], bool] = lambda _: True,
    ) -> None:
        """Take who to ask; `clock` gives monotonic seconds, and what is not wanted is not opened."""
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._is_wanted = is_wanted
        self._opened: Opened | None = None
        self._again_at = 0.0

    def now(self) -> Opened | None:
        """Give what predicts now; null where routing is off, or this is not wanted.

        Raises Unreadable, LineDown and the client's error.
        """
        published = read(self._redis, self._opened.published if self._opened else None)
        if published is None or not self._is_wanted(published):
            self._opened = None
            return None
        if self._opened is None or self._is_new(self._opened, published):
            known = self._opened.encoder if self._opened else None
            self._opened = open_published(self._settings, self._redis, published, known)
            self._again_at = self._clock() + AGAIN_S
        return self._opened

    def _is_new(self, opened: Opened, published: Published) -> bool:
        if opened.why and self._clock() >= self._again_at:
            return True
        known = opened.published
        return (known.policy, known.router, known.rules) != (
            published.policy,
            published.router,
            published.rules,
        )


def _encoder(settings: Settings, router: Router, known: Encoder | None) -> Encoder:
    """Open a router's encoder, if it is not open. Raises EncoderMissing and what opening one raises."""
    encoder = known if known and known.name == router.encoder else encoder_of(settings, router.encoder)
    if encoder.version != router.encoder_version:
        raise EncoderMissing(
            f"the router was trained with {router.encoder} {router.encoder_version}, and this node has "
            f"{encoder.version}: train one anew with `karl centroids`, or install that version"
        )
    return encoder

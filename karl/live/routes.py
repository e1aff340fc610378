"""What routes live at the moment: the router, the rules and the policy that Redis told last.

    nothing --- published, and live ---> routing --- silent for STALE_S, or not live any more ---> nothing

Invariants:
- Asking is computing: Redis is not asked while an agent waits.
- What was read last counts while Redis is away, and for no longer than STALE_S.
- A router is asked only with vectors of the encoder that it was trained with; where that is not here, the
  rules route alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import KarlError
from karl.live.answer import Answer, answer
from karl.routing.policy import Policy
from karl.routing.predict import Asked, Predictor
from karl.routing.router import Router
from karl.routing.text import asked
from karl.schema.event import Payload
from karl.schema.routing import SkillEntry
from karl.session.prompts import prompt_kind
from karl.stream.routing import Published

if TYPE_CHECKING:
    from karl.encoders.encoder import Encoder

#: Seconds for which what was read last counts.
STALE_S = 900.0

_log = logging.getLogger("karl")
_payload = msgspec.json.Decoder(Payload).decode


class _Live(NamedTuple):
    policy: Policy
    skills: Mapping[str, SkillEntry]
    predictor: Predictor
    encoder: Encoder | None
    until: float


class Routes:
    """`read` asks Redis, given what it gave last; `load` fetches a router by its id, `encoder` opens one."""

    def __init__(
        self,
        read: Callable[[Published | None], Published | None],
        load: Callable[[str], Router],
        encoder: Callable[[str], Encoder],
        monotonic: Callable[[], float],
    ) -> None:
        self._read = read
        self._load = load
        self._encoder = encoder
        self._monotonic = monotonic
        self._live: _Live | None = None
        self._seen: Published | None = None
        self._complaint = ""

    def refresh(self) -> None:
        """Read what is published; what can not be had is logged once. Raises the client's error."""
        published = self._read(self._seen)
        if published is None or published.policy.mode != "active":
            self._live = self._seen = None
            return
        until = self._monotonic() + STALE_S
        if self._live is not None and published == self._seen:
            self._live = self._live._replace(until=until)
            return
        router, encoder = self._opened(published)
        skills = {skill.name: skill for skill in published.catalogue.skills}
        predictor = Predictor(published.catalogue, published.policy, router)
        self._live = _Live(published.policy, skills, predictor, encoder, until)
        self._seen = published
        _log.info("routing: live, policy %s, router %s", published.policy.id[:12], published.router[:12])

    def ask(self, body: bytes, project: Callable[[str], str]) -> Answer | None:
        """Say what to answer a hook's payload; null for nothing.

        `project` names the repository of a working folder. Raises MsgspecError for what is no payload.
        """
        live = self._live
        if live is None or self._monotonic() > live.until:
            return None
        payload = _payload(body)
        prompt = payload.prompt
        if payload.hook_event_name != "UserPromptSubmit" or not isinstance(prompt, str):
            return None
        text = asked(prompt)
        # Whoever types /name has said which skill he wants.
        if not text or prompt.lstrip().startswith("/") or prompt_kind(prompt, payload) != "human":
            return None
        vectors = live.encoder.encode([text]) if live.encoder else None
        where = project(payload.cwd) if isinstance(payload.cwd, str) else ""
        (prediction,) = live.predictor.predict([Asked(text, where)], vectors)
        return answer(payload, prediction, live.policy, live.skills)

    def _opened(self, published: Published) -> tuple[Router | None, Encoder | None]:
        if not published.router:
            return None, None
        try:
            router = self._load(published.router)
            encoder = self._encoder(router.encoder)
            encoder.encode(["."])  # the first text costs more than the others
        except (KarlError, OSError) as error:
            self._complain(f"the router {published.router[:12]} can not be had: {error}")
            return None, None
        if encoder.version != router.encoder_version:
            self._complain(f"the encoder {router.encoder} here is another version than the router's")
            return None, None
        return router, encoder

    def _complain(self, what: str) -> None:
        if what != self._complaint:
            _log.warning("routing: %s; the rules route alone", what)
        self._complaint = what

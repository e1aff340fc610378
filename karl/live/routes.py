"""What routes live at the moment: the router, the rules and the policy that Redis told last.

    nothing --- published, and live ---> routing --- silent for STALE_S, or not live any more ---> nothing

Invariants:
- Asking is computing: Redis is not asked while an agent waits.
- What was read last counts while Redis is away, and for no longer than STALE_S.
- Where the router or its encoder is not to be had, the rules route alone (workers.opened).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import EncoderMissing, EncoderSilent
from karl.live.answer import Answer, answer
from karl.routing.predict import Asked
from karl.routing.text import asked
from karl.schema.event import Payload
from karl.schema.routing import SkillEntry
from karl.session.prompts import prompt_kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from karl.encoders.encoder import Encoder
    from workers.opened import Opened

#: The first text costs more than the others, above all one that looks as if it held a secret.
_FIRST = "token=first, which costs more than the others"
#: Seconds for which what was read last counts.
STALE_S = 900.0

_log = logging.getLogger("karl")
_payload = msgspec.json.Decoder(Payload).decode


class _Live(NamedTuple):
    opened: Opened
    skills: Mapping[str, SkillEntry]
    until: float


class Routes:
    """`now` gives what predicts now, null where routing is not live (workers.opened.Latest).

    `redact` takes secrets out of a prompt, as the shipper does: an encoder may be a service elsewhere, and
    the same words are the same prompt in the ledger.
    """

    def __init__(
        self,
        now: Callable[[], Opened | None],
        redact: Callable[[str], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._now = now
        self._redact = redact
        self._monotonic = monotonic
        self._live: _Live | None = None
        self._complaint = ""

    def refresh(self) -> None:
        """Read what is published; what can not be had is logged once. Raises as `now` does."""
        opened = self._now()
        if opened is None:
            self._live = None
            return
        until = self._monotonic() + STALE_S
        if self._live is not None and opened is self._live.opened:
            self._live = self._live._replace(until=until)
            return
        self._complain(opened.why)
        self._vectors(opened.encoder, self._redact(_FIRST))
        policy, catalogue, router, _ = opened.published
        self._live = _Live(opened, {skill.name: skill for skill in catalogue.skills}, until)
        _log.info("routing: live, policy %s, router %s", policy.id[:12], router[:12])

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
        text = asked(self._redact(prompt))
        # Whoever types /name has said which skill he wants.
        if not text or prompt.lstrip().startswith("/") or prompt_kind(prompt, payload) != "human":
            return None
        where = project(payload.cwd) if isinstance(payload.cwd, str) else ""
        vectors = self._vectors(live.opened.encoder, text)
        (prediction,) = live.opened.predictor.predict([Asked(text, where)], vectors)
        return answer(payload, prediction, live.opened.published.policy, live.skills)

    def _vectors(self, encoder: Encoder | None, text: str) -> NDArray[np.float32] | None:
        """Encode a text; null without an encoder, or with one that does not answer."""
        if encoder is None:
            return None
        try:
            return encoder.encode([text])
        except (EncoderSilent, EncoderMissing, OSError) as error:
            self._complain(str(error))
            return None

    def _complain(self, what: str) -> None:
        if what and what != self._complaint:
            _log.warning("routing: %s; the rules route alone", what)
        self._complaint = what

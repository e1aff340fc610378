"""What agents' hooks say: sessions side by side, every event with a number of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

_CORRECTION = "No, that is wrong, undo it"


class Feed:
    """Sessions without end, in an order that the seed decides; each payload has the next number, `n`."""

    def __init__(self, chance: random.Random, sessions: int = 12) -> None:
        self._chance = chance
        self._sessions = [self._session(f"s-{number}") for number in range(sessions)]
        self._given = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._numbered(next(self._chance.choice(self._sessions)))

    def last_words(self) -> Iterator[dict[str, Any]]:
        """End every session, so that no turn stays open."""
        for number in range(len(self._sessions)):
            for kind in ("Stop", "SessionEnd"):
                yield self._numbered({"session_id": f"s-{number}", "hook_event_name": kind})

    def _numbered(self, payload: dict[str, Any]) -> dict[str, Any]:
        self._given += 1
        return {**payload, "n": self._given - 1}

    def _session(self, session: str) -> Iterator[dict[str, Any]]:
        turn = 0
        while True:
            turn += 1
            prompt = _CORRECTION if self._chance.random() < 0.2 else f"Do part {turn}"
            yield {"session_id": session, "hook_event_name": "UserPromptSubmit", "prompt": prompt}
            for call in range(self._chance.randrange(5)):
                named = {"tool_name": "Bash", "tool_use_id": f"{session}-{turn}-{call}"}
                given = {"tool_input": {"command": "x" * self._chance.choice([3, 300, 6000])}}
                yield {"session_id": session, "hook_event_name": "PreToolUse", **named, **given}
                if self._chance.random() < 0.1:
                    continue  # its result is lost
                end = "PostToolUse" if self._chance.random() < 0.8 else "PostToolUseFailure"
                yield {
                    "session_id": session,
                    "hook_event_name": end,
                    **named,
                    **given,
                    "error": "Exit code 1",
                }
            if self._chance.random() < 0.1:
                yield {"session_id": session, "hook_event_name": "Notification", "message": "?"}
            if self._chance.random() < 0.9:
                yield {"session_id": session, "hook_event_name": "Stop", "stop_hook_active": False}

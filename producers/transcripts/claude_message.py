"""A model's response in a Claude Code transcript: one message id over several lines, with growing usage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.transcripts.claude_line import Line, blocks_of, text_of_content

#: What a model's response ends with when nothing more is to come.
_FINAL = frozenset({"end_turn", "stop_sequence", "refusal"})
#: The model of messages that the agent itself wrote.
_NO_MODEL = "<synthetic>"
_FAILURES = (
    "API Error",
    "Claude AI usage limit reached",
    "Credit balance is too low",
    "Invalid API key",
    "Prompt is too long",
    "Request timed out",
)
#: Where the tokens stand in a usage, by their names in told facts.
_TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
}


class Message:
    """What is known of a message; `line` and `number` are those of its last part."""

    __slots__ = (
        "_model",
        "_seen",
        "_stop_reason",
        "_texts",
        "_thoughts",
        "_usage",
        "has_calls",
        "id",
        "is_over",
        "is_synthetic",
        "line",
        "number",
    )

    def __init__(self, named: str) -> None:
        self.id = named
        self.line = Line()
        self.number = 0
        self.has_calls = self.is_over = self.is_synthetic = False
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._usage: dict[str, int] | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._seen: set[str] = set()

    @property
    def text(self) -> str:
        """Give what the model said so far."""
        return "\n".join(self._texts)

    @property
    def is_final(self) -> bool:
        """Say whether the agent had finished with it; older versions do not write down why it stopped."""
        if self.is_synthetic:
            return False
        if self.is_over or self._stop_reason in _FINAL:
            return True
        return self._stop_reason is None and not self.has_calls and bool(self._texts)

    def take(self, line: Line, number: int, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Take one more part; gives its calls. A part that is written twice counts once."""
        repeated = isinstance(line.uuid, str) and line.uuid in self._seen
        if isinstance(line.uuid, str):
            self._seen.add(line.uuid)
        self.line, self.number = line, number
        self._note(message)
        for block in blocks_of(message):
            kind = block.get("type")
            if kind == "tool_use":
                self.has_calls = True
                yield block
            elif kind in ("text", "thinking") and not repeated:
                said = block.get(kind)
                if isinstance(said, str) and said.strip():
                    (self._texts if kind == "text" else self._thoughts).append(said)

    def fields(self) -> dict[str, Any]:
        """Give the fields of the told fact; those that nobody said are left out."""
        made: dict[str, Any] = {"message_id": self.id}
        given = (("model", self._model), ("text", self.text), ("thinking", "\n".join(self._thoughts)),
                 ("stop_reason", self._stop_reason), ("usage", self._usage))  # fmt: skip
        made.update((name, value) for name, value in given if value)
        return made

    def _note(self, message: dict[str, Any]) -> None:
        model, stop, usage = message.get("model"), message.get("stop_reason"), message.get("usage")
        if model == _NO_MODEL:
            self.is_synthetic = True
            return
        if isinstance(model, str):
            self._model = model
        if isinstance(stop, str):
            self._stop_reason = stop
        if isinstance(usage, dict):
            tokens = {name: _count(usage.get(field)) for name, field in _TOKENS.items()}
            known = self._usage or {}  # a part's numbers never fall: one that lags behind says less
            self._usage = {name: max(number, known.get(name, 0)) for name, number in tokens.items()}


def failure_of(line: Line, message: dict[str, Any]) -> str | None:
    """Give the error that a message in the model's name tells of; null when it is the model's own."""
    said = line.is_api_error_message is True
    if not said and message.get("model") != _NO_MODEL:
        return None
    text = text_of_content(message.get("content"))
    return text if said or text.startswith(_FAILURES) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

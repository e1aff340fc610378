"""Rows as the tokens that a model reads: its own chat template around them, and where the answer begins.

Training and judging read rows by this one way. Where a template has no place for tool calls, a call is one
line of JSON in its message's text and a result is a message of the user, in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import TemplateError

from karl.errors import KarlError, NotFound
from karl.learning.calls import PROBE, has_place
from karl.learning.inert import Controls

Message = dict[str, Any]


class Line(msgspec.Struct):
    """A line of a data set: a chat, or a prompt with its completion."""

    messages: list[Message] = []
    weight: float = 1.0
    tools: list[dict[str, Any]] = []
    prompt: str = ""
    completion: str | None = None

    def chat(self) -> list[Message]:
        """Give it as a chat whose last message is the answer."""
        if self.completion is None:
            return self.messages
        return [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.completion}]


class Example(NamedTuple):
    """Tokens of a whole chat; the answer's begin at `start`. `cut` where the head of the history went."""

    tokens: list[int]
    start: int
    weight: float = 1.0
    cut: bool = False


def read_lines(path: Path) -> Iterator[Line]:
    """Read a data set's file. Raises NotFound where there is none, KarlError for a line that is no row."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _line(line, path, number)
    except FileNotFoundError:
        raise NotFound(f"{path} is not there; `karl export` writes data sets") from None


def _line(line: bytes, path: Path, number: int) -> Line:
    try:
        row = msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise KarlError(f"{path} line {number} is no row of a data set: {error}") from None
    chat = row.chat()
    if len(chat) < 2 or chat[-1].get("role") != "assistant":
        raise KarlError(f"{path} line {number} does not end with an answer; `karl export --format chatml`")
    return row


class Chat:
    """Turns chats into tokens of one model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        if not getattr(tokenizer, "chat_template", None):
            raise KarlError(
                "this model has no chat template; take one that follows instructions (…-Instruct)"
            )
        known = getattr(tokenizer, "added_tokens_decoder", {}).values()
        template = str(tokenizer.chat_template)
        self._controls = Controls({one.content: one.special for one in known}, template)
        self.calls_rendered = self._renders_calls()

    def examples(self, rows: Iterable[Line], max_tokens: int) -> Iterator[Example | None]:
        """Give each row as an example of at most `max_tokens`; null where the answer alone is longer."""
        for row in rows:
            yield self.example(row.chat(), row.tools, max_tokens, row.weight)

    def example(
        self, messages: list[Message], tools: list[dict[str, Any]], max_tokens: int, weight: float = 1.0
    ) -> Example | None:
        """Give a chat as tokens, its head cut off where it is too long; null where its answer is."""
        before, answer = self.texts(messages, tools)
        history, target = self.tokens(before), self._until_end(self.tokens(answer))
        room = max_tokens - len(target)
        if room < 1:
            return None
        cut = len(history) > room
        if cut:
            history = history[-room:]
        return Example(history + target, len(history), weight, cut)

    def texts(self, messages: list[Message], tools: list[dict[str, Any]]) -> tuple[str, str]:
        """Give the text up to the answer, as the model is asked for one, and the answer with its end."""
        messages, tools = self.inert(messages), self.inert(tools)
        chat = [_with_objects(message) for message in messages] if self.calls_rendered else flat(messages)
        given = tools if tools and self.calls_rendered else None
        whole = self._render(chat, given, ask=False)
        before = self._render(chat[:-1], given, ask=True)
        if not whole.startswith(before):  # a template that writes of the history what the answer's turn needs
            before = _common(whole, before)
        if not self.calls_rendered and len(messages) > 1 and messages[-2].get("role") == "assistant":
            # One message in the text, but what was said first is history: it was an answer of its own.
            before = whole[: max(len(before), whole.rfind(_as_text(messages[-1])[1].strip()))]
        return before, whole[len(before) :]

    def prompt(self, text: str) -> list[int]:
        """Give the tokens by which a model is asked to answer a user's message."""
        return self.tokens(self._render([{"role": "user", "content": self.inert(text)}], None, ask=True))

    def inert(self, said: Any) -> Any:
        """Give what was said without the model's control tokens: no text opens or ends a turn."""
        return self._controls.without(said)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Give for each token of `text` where it begins and ends in it."""
        found = self._tokenizer._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)  # noqa: SLF001 - the wrapper hides it
        return [tuple(pair) for pair in found["offset_mapping"]]

    def tokens(self, text: str) -> list[int]:
        """Give a text's tokens, and no other."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _until_end(self, tokens: list[int]) -> list[int]:
        """Leave out what templates write behind the end of an answer: a model has ended there."""
        for index in range(len(tokens) - 1, -1, -1):
            if tokens[index] in self._tokenizer.eos_token_ids:
                return tokens[: index + 1]
        return tokens

    def _render(self, chat: list[Message], tools: list[dict[str, Any]] | None, *, ask: bool) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    chat, tools=tools, add_generation_prompt=ask, tokenize=False
                )
            )
        except (TemplateError, TypeError, KeyError, ValueError) as error:
            raise KarlError(f"the model's chat template does not take a row: {error}") from error

    def _renders_calls(self) -> bool:
        try:
            said = self._render(PROBE, None, ask=False)
        except KarlError:  # a template that insists on text has no place for calls either
            return False
        return has_place(said)


def flat(messages: list[Message]) -> list[Message]:
    """Write calls and results as text; what one side then says in a row is one message."""
    said: list[Message] = []
    for message in messages:
        role, text = _as_text(message)
        if said and said[-1]["role"] == role:
            said[-1] = {"role": role, "content": f"{said[-1]['content']}\n{text}"}
        else:
            said.append({"role": role, "content": text})
    return said


def _as_text(message: Message) -> tuple[str, str]:
    role, content = str(message.get("role", "")), _content(message)
    if role == "tool":
        return "user", content
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    return role, "\n".join(filter(None, (content, *calls)))


def _content(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):  # parts, of which only text can be read here
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _call(call: dict[str, Any]) -> str:
    function = _object(call)["function"]
    return msgspec.json.encode(
        {"name": function.get("name"), "arguments": function.get("arguments")}
    ).decode()


def _with_objects(message: Message) -> Message:
    """Give a message with its calls' arguments as objects, which templates expect; text is never null."""
    said = {**message, "content": _content(message)}
    if calls := message.get("tool_calls"):
        said["tool_calls"] = [_object(call) for call in calls]
    return said


def _object(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            function["arguments"] = msgspec.json.decode(arguments)
        except msgspec.DecodeError:  # what an agent wrote was no JSON; it stays what it wrote
            function["arguments"] = arguments
    return {**call, "function": function}


def _common(one: str, other: str) -> str:
    """Give what both begin with."""
    length = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return one[:length]

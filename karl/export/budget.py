"""Rows that a model can take whole: tokens counted as mlx-lm does, history cut from its head.

The model's own `tokenizer.json` and chat template are used, without the model and without transformers. What
opens a row (system prompt, prompt) and its target stay; a row of which these alone are too long is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import KarlError, NotFound
from karl.export.answers import as_json
from karl.export.forms import texts
from karl.export.pieces import LeftOut
from karl.learning.calls import PROBE, has_place
from karl.learning.inert import Controls
from karl.learning.row import Row

TOO_LONG = "steps that are too long themselves (--max-tokens)"
NO_ROOM = "steps whose prompt leaves them no room (--max-tokens)"
#: Messages whose tokens are remembered.
_KNOWN_MAX = 50_000
#: Files of a tokenizer that decide what a count is.
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

_encode = msgspec.json.Encoder().encode


class Fitting(NamedTuple):
    """A row within the budget: its tokens, and whether history was cut from it."""

    row: Row
    tokens: int
    cut: bool


class Counter:
    """Counts the tokens of a chat as a model's tokenizer and template make them."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415 - slow to load

        files = [folder / name for name in _FILES if (folder / name).is_file()]
        if folder / "tokenizer.json" not in files:
            raise NotFound(f"{folder} has no tokenizer.json: it is no model that tokens can be counted for")
        self.digest = sha256(b"".join(sha256(file.read_bytes()).digest() for file in files)).hexdigest()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._config = _json(folder / "tokenizer_config.json")
        self._template = _template(folder, self._config)
        added = self._tokenizer.get_added_tokens_decoder().values()
        #: What would open or end a turn wherever it stands.
        self.controls = Controls({one.content: one.special for one in added}, self._template)

    def count(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> int:
        """Count the tokens of a chat. Raises KarlError for one that the template refuses."""
        return self.tokens(self.render(messages, tools))

    def tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> str:
        """Give a chat as the model reads it."""
        from jinja2 import TemplateError  # noqa: PLC0415

        special = {
            name: _token(self._config.get(name))
            for name in ("bos_token", "eos_token", "unk_token", "pad_token")
        }
        try:
            return str(
                self._compiled.render(
                    messages=list(messages), tools=list(tools), add_generation_prompt=False, documents=None,
                    **{name: text for name, text in special.items() if text is not None},
                )
            )  # fmt: skip
        except (TemplateError, TypeError, ValueError) as error:
            raise KarlError(f"the model's chat template refuses a row: {error}") from None

    @cached_property
    def knows_calls(self) -> bool:
        """Say whether the template writes calls and results of tools; else they have to be text."""
        try:
            text = self.render(PROBE)
        except KarlError:
            return False
        return has_place(text)

    @cached_property
    def _compiled(self) -> Any:
        """Compile the template in a sandbox, with what transformers gives it."""
        from jinja2 import TemplateError  # noqa: PLC0415
        from jinja2.ext import loopcontrols  # noqa: PLC0415
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _refuse
        # The day is part of some templates; a count must not depend on it.
        environment.globals["strftime_now"] = datetime(2026, 1, 1, tzinfo=UTC).strftime
        try:
            return environment.from_string(self._template)
        except TemplateError as error:
            raise KarlError(f"the model's chat template can not be read: {error}") from None


class Budget:
    """Cuts rows to `max_tokens` of a model."""

    def __init__(self, counter: Counter, max_tokens: int) -> None:
        self.counter = counter
        self._max = max_tokens
        self._known: dict[bytes, int] = {}

    def fit(self, row: Row) -> Fitting | LeftOut:
        """Give a row that is within the budget, with as much of its latest history as fits."""
        said = row.messages if self.counter.knows_calls else texts(row.messages)
        messages: list[dict[str, Any]] = self.counter.controls.without(said)
        row = msgspec.structs.replace(row, tools=self.counter.controls.without(row.tools))
        opening, steps, target = taken_apart(messages)
        about = [sum(map(self._about, step)) for step in steps]
        alone = sum(map(self._about, (*opening, target)))
        if not self._max or alone + sum(about) <= self._max:
            tokens = self.counter.count(messages, row.tools)
            if not self._max or tokens <= self._max:
                return Fitting(msgspec.structs.replace(row, messages=messages), tokens, cut=False)
        least = self.counter.count([*opening, target], row.tools)
        if least > self._max:
            by_itself = self.counter.count([{"role": "user", "content": ""}, target])
            return LeftOut(TOO_LONG if by_itself > self._max else NO_ROOM)

        def count(latest: int) -> int:
            kept = _flat(steps[len(steps) - latest :])
            return self.counter.count([*opening, *kept, target], row.tools) if latest else least

        latest, tokens = _most(count, _guess(about, self._max - least), len(steps), self._max)
        kept = [*opening, *_flat(steps[len(steps) - latest :]), target]
        found = msgspec.structs.replace(row, messages=kept)
        return Fitting(found, tokens, cut=latest < len(steps))

    def _about(self, message: dict[str, Any]) -> int:
        """Give about how many tokens a message has: it comes in many rows, so this is remembered."""
        raw = _encode(message)
        key = blake2b(raw, digest_size=16).digest()
        if key not in self._known:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[key] = self.counter.tokens(_said(message))
        return self._known[key]


def _guess(about: Sequence[int], room: int) -> int:
    """Give how many of the latest steps may fit."""
    latest = 0
    for size in reversed(about):
        room -= size
        if room < 0:
            break
        latest += 1
    return latest


def _most(count: Callable[[int], int], guess: int, most: int, max_tokens: int) -> tuple[int, int]:
    """Give the most that fits, and its tokens, looking from a guess on; none always fits."""
    latest, tokens = guess, count(guess)
    while tokens > max_tokens:
        latest -= 1
        tokens = count(latest)
    while latest < most and (more := count(latest + 1)) <= max_tokens:
        latest, tokens = latest + 1, more
    return latest, tokens


def _said(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    return f"{message['content']}{as_json(calls) if calls else ''}"


def taken_apart(
    messages: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]], dict[str, Any]]:
    """Give what opens a row, its steps, each with what came back, and its target."""
    *history, target = messages
    first = next((at for at, message in enumerate(history) if message["role"] == "assistant"), len(history))
    steps: list[list[dict[str, Any]]] = []
    for message in history[first:]:
        if message["role"] == "assistant":
            steps.append([])
        steps[-1].append(message)
    return history[:first], steps, target


def _flat(steps: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [message for step in steps for message in step]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise KarlError(f"{path} can not be read: {error}") from None
    return found if isinstance(found, dict) else {}


def _template(folder: Path, config: dict[str, Any]) -> str:
    """Find the chat template: a file of its own counts before the tokenizer's settings."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    if not isinstance(found, str):
        raise KarlError(f"{folder} has no chat template: rows can not be written as it reads them")
    return found


def _token(said: object) -> str | None:
    """Give a special token, which may be an object with its text."""
    text = said.get("content") if isinstance(said, dict) else said
    return text if isinstance(text, str) else None


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> None:
    from jinja2 import TemplateError  # noqa: PLC0415

    raise TemplateError(message)


def folder_of(models: Path, name: str) -> Path:
    """Find a model's folder: by its path, or by its name among the models here. Raises NotFound."""
    for folder in (Path(name).expanduser(), models / name):
        if (folder / "tokenizer.json").is_file():
            return folder
    raise NotFound(f"there is no model {name} here; `karl models` lists and fetches them, or name its folder")

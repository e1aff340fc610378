"""How a model answers held-out steps: was the next tool right, was what it is called on, how likely it was.

One pass an item. The answer that is known goes in with its history, and of each of its tokens the model says
what it would have put there. The tool is right where, at each token at which tools that may be chosen still
part, the most likely of theirs is the known one's: what a model would choose that must name one of them. The
target is right where the tool is, and each token of it up to its closing quote is the most likely of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import msgspec
import numpy as np

from karl.errors import KarlError
from karl.learning.action import Action, action
from karl.training import loss
from karl.training.batches import padded
from karl.training.chat import Chat, Example, Line, read_lines
from karl.training.loaded import choose, load
from karl.training.order import Judge, Judged, Notice
from karl.training.parts import Parts, parts_of
from karl.training.telling import Teller
from karl.training.validate import mean_loss

#: Tokens that go through at once at most, padding too: each has a figure for each word of the vocabulary.
_AT_ONCE = 2048
_GUARD = "guard.jsonl"


class Fork(NamedTuple):
    """A token of the answer at which tools part: the tokens that they go on with."""

    place: int
    ways: tuple[int, ...]


class Item(NamedTuple):
    """An answer to judge. Places count its tokens from 0; `forks` is null where it is no call."""

    example: Example
    forks: tuple[Fork, ...] | None
    target: range


class Answer(NamedTuple):
    """How an item was answered."""

    tool: bool
    target: bool
    nll: float
    tokens: int


def judge(order: Judge, teller: Teller) -> Judged:
    """Judge a model. Raises KarlError for items that can not be read."""
    begun_s = time.monotonic()
    device = choose(order.device)
    teller.where("loading the model")
    loaded = load(order.model, order.adapter)
    chat = Chat(loaded.tokenizer)
    loaded.model.eval()
    parts = parts_of(loaded.model)
    items = [_item(chat, line, order) for line in read_lines(order.items)]
    answers: dict[int, Answer] = {}
    for batch in _batches(items, order.batch):
        said = _answers(loaded.model, parts, [items[index] for index in batch])
        answers.update(zip(batch, said, strict=True))
        teller.progress(
            Notice(kind="progress", where="judging", iteration=len(answers), iterations=len(items))
        )
    guard = _guard(chat, loaded.model, parts, order, teller) if order.guard else None
    told = [answers[index] for index in range(len(items))]
    return Judged(
        tools=tuple(answer.tool for answer in told),
        targets=tuple(answer.target for answer in told),
        nll=tuple(answer.nll for answer in told),
        tokens=tuple(answer.tokens for answer in told),
        device=device,
        seconds=round(time.monotonic() - begun_s, 3),
        guard=guard,
        cut=sum(item.example.cut for item in items),
    )


def _item(chat: Chat, line: Line, order: Judge) -> Item:
    """Read an item: its tokens, where tools part in its answer, and which tokens are its target."""
    messages = chat.inert(line.chat())
    example = chat.example(messages, line.tools, order.max_tokens)
    if example is None:
        raise KarlError(f"an answer of {order.items} is longer than {order.max_tokens} tokens")
    said = str(messages[-1].get("content") or "")
    known = _action(said)
    _before, answer = chat.texts(messages, line.tools)
    at = answer.find(said)
    if known is None or known.tool not in order.tools or at < 0:
        return Item(example, None, range(0))
    behind = answer[at + len(said) :]
    true = chat.tokens(answer)
    others = [chat.tokens(answer[:at] + action(tool, known.target) + behind) for tool in order.tools]
    # The target's text and its closing quote, as JSON has it: the last quote is at the brace.
    last = at + len(said) - 2
    first = at + len(said) - len(msgspec.json.encode(known.target).decode())
    places = [
        place for place, (start, end) in enumerate(chat.offsets(answer)) if end > first and start <= last
    ]
    return Item(example, forks(true, others), range(places[0], places[-1] + 1))


def _action(text: str) -> Action | None:
    """Read an answer as an action; null where it is not exactly one."""
    try:
        known = msgspec.json.decode(text, type=Action)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return known if action(known.tool, known.target) == text else None


def forks(true: Sequence[int], others: Sequence[Sequence[int]]) -> tuple[Fork, ...]:
    """Find where answers part from the true one, with what they, and it, go on there."""
    found = []
    allowed = list(others)
    for place, token in enumerate(true):
        ways = {other[place] for other in allowed if place < len(other)} | {token}
        if len(ways) > 1:
            found.append(Fork(place, tuple(sorted(ways))))
        allowed = [other for other in allowed if place < len(other) and other[place] == token]
    return tuple(found)


def _batches(items: Sequence[Item], most: int) -> Iterator[list[int]]:
    """Put items of like length together, so that little is padded; the same ones each time."""
    batch: list[int] = []
    for index in sorted(range(len(items)), key=lambda index: len(items[index].example.tokens)):
        length = len(items[index].example.tokens)
        if batch and (len(batch) == most or (len(batch) + 1) * length > _AT_ONCE):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _answers(model: Any, parts: Parts, items: Sequence[Item]) -> list[Answer]:
    """Let the model go through some items."""
    tokens, places, _weights = padded([item.example for item in items])
    logits: np.ndarray[Any, Any] = np.array(parts.logits(model, tokens, places).astype(mx.float32))
    return [
        _answer(item, logits[row, : len(item.example.tokens) - item.example.start])
        for row, item in enumerate(items)
    ]


def _answer(item: Item, logits: np.ndarray[Any, Any]) -> Answer:
    """Compare what the model would say with what was said; a row of `logits` for each token of the answer."""
    true = np.array(item.example.tokens[item.example.start :])
    at_true = logits[np.arange(len(true)), true]
    highest = logits.max(axis=1)
    log_sums = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    nll = float((log_sums - at_true).mean())
    if item.forks is None:
        return Answer(tool=False, target=False, nll=nll, tokens=len(true))
    tool = all(
        fork.ways[int(logits[fork.place, list(fork.ways)].argmax())] == true[fork.place]
        for fork in item.forks
    )
    target = tool and all(int(logits[place].argmax()) == true[place] for place in item.target)
    return Answer(tool=tool, target=target, nll=nll, tokens=len(true))


def _guard(chat: Chat, model: Any, parts: Parts, order: Judge, teller: Teller) -> float | None:
    """Give the loss on plain instructions: what an adapter must not unlearn."""
    lines = read_lines(Path(str(files("karl.training") / _GUARD)))
    examples = [example for example in chat.examples(lines, order.max_tokens) if example is not None]

    def say(done: int, total: int) -> None:
        teller.progress(
            Notice(kind="progress", where="judging plain answers", iteration=done, iterations=total)
        )

    return mean_loss(model, loss.of(parts), examples, order.batch, say)

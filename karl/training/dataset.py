"""What a training learns from: the rows of a folder as examples, and what was left of them."""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

import msgspec

from karl.errors import KarlError, NotFound
from karl.learning.manifests import TRAIN, VALID
from karl.schema.learning import Recipe
from karl.training import loss
from karl.training.chat import Chat, Example, Line, read_lines
from karl.training.order import Train


class Examples(NamedTuple):
    """Examples to train with, of weights with mean 1, and those to validate with, of weight 1 each.

    `cut` counts the former whose history was too long, `left` those whose answer was.
    """

    train: list[Example]
    valid: list[Example]
    cut: int
    left: int


def read(order: Train, chat: Chat) -> Examples:
    """Read a data set. Raises KarlError for one that can not be trained with."""
    recipe = order.recipe
    found = list(chat.examples(read_lines(order.data / TRAIN), recipe.max_tokens))
    kept = [example for example in found if example is not None]
    _check(len(kept), len(found), recipe)
    weights = loss.of_mean_one([example.weight if recipe.weighted else 1.0 for example in kept])
    train = [example._replace(weight=weight) for example, weight in zip(kept, weights, strict=True)]
    lines = _some(list(read_lines(order.data / VALID)), recipe.valid_rows)
    valid = [
        example._replace(weight=1.0)
        for example in chat.examples(lines, recipe.max_tokens)
        if example is not None
    ]
    cut = sum(example.cut for example in kept)
    return Examples(train, valid, cut, len(found) - len(kept))


def _some(lines: list[Line], most: int) -> list[Line]:
    """Give at most so many rows, 0 for all; whatever the seed the same ones: losses can be compared."""
    if not most or len(lines) <= most:
        return lines
    chosen = random.Random("validation").sample(range(len(lines)), most)  # noqa: S311 - not for secrets
    return [lines[at] for at in sorted(chosen)]


def _check(kept: int, found: int, recipe: Recipe) -> None:
    if kept >= recipe.batch:
        return
    left = (
        f"; the answers of {found - kept} are longer than {recipe.max_tokens} tokens" if found > kept else ""
    )
    raise KarlError(
        f"{kept} rows to train with are less than one batch of {recipe.batch}{left}; "
        "export more, or train with a smaller batch"
    )


def digest(order: Train) -> str:
    """Give a digest of what a training follows from, but where it is. Raises NotFound.

    Of the model it has name and config; who gives the order tells models apart by their weights.
    """
    parts = [msgspec.json.encode(order.recipe), order.name.encode()]
    for path, help_ in (
        (order.data / TRAIN, "`karl export` writes data sets"),
        (order.data / VALID, "`karl export` writes data sets"),
        (order.model / "config.json", "`karl models list` shows the models that are here"),
    ):
        if not path.is_file():
            raise NotFound(f"{path} is not there; {help_}")
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").digest())
    return hashlib.sha256(b"\n".join(parts)).hexdigest()

"""An adapter: put into a model to be trained, and written as the two files that mlx-lm reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from karl.errors import KarlError
from karl.schema.learning import Recipe
from karl.training import checkpoint
from karl.training.order import ADAPTER, CONFIG, WEIGHTS


def attach(model: Any, recipe: Recipe) -> int:
    """Put a new adapter into a model and leave only it to be trained; gives how many layers have one.

    Chance is mlx's: seed it first.
    """
    from mlx_lm.tuner.utils import linear_to_lora_layers  # noqa: PLC0415 - loaded with the model, if there is one

    layers = len(model.layers) if recipe.layers < 0 else min(recipe.layers, len(model.layers))
    if not layers:
        raise KarlError("an adapter of 0 layers learns nothing; --layers takes 1 or more, or -1 for all")
    model.freeze()
    linear_to_lora_layers(model, layers, _parameters(recipe))
    return layers


def weights(model: Any) -> dict[str, mx.array]:
    """Give an adapter's weights by name."""
    return dict(tree_flatten(model.trainable_parameters()))


def save(path: Path, arrays: dict[str, mx.array]) -> None:
    """Write arrays. Raises KarlError where the disk does not take them."""
    with writing(path):
        mx.save_safetensors(str(path), arrays)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say where something could not be written: mlx raises a RuntimeError for that as for all else."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(("[write]", "[save")):
            raise
        raise KarlError(f"{path} can not be written: {error}; is the disk full?") from error


def read(path: Path) -> dict[str, mx.array]:
    """Read arrays. Raises KarlError where that can not be done."""
    try:
        found = mx.load(str(path))
    except (RuntimeError, ValueError) as error:
        raise KarlError(f"{path} can not be read: {error}") from error
    assert isinstance(found, dict)
    return found


def keep(out: Path, best: Path, recipe: Recipe, *, name: str, layers: int) -> dict[str, str]:
    """Write the adapter of a run from the weights that are best; gives its files with their sha256.

    Nothing in it says where it was made: the same training gives the same bytes.
    """
    folder = checkpoint.fresh(out)
    shutil.copyfile(best, folder / WEIGHTS)
    config = {
        "fine_tune_type": "lora",
        "lora_parameters": _parameters(recipe),
        "model": name,
        "num_layers": layers,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    checkpoint.settle(folder, out / ADAPTER)
    return {name: _sha256(out / ADAPTER / name) for name in (CONFIG, WEIGHTS)}


def _parameters(recipe: Recipe) -> dict[str, float]:
    return {"rank": recipe.rank, "scale": recipe.scale, "dropout": recipe.dropout}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

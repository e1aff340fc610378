"""A model with its tokenizer and an adapter, loaded by mlx-lm, with errors that say what is wrong."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx

from karl.errors import KarlError, NotFound
from karl.training.order import WEIGHTS

#: What mlx-lm raises for files that are not what they should be.
_UNREADABLE = (ValueError, KeyError, TypeError, RuntimeError, OSError)


class Loaded(NamedTuple):
    """A model that can be called, its tokenizer (mlx-lm's wrapper), and its config."""

    model: Any
    tokenizer: Any
    config: dict[str, Any]


def load(folder: Path, adapter: Path | None = None) -> Loaded:
    """Load a model's folder. Raises NotFound where there is none, KarlError where it can not be read."""
    from mlx_lm.utils import load as load_model  # noqa: PLC0415 - three seconds

    if not (folder / "config.json").is_file():
        raise NotFound(
            f"{folder} holds no model: no config.json; `karl models list` shows those that are here"
        )
    if adapter is not None and not (adapter / WEIGHTS).is_file():
        raise NotFound(f"{adapter} holds no adapter: no {WEIGHTS}")
    try:
        found: Any = load_model(
            str(folder), adapter_path=None if adapter is None else str(adapter), return_config=True
        )
    except _UNREADABLE as error:
        what = f"the model in {folder}" + ("" if adapter is None else f" with the adapter in {adapter}")
        raise KarlError(f"{what} can not be loaded: {type(error).__name__}: {error}") from error
    return Loaded(*found)


def choose(device: str) -> str:
    """Run on `cpu`, `gpu`, or what mlx finds; gives what it is in words."""
    if device == "gpu" and not mx.is_available(mx.gpu):
        raise KarlError("mlx finds no GPU here; train on the CPU, or install the extra train-cuda")
    if device:
        mx.set_default_device(mx.gpu if device == "gpu" else mx.cpu)
    if mx.default_device() == mx.cpu:
        return f"cpu ({platform.machine()})"
    name = mx.device_info().get("device_name", "")
    return f"gpu ({name})" if name else "gpu"


def versions() -> dict[str, str]:
    """Give what has a say in what comes out, besides the order: on a CPU, the threads that add up too."""
    found = {"python": platform.python_version(), "mlx": version("mlx"), "mlx-lm": version("mlx-lm")}
    if mx.default_device() == mx.cpu:
        found["threads"] = os.environ.get("OPENBLAS_NUM_THREADS") or str(os.cpu_count())
    return found


def peak_mb() -> float:
    """Give the most memory that mlx held at once, in MB."""
    return round(mx.get_peak_memory() / 1e6, 1)

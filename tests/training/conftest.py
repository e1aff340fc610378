"""What tests of training share: a tiny model, rows that it can learn by heart, and the way to run an order."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.learning.action import action
from karl.schema.learning import Recipe
from karl.training.order import Train, Trained
from karl.training.process import run

TOOLS = ("Bash", "Edit", "Grep", "Read")
TARGETS = ("pytest -q", "shop/prices.py", "def total", "shop/orders.py")
ASKED = ("run the tests again", "rename it in the table", "look where it is called", "find out why")

collect_ignore_glob = [] if importlib.util.find_spec("mlx_lm") else ["test_*.py"]


def row(kind: int, **more: Any) -> dict[str, Any]:
    """A row whose answer follows from its prompt."""
    return {
        "messages": [
            {"role": "user", "content": ASKED[kind]},
            {"role": "assistant", "content": action(TOOLS[kind], TARGETS[kind])},
        ],
        "weight": 1.0,
        "karl": {"trajectory": f"traj_{kind}", "session": "s", "tool": TOOLS[kind], "target": TARGETS[kind]},
        **more,
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in rows))
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from karl.training.tiny import write_tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: 22 rows to train with, 6 to validate with."""
    folder = tmp_path_factory.mktemp("data")
    write_rows(folder / "train.jsonl", [row(n % 4, weight=0.5 + n % 3) for n in range(22)])
    write_rows(folder / "valid.jsonl", [row(n % 4) for n in range(6)])
    return folder


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    return {**os.environ, "MLX_DISABLE_COMPILE": "1"}


@pytest.fixture(scope="session")
def do(cache: Path, environ: dict[str, str]) -> Callable[..., Any]:
    """Run an order as a worker would, in a process of its own, on one thread."""

    def carry_out(order: Any, **more: Any) -> Any:
        return run(order, **{"cache": cache, "threads": 1, "env": environ, **more})

    return carry_out


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Train], Trained]:
    """Train in this process: a second faster than in one of its own."""
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    from karl.training.telling import Teller
    from karl.training.train import train

    return lambda order: train(order, Teller(io.BytesIO()))


RECIPE = Recipe(
    iters=12, batch=4, layers=2, rank=4, scale=2.0, learning_rate=2e-3, max_tokens=96, every=4, dropout=0.05
)


def training(data: Path, model: Path, out: Path, *, resume: bool = False, **recipe: Any) -> Train:
    return Train(
        data, model, "tiny", out, msgspec.structs.replace(RECIPE, **recipe), resume=resume, device="cpu"
    )

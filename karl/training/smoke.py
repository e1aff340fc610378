"""Whether training works on this machine, and how fast: a few iterations with rows made up for it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import mlx.core as mx
import msgspec

from karl.learning.action import action
from karl.learning.manifests import TRAIN, VALID
from karl.training import blas
from karl.training.loaded import choose, peak_mb, versions
from karl.training.order import Smoke, Smoked, Train
from karl.training.telling import Teller
from karl.training.tiny import write_tiny
from karl.training.train import train

_SIDE, _TIMES = 1024, 3
_ASKED = "look at the orders of the shop, then mend what fails and run its tests again. "
_CALLS = (
    ("Bash", "pytest -q"),
    ("Read", "shop/orders.py"),
    ("Edit", "shop/orders.py"),
    ("Grep", "def total"),
)


def smoke(order: Smoke, teller: Teller) -> Smoked:
    """Train a few iterations; gives what was measured. Raises KarlError where it does not work."""
    device = choose(order.device)
    teller.where("measuring a matrix product")
    gflops = product_gflops()
    recipe = msgspec.structs.replace(order.recipe, every=1)
    with tempfile.TemporaryDirectory(prefix="karl-smoke-") as folder:
        model = order.model
        if model is None:
            model = Path(folder) / "tiny"
            write_tiny(model)
        _write_rows(Path(folder), max(8, 2 * recipe.batch))
        trained = train(
            Train(Path(folder), model, "smoke", Path(folder) / "out", recipe, device=order.device), teller
        )
    return Smoked(
        losses=tuple(point.train_loss for point in trained.curve if point.train_loss is not None),
        seconds_an_iteration=round(trained.seconds / recipe.iters, 3),
        gflops=gflops,
        peak_mb=peak_mb(),
        device=device,
        versions=versions(),
        compiled="MLX_DISABLE_COMPILE" not in os.environ,
        blas=blas.loaded(),
    )


def product_gflops() -> float:
    """Measure a product of float32 matrices on the device in use, in GFLOP/s."""
    one, other = mx.random.normal((_SIDE, _SIDE)), mx.random.normal((_SIDE, _SIDE))
    mx.eval(one, other, one @ other)
    begun_s = time.perf_counter()
    for _ in range(_TIMES):
        mx.eval(one @ other)
    return round(2 * _SIDE**3 * _TIMES / (time.perf_counter() - begun_s) / 1e9, 1)


def _write_rows(folder: Path, count: int) -> None:
    rows = []
    for number in range(count):
        tool, target = _CALLS[number % len(_CALLS)]
        rows.append(
            {
                "messages": [
                    {"role": "user", "content": _ASKED * 8 + str(number)},
                    {"role": "assistant", "content": action(tool, target)},
                ]
            }
        )
    (folder / TRAIN).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    (folder / VALID).write_bytes(b"")

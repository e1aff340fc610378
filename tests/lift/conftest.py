"""A data set of sessions that we make up, a model that nobody trained, and a node that may train."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from karl.learning import resample
from karl.learning.row import Row
from karl.stream import bundles
from karl.training.tiny import write_tiny
from tests.lift.planted import row

#: What follows what in the sessions made up here; the first is what a good turn does.
_AFTER = {"": ("Read", "Bash"), "Read": ("Edit", "Bash"), "Edit": ("Bash", "Read"), "Bash": ("Read", "Edit")}


def sessions(first: int, count: int, steps: int = 4) -> list[Row]:
    """Sessions of one turn; every other one does the wrong thing, and is worth less."""
    found = []
    for at in range(first, first + count):
        chance = random.Random(at)
        before, good = ("", ""), at % 2 == 0
        for step in range(steps):
            tool = _AFTER[before[0]][0 if good or chance.random() < 0.3 else 1]
            target = chance.choice(("a.py", "b.py"))
            worth = (0.8 if good else 0.3) + 0.1 * chance.random()
            about = {"session": f"session-{at}", "reward": worth, "advantage": 4 * (worth - 0.6)}
            found.append(row(f"turn-{at}", step, tool, target, before=before, **about))
            before = (tool, target)
    return found


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in rows))
    return path


@pytest.fixture(autouse=True)
def fewer_draws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A thousand draws show what is planted; ten thousand are drawn where a test asks for `all_draws`."""
    if "all_draws" not in request.fixturenames:
        monkeypatch.setattr(resample, "DRAWS", 1000)
    resample._weights.cache_clear()
    yield
    resample._weights.cache_clear()


@pytest.fixture
def all_draws() -> None:
    """As many draws as users get: see `fewer_draws`."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one in it, `tiny`."""
    models = tmp_path_factory.mktemp("models")
    write_tiny(models / "tiny")
    return models


@pytest.fixture
def bundle(redis: Redis, tmp_path: Path) -> str:
    """The bundle of a data set: 20 sessions to train with, 6 that are held out."""
    folder = tmp_path / "data-set"
    folder.mkdir()
    files = {
        "train.jsonl": write_rows(folder / "train.jsonl", sessions(0, 20)),
        "valid.jsonl": write_rows(folder / "valid.jsonl", sessions(20, 2)),
        "heldout.jsonl": write_rows(folder / "heldout.jsonl", sessions(30, 6)),
    }
    return bundles.put(redis, files, 3600)


@pytest.fixture
def data_dir(tmp_path: Path, tiny: Path) -> Path:
    """A node's data folder, with the tiny model."""
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    (folder / "models").symlink_to(tiny)
    return folder

"""A line with everything in it that a promotion rests on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from karl.learning import resample
from karl.settings import Settings, read_settings
from tests.adapters.scene import Scene
from tests.workers.conftest import Line, line

__all__ = ["line"]


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is planted is plain to see in a few hundred draws; ten thousand take a second each time."""
    monkeypatch.setattr(resample, "DRAWS", 300)
    resample._weights.cache_clear()
    yield
    resample._weights.cache_clear()


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return read_settings({"KARL_REDIS_URL": redis_url, "KARL_DATA_DIR": str(tmp_path), "KARL_NODE": "n1"})


@pytest.fixture
def scene(line: Line, redis: Redis, settings: Settings) -> Scene:
    return Scene(line, redis, settings)

"""A line with sessions, to hold some of them out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.centroids.conftest import Scene, line
from tests.learning.said import prompt
from tests.workers.conftest import Line

__all__ = ["line"]


@pytest.fixture
def scene(line: Line, redis_url: str) -> Iterator[Scene]:
    """Ten sessions a minute apart, s0 to s9, of two turns each; each asks something else."""
    made = Scene(line, redis_url)
    for number in range(10):
        one = made.session(f"s{number}")
        one.turn(text=prompt(number))
        one.turn(text="go on")
    made.settle()
    yield made
    made.close()

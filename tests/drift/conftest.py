"""The line in miniature (tests/workers/conftest.py), for turns before and since a training."""

from tests.workers.conftest import feed, line

__all__ = ["feed", "line"]

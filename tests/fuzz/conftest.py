"""The line in miniature, for what is hostile in the streams."""

from tests.workers.conftest import feed, line

__all__ = ["feed", "line"]

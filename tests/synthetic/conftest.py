"""The line in miniature (tests/workers/conftest.py), for questions on their way into the ledger."""

from tests.workers.conftest import feed, line

__all__ = ["feed", "line"]

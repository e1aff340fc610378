"""The line in miniature that the workers' tests use: commands here read its ledger."""

from tests.workers.conftest import feed, line

__all__ = ["feed", "line"]

"""The same line that adapters are promoted on."""

from __future__ import annotations

from tests.adapters.conftest import fewer_draws, line, scene, settings

__all__ = ["fewer_draws", "line", "scene", "settings"]

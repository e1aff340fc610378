"""A line in miniature, moved by whoever waits for it, and a home folder with skills."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.settings import Settings, read_settings
from karl.views.rebuild import begin
from tests.skills.writing import fields, skill
from tests.workers.conftest import Line, feed, line

__all__ = ["feed", "line"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home folder with two skills and a command."""
    folder = tmp_path / "home"
    skill(
        folder, ".claude/skills/pdf", fields(name="pdf", description="Reads PDFs.", triggers="[merge pages]")
    )
    skill(folder, ".agents/skills/sheets", fields(name="sheets", description="Makes sheets."))
    skill(folder, ".claude/commands", "Ships it.", "ship.md")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def settings(redis_url: str, line: Line, tmp_path: Path) -> Settings:
    """Settings of a machine that has the ledger and its views."""
    made = read_settings(
        {"KARL_REDIS_URL": redis_url, "KARL_DATA_DIR": str(line.folder.parent), "KARL_NODE": "n1"}
    )
    made.views.parent.mkdir(parents=True)
    begin(made.views, "2")
    return made


@pytest.fixture
def moving(line: Line, settings: Settings) -> Iterator[None]:
    """Workers that write the ledger and the views while a command waits."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            line.catch_up(settings.views)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()

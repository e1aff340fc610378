"""One run of the demo, for all who look at what it leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.demo.report import DemoReport
from karl.demo.run import run


@pytest.fixture(scope="package")
def folder() -> Iterator[Path]:
    # A short path: what is shown of a longer one is cut, and the README shows it whole.
    with tempfile.TemporaryDirectory(prefix="karl-") as short:
        yield Path(short) / "tour"


@pytest.fixture(scope="package")
def report(folder: Path) -> DemoReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KARL_DISABLE", "1")  # a stranger's setting, which must not reach the demo
        return run(folder)

"""One run of the demo, for all who look at what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from karl.demo.report import DemoReport
from karl.demo.run import run


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "tour"


@pytest.fixture(scope="package")
def report(folder: Path) -> DemoReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KARL_DISABLE", "1")  # a stranger's setting, which must not reach the demo
        return run(folder)

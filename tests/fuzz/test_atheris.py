"""A short coverage-guided run of each reader; `make fuzz` runs them for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import TARGETS, missing, run

#: Seconds for each target, and its start besides.
SECONDS = 1

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def test_nothing_but_what_is_promised_is_raised(tmp_path: Path) -> None:
    done = {
        name: (number, trouble)
        for name, number, trouble in run(TARGETS, seconds=SECONDS, folder=tmp_path, seed=1)
    }
    assert {name: trouble for name, (_, trouble) in done.items() if trouble} == {}
    assert set(done) == set(TARGETS)
    assert all(number > 10 for number, _ in done.values()), done
    assert list(tmp_path.iterdir()) == []

"""A term that a server gives out twice, because it forgot the first time, is used once."""

from __future__ import annotations

import pytest

from karl.errors import LeaseLost
from tests.workers.conftest import Line


def test_a_term_that_the_folder_knows_already_is_given_back_and_a_larger_one_taken(line: Line) -> None:
    worker = line.ledger_worker()
    acquire = worker._lease.acquire

    def acquire_late(floor: int) -> str | None:
        """Let another writer claim the same term between the server's answer and our look at the folder."""
        holder = acquire(floor)
        line.folder.mkdir(exist_ok=True)
        (line.folder / "LOCK").write_bytes(b"%010d\n" % worker._lease.term)
        worker._lease.acquire = acquire  # type: ignore[method-assign]
        return holder

    worker._lease.acquire = acquire_late  # type: ignore[method-assign]
    with pytest.raises(LeaseLost, match="term 1 was used before"):
        worker.run_once(line.stop)
    worker.forget()
    worker.run_once(line.stop)
    assert worker._writer is not None
    assert worker.term == 2
    worker.close()

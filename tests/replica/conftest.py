"""A ledger that is written and served in this process, and followers of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.ledger.files import segment_size
from karl.ledger.writer import Draft
from karl.replica.client import Client
from karl.replica.copy import Copy, Mark
from karl.replica.serve import Served, Serving
from tests.conftest import wait_until
from tests.ledger.conftest import draft, open_writer
from workers.follow import FollowWorker

TOKEN = "a-token-of-the-tests"


class Origin:
    """A ledger in `folder`: `append` writes, and confirms what was written."""

    def __init__(self, folder: Path, *, segment_max_bytes: int = 1 << 20) -> None:
        self.folder = folder
        self.segment_max_bytes = segment_max_bytes
        self.serving: Serving | None = None
        self.count = 0
        self.term = 0
        self.begin()

    def begin(self) -> None:
        """Take the ledger over under the next term."""
        self.term += 1
        self.writer = open_writer(self.folder, self.term, segment_max_bytes=self.segment_max_bytes)
        self.serving = Serving(self.folder, Served("127.0.0.1", 0, TOKEN))
        wait_until(lambda: self.source_port, "it listens")
        self.confirm()

    @property
    def source_port(self) -> int:
        return self.serving.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.source_port}"

    def confirm(self) -> None:
        segment = self.writer.segment
        self.serving.source.confirm(segment, segment_size(self.folder, segment))

    def append(self, count: int = 1, *, confirmed: bool = True) -> None:
        for _ in range(count):
            self.write([draft(self.count)], confirmed=confirmed)
            self.count += 1

    def write(self, drafts: list[Draft], *, confirmed: bool = True) -> None:
        self.writer.append(drafts)
        if confirmed:
            self.confirm()

    def end(self) -> None:
        self.serving.stop()
        self.writer.close()

    def client(self, token: str = TOKEN) -> Client:
        return Client(self.url, token)

    def follower(self, folder: Path, name: str = "f1", *, rejoin: bool = False) -> FollowWorker:
        copy = Copy.open(folder, Mark(self.url, "2026-01-01T00:00:00Z"), rejoin=rejoin)
        return FollowWorker(self.client, copy, folder, follower=name)


def segments(folder: Path) -> dict[str, bytes]:
    """The bytes of every segment, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Origin]:
    made = Origin(tmp_path / "ledger")
    yield made
    made.end()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Where a copy will be."""
    return tmp_path / "copy"

"""An export with synthetic rows: in train alone, up to their share, and none that tells of what it is judged by."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.export.heldout import held_out_rows
from karl.learning.manifests import read
from karl.schema.learning import HoldoutBody
from karl.views.rebuild import begin
from tests.cli.running import karl
from tests.synthetic.making import body
from tests.workers.conftest import Feed, Line
from workers.records import LEARNING, Outgoing, send

DAY_MS = 86_400_000
START_MS = 1_760_000_000_000


def day(number: float) -> int:
    return START_MS + int(number * DAY_MS)


@pytest.fixture
def data(line: Line, redis: Redis, tmp_path: Path) -> Path:
    """A ledger of sixteen sessions, one a day; the last two are held out. Commits of every half day."""
    worker = line.sessions()
    for at in range(16):
        one = Feed(redis, f"s-{at:02}", day(at))
        one.prompt(" ".join(sha256(f"{at} {word}".encode()).hexdigest()[:7] for word in range(12)))
        for step in range(4):
            one.call("Read", file_path=f"/home/dev/p/{at}/{step}.py")
        one.stop()
        line.drain(worker)
    worker.close()
    held = HoldoutBody("h1", ("s-14", "s-15"), "time", 0, 0.1, 2, "to judge", "p", "n", day(20))
    made = [
        body(f"ev{at:02}", repository="p", time_ms=day(at / 2 - 0.1), question=f"What of change {at}?")
        for at in range(40)
    ]
    made.append(body("evzz", repository="elsewhere", time_ms=day(100), question="What of another?"))
    send(
        redis,
        [Outgoing("holdout", LEARNING, held), *(Outgoing("synthetic", LEARNING, one) for one in made)],
        lambda _: None,
    )
    (tmp_path / "views").mkdir()
    begin(tmp_path / "views" / "views.sqlite", "2")
    line.catch_up(tmp_path / "views" / "views.sqlite")
    return tmp_path


def exported(data: Path, *more: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    told = karl(
        data,
        "export",
        "--format",
        "chatml",
        "--detail",
        "brief",
        "--output",
        str(data / "out"),
        "--no-record",
        *more,
    )
    assert told.exit_code == 0, (told.output, told.exception)
    train, valid = (
        [json.loads(line) for line in (data / "out" / f"{part}.jsonl").read_text().splitlines()]
        for part in ("train", "valid")
    )
    return train, valid


def synthetic(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["karl"].get("synthetic")]


def test_synthetic_rows_are_in_train_alone_and_no_more_than_their_share(data: Path) -> None:
    train, valid = exported(data, "--synthetic", "0.2")
    assert synthetic(train)
    assert len(synthetic(train)) <= 0.2 * len(train)
    assert not synthetic(valid)
    manifest = read((data / "out" / "manifest.json").read_bytes(), "out")
    count = held_out_rows(data / "views" / "views.sqlite", data / "ledger", manifest, data / "held.jsonl")
    assert count
    assert "synthetic" not in (data / "held.jsonl").read_text()


def test_what_was_committed_since_a_session_that_is_judged_by_is_left_out(data: Path) -> None:
    train, valid = exported(data, "--synthetic", "0.5")
    first = min(row["karl"]["time_ms"] for row in valid)
    ours = [row["karl"]["time_ms"] for row in synthetic(train) if row["karl"]["project"] == "p"]
    assert ours
    assert max(ours) < first
    assert max(ours) < day(14)
    assert any(row["karl"]["project"] == "elsewhere" for row in synthetic(train))

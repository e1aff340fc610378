"""A short stretch of `make torture`: whatever is done to its processes, the line keeps its promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.torture import torture


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_done_to_the_lines_processes_it_keeps_its_promises(tmp_path: Path, seed: int) -> None:
    done = torture(tmp_path / "data", seed=seed, faults=15)
    assert done.broken == []
    assert done.events > 100
    assert sum(done.faults.values()) >= 15


def test_the_checker_finds_what_is_broken(tmp_path: Path) -> None:
    sent = [{"session_id": "s", "n": number} for number in range(4)]
    events = [{"session": "s", "payload": {"n": number}} for number in (0, 2, 1, 1, 9)]
    line = {"seq": 1, "term": 2, "kind": "events", "body": {"session": "s", "events": events}, "source": None}
    later = {**line, "seq": 3, "term": 1, "body": {"session": "s", "events": []}}
    found = [
        *checker.broken_chain([_written(line), _written(later)]),
        *checker.broken_events([line], sent),
        *checker.broken_records(
            [
                {"kind": "trajectory", "body": {"id": "t"}, "source": [1, "5-0"]},
                {"kind": "trajectory", "body": {"id": "t"}, "source": [1, "4-0"]},
                {"kind": "annotation", "body": {"trajectory": "u", "by": "e"}, "source": None},
            ]
        ),
    ]
    assert found == [
        "line 1 is of another term than its segment",
        "line 1 has a wrong sum",
        "line 2 says that it is 3",
        "s: 1 events were lost, from 3 on",
        "s: 1 events are there twice, from 1 on",
        "s: 1 events that nobody sent",
        "t is there 2 times",
        "e remarks on u, which is not there",
        "partition 1: entries of the stream out of order, or twice",
    ]


def _written(line: dict[str, object]) -> dict[str, object]:
    whole = {**line, "prev": "0" * 64, "crc": "00000000"}
    return {"raw": json.dumps(whole).encode(), "segment": "0000000001-000000.jsonl", **whole}

"""A short stretch of `make torture`: whatever is done to its processes, the line keeps its promises."""

from __future__ import annotations

import ast
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from tests.faults import checker
from tests.faults.torture import torture


def test_whatever_is_done_to_the_line_it_keeps_its_promises(tmp_path: Path) -> None:
    done = torture(tmp_path / "data", seed=1, faults=20)
    assert done.broken == []
    assert done.events > 100
    assert sum(done.faults.values()) >= 20


def test_the_checker_finds_what_is_broken() -> None:
    told = checker.Told()
    for number in range(4):
        told.accepted({"session_id": "s", "n": number})
    events = [{"id": f"e{n}", "session": "s", "payload": {"n": n}} for n in (0, 2, 1, 1, 9)]
    line = {"seq": 1, "term": 2, "kind": "events", "body": {"session": "s", "events": events}, "source": None}
    later = {**line, "seq": 3, "term": 1, "body": {"session": "s", "events": []}}
    found = [
        *checker.broken_chain([_written(line, crc="00000000"), _written(later)]),
        *checker.broken_events([line], told),
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
        "s: 1 events that nobody sent, from 9 on",
        "1 ids of events are there twice, e1 is one",
        "t is there 2 times",
        "e remarks on u, which is not there",
        "partition 1: entries of the stream out of order, or twice",
    ]


def test_the_checker_follows_the_chain_over_digests_and_holds_bodies_against_them() -> None:
    first = {"seq": 1, "term": 1, "kind": "events", "body": {"a": 1}, "source": None}
    one = _written(first)
    opening = one["raw"].partition(b',"salt"')[0]
    two = _written({**first, "seq": 2}, prev=hashlib.sha256(opening).hexdigest())
    assert list(checker.broken_chain([one, two])) == []
    other = _written(first, body=b'{"a":2}')
    assert list(checker.broken_chain([other, two])) == ["line 1 has another body than was written"]
    assert list(checker.broken_chain([one, {**two, "prev": "1" * 64}])) == [
        "line 2 does not follow the one before"
    ]


def test_the_checker_takes_a_doubtful_event_once_or_not_at_all_and_a_payload_as_often_as_it_was_told() -> (
    None
):
    told = checker.Told()
    told.perhaps({"session_id": "s", "n": 0})
    for _ in range(2):
        told.accepted({"session_id": "s", "n": 1})
    assert told.doubtful == 1

    def judged(*numbers: int) -> list[str]:
        events = [{"id": f"e{i}", "session": "s", "payload": {"n": n}} for i, n in enumerate(numbers)]
        return list(checker.broken_events([{"kind": "events", "body": {"events": events}}], told))

    assert judged(0, 1, 1) == judged(1, 1) == []
    assert judged(0, 0, 1, 1) == ["s: 1 events are there twice, from 0 on"]
    assert judged(1) == ["s: 1 events were lost, from 1 on"]


def test_the_checker_shares_no_code_with_the_product() -> None:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(Path(checker.__file__).read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"karl", "producers", "workers", "tests"}


def _written(
    line: dict[str, object], *, prev: str = "0" * 64, body: bytes = b"", crc: str = ""
) -> dict[str, Any]:
    """Write a line by the page; with `body`, another one than its digest is of."""
    told = json.dumps(line["body"], separators=(",", ":")).encode()
    salt = "a" * 32
    members = {**line, "prev": prev, "digest": hashlib.sha256(salt.encode() + told).hexdigest()}
    del members["body"]
    opening = json.dumps(members, separators=(",", ":")).encode()[:-1]
    covered = opening + b',"salt":"%b","body":%b' % (salt.encode(), body or told)
    raw = covered + b',"crc":"%b"}' % (crc.encode() or b"%08x" % zlib.crc32(covered))
    return {"raw": raw, "segment": "0000000001-000000.jsonl", **json.loads(raw)}

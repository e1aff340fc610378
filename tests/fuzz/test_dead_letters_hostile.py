"""Dead letters that hold anything: listed, shown and replayed without harm to a terminal or to the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from karl.cli.main import cli
from karl.stream import dead_letters, keys
from tests.cli.running import environ
from tests.fuzz.hostile import PAYLOADS, deep
from tests.fuzz.test_shown import DRIVING

#: Fields of entries, as nobody of ours would write them.
ODD: dict[str, dict[bytes, bytes]] = {
    "no field that is known": {b"x": b"y"},
    "a reason that is no text": {
        b"d": b"{}",
        b"reason": b"\xff\x1b[2J",
        b"where": b"\x00",
        b"node": b"\xe2\x80\xae",
    },
    "a reason of a megabyte": {b"d": b"{}", b"reason": b"x" * (1 << 20)},
    "an envelope": {b"d": b'{"id":"ev1","kind":"Stop","session":"s","payload":{}}', b"reason": b"r"},
    "an envelope of many levels": {
        b"d": b'{"id":"ev1","kind":"Stop","session":"s","payload":' + deep(5000) + b"}"
    },
    "an envelope with a line end": {b"d": b'{"id":"ev1","kind":"Stop",\n"session":"s","payload":{}}'},
    "several envelopes": {b"d": b'{"id":"a","kind":"Stop","session":"s","payload":{}}\n{"id":"b"}'},
    "nothing": {b"d": b""},
}


def run(folder: Path, url: str, *arguments: str) -> str:
    result = CliRunner().invoke(
        cli, ["dead-letters", *arguments], env=environ(folder, KARL_REDIS_URL=url, NO_COLOR="1"), color=True
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert DRIVING.search(result.output) is None
    return result.stdout


@pytest.mark.parametrize("name", [*ODD, *PAYLOADS])
def test_a_letter_is_listed_shown_and_replayed_or_stays(
    redis: Redis, redis_url: str, tmp_path: Path, name: str
) -> None:
    fields = ODD.get(name) or {b"d": PAYLOADS[name], b"reason": b"not JSON"}
    redis.xadd(keys.dead_key(5), fields)  # type: ignore[arg-type]
    (letter,) = dead_letters.read(redis)
    run(tmp_path, redis_url, "list")
    assert len(json.loads(run(tmp_path, redis_url, "list", "--json"))) == 1
    run(tmp_path, redis_url, "show", letter.id)
    assert json.loads(run(tmp_path, redis_url, "show", letter.id, "--json"))["id"] == letter.id
    report = json.loads(run(tmp_path, redis_url, "replay", "--all", "--json"))
    left = list(dead_letters.read(redis))
    events = sum(redis.xlen(keys.events_key(partition)) for partition in range(keys.PARTITIONS))
    assert (report["replayed"], report["stay"]) == ((1, 0) if not left else (0, 1))
    assert events == report["replayed"]

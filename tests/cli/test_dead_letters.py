"""`karl dead-letters`: list, show, replay and drop, on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

from karl.errors import LineDown, NotFound
from karl.stream import dead_letters, keys
from tests.cli.running import karl

GOOD = b'{"hook_event_name":"Stop","session_id":"s-1"}'


@pytest.fixture
def buried(redis: Redis) -> list[str]:
    """The ids of three dead letters: one that can be read by now, and two that can not."""
    for number, (data, reason, where) in enumerate(
        [(GOOD, "no session", "ship"), (b"{\x1b]8;;http://x", "not JSON", "ship"), (b"{}", "odd", "ledger")]
    ):
        letter = {"d": data, "reason": reason, "where": where, "node": "n1"}
        redis.xadd(keys.dead_key(number), letter, id=f"{1_760_000_000_000 + number}-0")
    return [letter.id for letter in dead_letters.read(redis)]


@pytest.fixture
def asked(tmp_path: Path, redis_url: str) -> Any:
    def ask(*words: str, stdin: bytes | None = None) -> Result:
        return karl(tmp_path, "dead-letters", *words, stdin=stdin, KARL_REDIS_URL=redis_url)

    return ask


def test_dead_letters_are_listed_with_their_reason_and_bytes_that_are_no_text_are_shown_as_escapes(
    tmp_path: Path, redis: Redis, redis_url: str
) -> None:
    assert "no dead letters" in karl(tmp_path, "dead-letters", "list", KARL_REDIS_URL=redis_url).stdout
    redis.xadd(keys.dead_key(7), {"d": b"\xff\x1b[31m", "reason": "not UTF-8", "where": "ship", "node": "n1"})
    (letter,) = json.loads(karl(tmp_path, "dead-letters", "list", "--json", KARL_REDIS_URL=redis_url).stdout)
    assert (letter["reason"], letter["where"], letter["node"]) == ("not UTF-8", "ship", "n1")
    assert letter["data"] == "\\xff\x1b[31m"
    text = karl(tmp_path, "dead-letters", "list", KARL_REDIS_URL=redis_url).stdout
    assert "not UTF-8" in text
    assert "\x1b" not in text


def test_dead_letters_without_a_line_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    result = karl(tmp_path, "dead-letters", "list", KARL_REDIS_URL="redis://127.0.0.1:1/0")
    assert isinstance(result.exception, LineDown)
    assert "karl up" in str(result.exception)


def test_the_list_is_narrowed_by_reason_stop_and_age(asked: Any, buried: list[str]) -> None:
    def ids(*words: str) -> list[str]:
        return [letter["id"] for letter in json.loads(asked("list", "--json", *words).stdout)]

    assert ids("--reason", "NOT json") == [buried[1]]
    assert ids("--where", "ledger") == [buried[2]]
    assert ids("--older-than", "2025-10-09T08:53:20.001+00:00") == [buried[0]]
    assert ids("--older-than", "2020-01-01") == []


def test_one_is_shown_whole_and_can_not_drive_the_terminal(asked: Any, buried: list[str]) -> None:
    shown = asked("show", buried[1])
    assert "not JSON" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "\\x1b]8;;http://x" in shown.stdout
    assert json.loads(asked("show", buried[1], "--json").stdout)["time_ms"] == 1_760_000_000_001


@pytest.mark.parametrize("name", ["0/1-1", "64/1-1", "junk", "0/1", "١/1-1"])
def test_an_id_that_names_nothing_is_an_error(asked: Any, buried: list[str], name: str) -> None:
    for command in (["show", name], ["replay", name]):
        assert isinstance(asked(*command).exception, NotFound)


def test_replay_sends_what_can_be_read_and_says_what_stays(
    asked: Any, buried: list[str], redis: Redis
) -> None:
    report = asked("replay", "--all", "--json")
    assert report.exit_code == 1
    told = json.loads(report.stdout)
    assert (told["replayed"], told["stay"]) == (1, 2)
    assert [letter.id for letter in dead_letters.read(redis)] == buried[1:]
    assert redis.xlen(keys.events_key(keys.partition_of("s-1"))) == 1
    assert asked("replay", "--reason", "no session").exit_code == 0


def test_drop_takes_the_named_ones_and_only_after_a_yes(asked: Any, buried: list[str], redis: Redis) -> None:
    assert asked("drop", buried[0]).exit_code == 2
    assert dead_letters.count(redis) == 3
    assert asked("drop", buried[0], buried[0], "--yes").stdout == "1 dropped\n"
    assert [letter.id for letter in dead_letters.read(redis)] == buried[1:]
    assert asked("drop", "--where", "ship", "--yes").exit_code == 0
    assert [letter.id for letter in dead_letters.read(redis)] == buried[2:]
    assert json.loads(asked("drop", "--all", "--yes", "--json").stdout) == {"dropped": 1}


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_naming_nothing_or_both_is_a_misuse(
    asked: Any, buried: list[str], command: str, redis: Redis
) -> None:
    assert asked(command).exit_code == 2
    assert asked(command, buried[0], "--all").exit_code == 2
    assert dead_letters.count(redis) == 3

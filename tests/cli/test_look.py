"""`karl status`, `karl sessions`, `karl show`: on nothing, on a made ledger, and without Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import KarlError, NotFound
from karl.schema.trajectory import ToolCall
from karl.stream import keys
from karl.views.detail import call_tree
from karl.views.rebuild import rebuild
from tests.cli.running import karl, real_karl
from tests.views import ledgers


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A data folder with a ledger and its views."""
    ledgers.write(tmp_path / "ledger", ledgers.story())
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    return tmp_path


def test_status_of_nothing_says_what_to_do_and_exits_0(tmp_path: Path) -> None:
    result = karl(tmp_path, "status", "--json")
    assert result.exit_code == 0
    status = json.loads(result.stdout)
    assert status["trajectories"] == 0
    assert (status["ledger"], status["views"], status["dead_letters"], status["workers"]) == (None,) * 4
    assert status["stream"]["reachable"] is False
    assert status["spool"]["files"] == 0
    assert "karl hooks install" in result.stderr
    assert "karl up" in result.stderr
    assert not list(tmp_path.iterdir())


def test_status_counts_what_was_recorded(told: Path) -> None:
    status = json.loads(karl(told, "status", "--json").stdout)
    assert (status["trajectories"], status["sessions"], status["events"], status["tool_calls"]) == (
        3,
        2,
        10,
        9,
    )
    assert (status["annotations"], status["duplicates"]) == (1, 1)
    assert status["ledger"]["seq"] == status["views"]["seq"] == 9
    assert status["ledger"]["bytes"] == sum(p.stat().st_size for p in (told / "ledger").glob("*.jsonl"))
    assert status["views"]["behind"] == 0


def test_without_views_nobody_counted_what_is_in_the_ledger(told: Path) -> None:
    (told / "views" / "views.sqlite").unlink()
    status = json.loads(karl(told, "status", "--json").stdout)
    assert (status["trajectories"], status["sessions"], status["records"]) == (None, None, None)
    assert status["ledger"]["records"] == 8
    assert "recorded   -" in karl(told, "status").stdout


def test_status_says_how_far_the_views_are_behind(told: Path) -> None:
    ledgers.write(told / "ledger", [ledgers.trajectory("s-new", 0)])
    assert json.loads(karl(told, "status", "--json").stdout)["views"]["behind"] == 2


def test_status_of_a_damaged_ledger_still_works(told: Path) -> None:
    segment = next((told / "ledger").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes()[:-30] + b"x" * 29 + b"\n")
    result = karl(told, "status", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ledger"] is None
    assert "karl verify" in result.stderr


def test_status_tells_of_the_stream_the_spool_and_the_workers(
    told: Path, redis: Redis, redis_url: str
) -> None:
    redis.xgroup_create(keys.events_key(3), keys.GROUP, id="0", mkstream=True)
    first, *_ = [redis.xadd(keys.events_key(3), {"d": "x"}) for _ in range(4)]
    redis.xgroup_setid(keys.events_key(3), keys.GROUP, first, entries_read=1)
    redis.xadd(keys.events_key(5), {"d": "nobody reads this one yet"})
    redis.xadd(keys.records_key(3), {"k": "events", "b": "{}"})
    redis.xadd(keys.dead_key(0), {"d": "x"})
    redis.zadd(keys.WORKERS, {"alive": 10**14, "gone": 1})
    redis.set(keys.lease_key(3), "alive#1")
    redis.set(keys.LEDGER_LEASE, "writer#7")
    redis.hset(keys.NODES, "n1", '{"shipped":5}')
    spool = told / "spool"
    spool.mkdir()
    (spool / "claude-code.17").write_bytes(b"{}")
    status = json.loads(karl(told, "status", "--json", KARL_REDIS_URL=redis_url).stdout)
    assert status["stream"] == {
        "reachable": True, "entries": 5, "pending": 1, "lag": 4, "records_waiting": 1,
    }  # fmt: skip
    assert (status["dead_letters"], status["workers"]) == (1, 1)
    assert status["leases"] == {"ledger": "writer#7", "partitions": 1}
    assert (status["spool"]["files"], status["spool"]["bytes"]) == (1, 2)
    assert status["nodes"] == {"n1": {"shipped": 5}}
    text = karl(told, "status", KARL_REDIS_URL=redis_url).stdout
    assert "5 events in it, 4 of them not read yet, 1 in open turns" in text
    assert "writer#7 writes the ledger" in text


def test_sessions_are_listed_newest_first_with_what_was_recorded_made_harmless(told: Path) -> None:
    rows = json.loads(karl(told, "sessions", "--json").stdout)
    assert [row["session"] for row in rows] == ["s-beta", "s-alpha"]
    assert rows[1]["first_prompt"] == "add a login page\x1b[31m"
    text = karl(told, "sessions").stdout
    assert "\x1b" not in text
    assert "\\x1b" in text.replace("\n", "")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (("--agent", "codex"), ["s-beta"]),
        (("--node", "n1"), ["s-alpha"]),
        (("--project", "shop"), ["s-alpha"]),
        (("--fleet", "none"), []),
        (("--limit", "1"), ["s-beta"]),
        (("--since", "2020-01-01"), ["s-beta", "s-alpha"]),
        (("--since", "2100-01-01"), []),
    ],
)
def test_sessions_can_be_narrowed(told: Path, option: tuple[str, ...], expected: list[str]) -> None:
    rows = json.loads(karl(told, "sessions", "--json", *option).stdout)
    assert [row["session"] for row in rows] == expected


def test_an_unreadable_moment_is_misuse(told: Path) -> None:
    result = karl(told, "sessions", "--since", "yesterday")
    assert result.exit_code == 2
    assert "7d" in result.stderr


def test_show_of_a_session_lists_its_turns(told: Path) -> None:
    found = json.loads(karl(told, "show", "s-al", "--json").stdout)
    assert found["session"]["session"] == "s-alpha"
    assert [(turn["turn"], turn["closed_by"]) for turn in found["turns"]] == [(0, "stop"), (1, "stop")]
    text = karl(told, "show", "s-al").stdout
    assert "1 corrected" in text
    assert "\x1b" not in text


def test_show_of_a_trajectory_gives_the_record_its_score_and_what_came_later(told: Path) -> None:
    found = json.loads(karl(told, "show", "traj_s-alpha_0", "--json").stdout)
    assert found["record"]["id"] == "traj_s-alpha_0"
    assert len(found["record"]["events"]) == 2
    assert found["score"]["reward"] == found["later"][0]["reward"] != found["record"]["score"]["reward"]
    assert found["later"][0]["detector"] == "phrases-1"
    assert found["flags"]["correction_detected"] is True
    assert found["place"]["seq"] == 2
    text = karl(told, "show", "traj_s-alpha_0").stdout
    assert "known of the outcome: corrected, went on" in text
    assert "pytest -q" in text
    assert "record 2 in 0000000001-000000.jsonl" in text


def test_show_of_nothing_and_of_several_are_errors_with_a_hint(told: Path) -> None:
    assert isinstance(karl(told, "show", "zzz").exception, NotFound)
    several = karl(told, "show", "s-").exception
    assert isinstance(several, KarlError)
    assert "s-alpha, s-beta" in str(several)


def test_calls_of_subagents_stand_under_the_call_that_started_them() -> None:
    calls = [
        ToolCall(tool_name="Agent", call_id="a"),
        ToolCall(tool_name="Agent", call_id="b"),
        ToolCall(tool_name="Grep", call_id="c", parent_call="a"),
        ToolCall(tool_name="Read", call_id="d", parent_call="b"),
        ToolCall(tool_name="Read", call_id="e", parent_call="c"),
        ToolCall(tool_name="Edit", call_id="f", parent_call="not there"),
        ToolCall(tool_name="Odd", call_id="g", parent_call="g"),
    ]
    assert [(depth, number, call.tool_name) for depth, number, call in call_tree(calls)] == [
        (0, 1, "Agent"), (1, 3, "Grep"), (2, 5, "Read"), (0, 2, "Agent"), (1, 4, "Read"), (0, 6, "Edit"), (0, 7, "Odd"),
    ]  # fmt: skip


def test_the_real_executable_looks(told: Path) -> None:
    status = real_karl(told, "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["trajectories"] == 3
    missing = real_karl(told, "show", "zzz")
    assert missing.returncode == 1
    assert missing.stderr.startswith(b"karl: no session or trajectory")
    assert missing.stdout == b""

"""Each link by itself: what the doctor sees of it, what it advises, and what `--fix` mends and leaves."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

import karl
from karl.counted import many
from karl.doctor import hooks, ledger, machine, probe, server
from karl.doctor.check import Check, Machine, size, span
from karl.doctor.examine import examine
from karl.doctor.latency import measure
from karl.ledger.writer import Draft
from karl.schema.event import Event, encode_event
from karl.stream import keys
from karl.stream.dead_letters import bury
from tests.cli.running import real_karl
from tests.doctor.conftest import Home
from tests.views.ledgers import story, write

QUICK = ("--no-probe",)


def at(home: Home, **more: str) -> Machine:
    environ = {**home.environ, "KARL_DATA_DIR": str(home.data), **more}
    settings, _ = machine.readable(environ)
    return Machine(settings, environ, home.folder / "home", home.folder, "token")


# --- a machine with nothing ---


def test_with_nothing_at_all_every_link_is_named_with_what_to_do(tmp_path: Path) -> None:
    visit = Home(tmp_path).visit()
    assert (visit.code, visit.told["ok"]) == (1, False)
    assert visit.failing == [
        "hook/claude-code", "spool/folder", "shipper/process", "redis/server", "round trip/event",
    ]  # fmt: skip
    assert all(c["hint"] for c in visit.told["checks"] if c["verdict"] == "fail")
    assert visit["sessions"]["verdict"] == visit["ledger/writer"]["verdict"] == "unknown"
    assert not (tmp_path / "data").exists()


def test_the_document_has_the_same_members_whatever_is_found(tmp_path: Path) -> None:
    told = Home(tmp_path).visit().told
    assert list(told) == ["ok", "checks", "probe", "hook"]
    assert all(list(c) == ["name", "link", "verdict", "seen", "hint", "fixed"] for c in told["checks"])
    assert list(told["probe"]["ms"]) == list(probe.STOPS)
    assert list(told["hook"]) == ["hook", "true", "recorded", "others"]


def test_no_two_checks_have_one_name(tmp_path: Path) -> None:
    names = [(c["link"], c["name"]) for c in Home(tmp_path).visit(*QUICK).told["checks"]]
    assert len(names) == len(set(names))


def test_the_real_command_prints_no_traceback_with_nothing_there(tmp_path: Path) -> None:
    done = real_karl(tmp_path / "data", "doctor", **Home(tmp_path).environ)
    assert done.returncode == 1
    assert b"karl hooks install" in done.stdout
    assert done.stderr == b""


def test_a_misuse_is_exit_code_2(tmp_path: Path) -> None:
    assert real_karl(tmp_path, "doctor", "--agent", "nobody").returncode == 2
    assert real_karl(tmp_path, "doctor", "--timeout", "0").returncode == 2


def test_fix_makes_the_folders_and_says_so_and_installs_no_hook(home: Home) -> None:
    visit = home.visit(*QUICK, "--fix")
    assert home.spool.stat().st_mode & 0o777 == 0o700
    assert "made" in visit["machine/data folder"]["fixed"]
    assert "made" in visit["spool/folder"]["fixed"]
    assert not home.hooks.exists()
    assert visit["hook/claude-code"]["fixed"] is None
    assert visit.code == 1


# --- settings and folders ---


def test_a_variable_that_nobody_knows_fails_and_the_rest_is_looked_at_all_the_same(home: Home) -> None:
    visit = home.installed().visit(*QUICK, KARL_REDS_URL="x", KARL_SPOOL_MAX_MB="many")
    assert "KARL_REDS_URL" in visit["machine/settings"]["seen"]
    assert "KARL_SPOOL_MAX_MB" in visit["machine/settings"]["seen"]
    assert visit["hook/claude-code"]["verdict"] == "ok"


def test_weights_that_do_not_sum_to_one_are_a_failing_setting() -> None:
    settings, check = machine.readable({"KARL_REWARD_W_OUTCOME": "0.9", "KARL_NODE": "n1"})
    assert (check.verdict, settings.node) == ("fail", "n1")
    assert "sum to 1" in check.seen


def test_folders_that_others_can_read_are_a_warning_and_closed_by_fix(home: Home) -> None:
    home.installed()
    home.data.chmod(0o755)
    home.spool.chmod(0o750)
    visit = home.visit(*QUICK)
    assert visit["machine/data folder"]["verdict"] == visit["spool/folder"]["verdict"] == "warn"
    assert "chmod 700" in visit["spool/folder"]["hint"]
    visit = home.visit(*QUICK, "--fix")
    assert {home.data.stat().st_mode & 0o777, home.spool.stat().st_mode & 0o777} == {0o700}
    assert "0700" in visit["spool/folder"]["fixed"]


def test_a_path_too_long_for_a_socket_says_where_the_socket_is(home: Home) -> None:
    long = replace(at(home).settings, data_dir=home.folder / ("x" * 120))
    (found,) = machine._socket(replace(at(home), settings=long))
    assert (found.verdict, "too long" in found.seen) == ("ok", True)


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "verdict"),
    [
        (5 << 30, 1_000_000, "ok"), (5 << 30, None, "ok"), (500 << 20, None, "warn"), (5 << 30, 5_000, "warn"),
        (50 << 20, None, "fail"), (5 << 30, 10, "fail"),
    ],
)  # fmt: skip
def test_a_disk_is_judged_by_its_bytes_and_its_files(
    free_bytes: int, free_files: int | None, verdict: str
) -> None:
    assert machine.room(free_bytes, free_files) == verdict


def test_one_look_that_breaks_off_does_not_hide_the_others(home: Home) -> None:
    home.data.mkdir(mode=0o700)
    for name in ("spool", "ledger", "views", "up.lock"):
        (home.data / name).write_text("a file")
    visit = home.visit()
    assert {"spool/folder", "redis/server"} <= set(visit.failing)
    assert visit["machine/versions"]["verdict"] == "ok"


# --- the hook ---


def test_an_installed_hook_is_ok_and_an_outdated_one_is_mended_by_fix(home: Home) -> None:
    home.installed()
    assert home.visit(*QUICK)["hook/claude-code"]["verdict"] == "ok"
    home.hooks.write_text(home.hooks.read_text().replace(": karl-hook 1;", ": karl-hook 0;"))
    visit = home.visit(*QUICK)
    assert visit["hook/claude-code"]["verdict"] == "fail"
    assert "karl hooks install" in visit["hook/claude-code"]["hint"]
    visit = home.visit(*QUICK, "--fix")
    assert visit["hook/claude-code"]["verdict"] == "ok"
    assert "up to date" in visit["hook/claude-code"]["fixed"]


def test_a_hook_that_lacks_some_events_is_a_warning_and_one_without_prompts_fails(home: Home) -> None:
    home.installed()
    whole = json.loads(home.hooks.read_text())
    for event, verdict in (("PreCompact", "warn"), ("UserPromptSubmit", "fail")):
        less = {"hooks": {name: groups for name, groups in whole["hooks"].items() if name != event}}
        home.hooks.write_text(json.dumps(less))
        found = home.visit(*QUICK)["hook/claude-code"]
        assert (found["verdict"], event in found["seen"]) == (verdict, True)


@pytest.mark.parametrize("switch", ["disableAllHooks", "allowManagedHooksOnly"])
def test_a_switch_that_keeps_every_hook_from_running_fails_with_the_file(home: Home, switch: str) -> None:
    home.hooks.write_text(json.dumps({switch: True}))
    visit = home.installed().visit(*QUICK)
    assert switch in visit["hook/user settings"]["seen"]
    assert str(home.hooks) in visit["hook/user settings"]["hint"]


def test_settings_that_are_no_json_fail_with_the_place(home: Home) -> None:
    home.hooks.write_text('{\n  "hooks": {,}\n}')
    visit = home.visit()
    assert "line 2" in visit["hook/user settings"]["seen"]
    assert visit["hook/claude-code"]["verdict"] == "fail"


def test_the_hook_is_looked_for_in_the_repository_too(home: Home) -> None:
    assert home.karl("hooks", "install", "--scope", "local").exit_code == 0
    assert "settings.local.json" in home.visit(*QUICK)["hook/claude-code"]["seen"]


@pytest.mark.parametrize("how", ["command", "variable"])
def test_recording_that_is_switched_off_fails_and_the_event_is_cut_at_the_hook(home: Home, how: str) -> None:
    home.installed()
    if how == "command":
        home.karl("disable")
        visit = home.visit()
    else:
        visit = home.visit(KARL_DISABLE="1")
    assert visit["hook/recording"]["verdict"] == "fail"
    assert "disable" in (visit["hook/recording"]["seen"] + visit["hook/recording"]["hint"]).lower()
    assert visit.told["probe"]["cut"] == "hook"
    assert visit["hook/recording"]["seen"] in visit.told["probe"]["why"]


def test_a_workers_machine_without_an_agent_is_warned_and_does_not_fail(tmp_path: Path) -> None:
    home = Home(tmp_path, "redis://127.0.0.1:1")
    home.config.rmdir()
    visit = home.visit(*QUICK, CLAUDE_CONFIG_DIR="")
    assert visit["hook/claude-code"]["verdict"] == "warn"
    assert visit["shipper/process"]["verdict"] == "unknown"
    assert visit["spool/folder"]["verdict"] == "unknown"
    assert visit.failing == ["redis/server"]
    assert home.visit(CLAUDE_CONFIG_DIR="")["round trip"]["verdict"] == "unknown"


def test_the_hooks_latency_is_measured_beside_true_and_leaves_nothing_behind(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.installed()
    found = measure(replace(at(home), environ={**at(home).environ, "KARL_DISABLE": "1"}))
    assert found.hook is not None
    assert found.true is not None
    assert found.hook.runs >= 1
    assert found.hook.p50_ms <= found.hook.p95_ms
    assert sorted(path.name for path in home.spool.parent.iterdir()) == ["hooks", "spool"]
    assert not list(home.spool.iterdir())


def test_what_claude_code_wrote_down_of_its_hooks_is_told_apart_by_whose_they_are(home: Home) -> None:
    home.installed()
    folder = home.config / "projects" / "p"
    folder.mkdir(parents=True)
    ours = hooks.current_line(at(home), "claude-code")
    rows = [("hook_success", ours, ms) for ms in range(1, 101)]
    rows += [("hook_success", "theirs", 700), ("hook_error", ours, 9999)]
    lines = [json.dumps({"attachment": {"type": t, "command": c, "durationMs": ms}}) for t, c, ms in rows]
    lines += ['{"attachment": "hook_success"', '{"attachment": {"type": "hook_success", "command": 3}}', "\0"]
    (folder / "s.jsonl").write_text("\n".join(lines))
    found = measure(at(home))
    assert found.recorded == (100, 51, 96)
    assert found.others == (1, 700, 700)
    assert "100 runs" in found.check().seen


# --- the spool ---


def test_a_spool_that_its_owner_may_not_write_to_fails_and_is_mended(home: Home) -> None:
    home.installed()
    home.spool.chmod(0o500)
    assert home.visit(*QUICK)["spool/folder"]["verdict"] == "fail"
    assert home.visit(*QUICK, "--fix")["spool/folder"]["verdict"] == "ok"


def test_a_full_flag_that_stayed_behind_is_cleared_by_fix(home: Home) -> None:
    home.installed()
    (home.spool / "full").touch()
    visit = home.visit()
    assert visit["spool/full"]["verdict"] == "fail"
    assert visit.told["probe"]["cut"] == "hook"
    assert "takes no events" in visit.told["probe"]["why"]
    assert "takes events again" in home.visit(*QUICK, "--fix")["spool/full"]["fixed"]
    assert not (home.spool / "full").exists()


def test_a_full_flag_of_a_spool_over_its_bound_stays(home: Home) -> None:
    home.installed()
    (home.spool / "full").touch()
    (home.spool / "claude-code.1").write_bytes(b"x" * (2 << 20))
    visit = home.visit(*QUICK, "--fix", KARL_SPOOL_MAX_MB="1")
    assert visit["spool/full"]["verdict"] == "fail"
    assert "LOST" in visit["spool/full"]["seen"]
    assert (home.spool / "full").exists()


def test_events_that_wait_for_long_strangers_and_times_in_the_future_are_warnings(home: Home) -> None:
    home.installed()
    (home.spool / "notes.txt").write_text("x")
    old = home.spool / "claude-code.1"
    old.write_text("{}")
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    visit = home.visit(*QUICK)
    assert "60 min" in visit["spool/events waiting"]["seen"]
    assert "notes.txt" in visit["spool/strangers"]["seen"]
    os.utime(old, (time.time() + 3600, time.time() + 3600))
    assert home.visit(*QUICK)["spool/clock"]["verdict"] == "warn"


# --- Redis ---


def test_a_redis_that_does_not_answer_fails_and_the_event_does_not_wait_for_it(tmp_path: Path) -> None:
    home = Home(tmp_path, "redis://:secret@127.0.0.1:1").installed()
    result = home.karl("doctor", "--json", "--timeout", "60")
    assert "secret" not in result.stdout
    visit = home.visit("--timeout", "60")
    assert "KARL_REDIS_URL" in visit["redis"]["hint"]
    assert visit.told["probe"]["cut"] == "ship"
    assert visit["stream"]["verdict"] == "unknown"


def test_a_redis_that_keeps_everything_is_ok(at_redis: Home) -> None:
    visit = at_redis.visit(*QUICK)
    assert [c["verdict"] for c in visit.told["checks"] if c["link"] == "redis"] == ["ok"] * 9


def test_a_policy_that_throws_events_away_fails_and_a_server_of_yours_is_left_alone(
    at_redis: Home, redis: Redis
) -> None:
    redis.config_set("maxmemory-policy", "allkeys-lru")
    visit = at_redis.visit(*QUICK, "--fix")
    assert visit["redis/maxmemory-policy"]["verdict"] == "fail"
    assert visit["redis/maxmemory-policy"]["fixed"] is None
    assert redis.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lru"


def test_a_policy_of_the_embedded_server_is_mended(home: Home) -> None:
    from karl.stream.connect import connect
    from karl.stream.server import Server

    embedded = Server(home.data)
    embedded.start()
    try:
        redis = connect(embedded.url)
        redis.config_set("maxmemory-policy", "volatile-ttl")
        redis.close()
        visit = home.visit(*QUICK, "--fix")
    finally:
        embedded.stop()
    assert visit["redis/maxmemory-policy"]["verdict"] == "ok"
    assert "noeviction" in visit["redis/maxmemory-policy"]["fixed"]


def test_a_redis_without_an_append_only_file_fails_and_one_that_never_syncs_is_a_warning(
    at_redis: Home, redis: Redis
) -> None:
    redis.config_set("appendfsync", "no")
    assert at_redis.visit(*QUICK)["redis/append-only file"]["verdict"] == "warn"
    redis.config_set("appendonly", "no")
    found = at_redis.visit(*QUICK)["redis/append-only file"]
    assert found["verdict"] == "fail"
    assert "appendonly" in found["hint"]


def test_a_full_redis_fails_and_says_that_it_takes_no_writes(at_redis: Home, redis: Redis) -> None:
    redis.config_set("maxmemory", "1000")
    visit = at_redis.visit(*QUICK)
    assert visit["redis/memory"]["verdict"] == "fail"
    assert "XADD" in visit["redis/rights"]["seen"]
    assert "full" in visit["redis/rights"]["hint"]


def test_a_replica_fails(at_redis: Home, redis: Redis) -> None:
    redis.replicaof("127.0.0.1", "1")
    try:
        assert at_redis.visit(*QUICK)["redis/role"]["verdict"] == "fail"
    finally:
        redis.replicaof("no", "one")


def test_a_user_without_rights_is_told_what_it_may_not_do(
    at_redis: Home, redis: Redis, redis_url: str
) -> None:
    redis.execute_command(
        "ACL",
        "SETUSER",
        "looker",
        "on",
        ">pw",
        "~karl:*",
        "+@read",
        "+ping",
        "+time",
        "+info",
        "+client|setinfo",
        "+client|setname",
    )
    url = f"unix://looker:pw@{urlsplit(redis_url).path}"
    try:
        visit = at_redis.visit(*QUICK, KARL_REDIS_URL=url)
    finally:
        redis.execute_command("ACL", "DELUSER", "looker")
    assert visit["redis/rights"]["verdict"] == "warn"
    assert "XADD" in visit["redis/rights"]["seen"]
    assert "XREAD" not in visit["redis/rights"]["seen"]
    assert visit["stream/dead letters"]["verdict"] == "ok"


def test_clocks_that_differ_are_a_warning_and_by_a_minute_a_failure(at_redis: Home) -> None:
    for ahead_s, verdict in ((0, "ok"), (-10, "warn"), (600, "fail")):
        there = replace(at(at_redis), now_ns=lambda ahead_s=ahead_s: time.time_ns() + ahead_s * 10**9)
        found = examine(there, OK, fix=False, probe=False, timeout_s=1, progress=lambda _what, _count: None)
        (clock,) = [c for c in found.checks if (c.link, c.name) == ("redis", "clock")]
        assert clock.verdict == verdict


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ({"redis_version": "6.2.14"}, "fail"), ({"redis_version": "7.0.0"}, "ok"), ({"redis_version": "8.2"}, "ok"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, "ok"), ({}, "fail"),
    ],
)  # fmt: skip
def test_a_redis_older_than_seven_is_too_old(info: dict[str, str], verdict: str) -> None:
    assert server._version(info).verdict == verdict


OK = Check("machine", "settings", "ok", "")


# --- streams ---


def event(session: str) -> dict[str, bytes]:
    import msgspec

    return {"d": encode_event(Event(id="ev1", kind="Stop", session=session, payload=msgspec.Raw(b"{}")))}


def test_a_partition_over_its_bound_fails(at_redis: Home, redis: Redis) -> None:
    for _ in range(5):
        redis.xadd(keys.events_key(3), event("s"))
    visit = at_redis.visit(*QUICK, KARL_STREAM_MAX_ENTRIES="4")
    assert visit["stream/events"]["verdict"] == "fail"
    assert "partition 3" in visit["stream/events"]["seen"]


def test_events_that_nobody_reads_are_a_warning_once_they_are_old(at_redis: Home, redis: Redis) -> None:
    redis.xadd(keys.events_key(3), event("s"))
    assert at_redis.visit(*QUICK)["stream/not read yet"]["verdict"] == "ok"
    redis.xadd(keys.events_key(4), event("s"), id=f"{int(time.time() * 1000) - 3_600_000}-1")
    found = at_redis.visit(*QUICK)["stream/not read yet"]
    assert (found["verdict"], "2 events, the oldest for 60 min" in found["seen"]) == ("warn", True)


def test_a_lost_consumer_group_is_made_again_by_fix(at_redis: Home, redis: Redis) -> None:
    redis.xadd(keys.events_key(3), event("s"))
    assert at_redis.visit(*QUICK)["stream/consumer group"]["verdict"] == "warn"
    visit = at_redis.visit(*QUICK, "--fix")
    assert "1 stream" in visit["stream/consumer group"]["fixed"]
    assert [group["name"] for group in redis.xinfo_groups(keys.events_key(3))] == [b"sessions"]


def test_records_that_nobody_writes_fail_once_they_are_old(at_redis: Home, redis: Redis) -> None:
    redis.xadd(keys.records_key(3), {"k": "events", "b": "{}"}, id=f"{int(time.time() * 1000) - 3_600_000}-1")
    found = at_redis.visit(*QUICK)["stream/records waiting"]
    assert (found["verdict"], "karl worker ledger" in found["hint"]) == ("fail", True)


def test_dead_letters_are_a_warning_with_the_newest_reasons_unable_to_drive_the_terminal(
    at_redis: Home, redis: Redis
) -> None:
    pipe = redis.pipeline()
    bury(pipe, b"x", "old", "ship", "n1")
    for number in range(3):
        bury(pipe, b"x", f"\x1b[2Jreason {number}", "sessions", "n1", partition=number)
    pipe.execute()
    found = at_redis.visit(*QUICK)["stream/dead letters"]
    assert found["verdict"] == "warn"
    assert found["seen"].startswith("4; newest: ")
    assert "karl dead-letters list" in found["hint"]
    shown = at_redis.karl("doctor", *QUICK).stdout
    assert "reason 2" in shown
    assert "\x1b[2J" not in shown


def test_a_shipper_of_another_version_or_one_that_went_silent_is_a_warning(
    at_redis: Home, redis: Redis
) -> None:
    import fcntl

    with (at_redis.spool / ".ship.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "said nothing" in at_redis.visit(*QUICK)["shipper/last report"]["seen"]
        for version, age_s, word in (("0.0.1", 1, "0.0.1"), (karl.__version__, 900, "15 min")):
            report = {"time_ms": int((time.time() - age_s) * 1000), "shipped": 3, "version": version}
            redis.hset(keys.NODES, "n1", json.dumps(report))
            redis.hset(keys.NODES, "n2", json.dumps(report))
            visit = at_redis.visit(*QUICK)
            assert visit["shipper/last report"]["verdict"] == "warn"
            assert word in visit["shipper/last report"]["seen"]
        assert visit["shipper/process"]["verdict"] == visit["shipper/other nodes"]["verdict"] == "ok"


# --- the ledger and the views ---


@pytest.fixture
def recorded(home: Home) -> Home:
    """A machine with a ledger of two segments and views of it, and nothing that runs."""
    home.data.mkdir(mode=0o700)
    write(home.data / "ledger", story())
    write(home.data / "ledger", story())
    (home.data / "ledger").chmod(0o700)
    assert home.karl("rebuild").exit_code == 0
    return home


def test_a_sound_ledger_with_views_is_ok(recorded: Home) -> None:
    visit = recorded.visit(*QUICK)
    assert {c["verdict"] for c in visit.told["checks"] if c["link"] in {"ledger", "views"}} == {
        "ok",
        "unknown",
    }
    assert "lines checked" in visit["ledger/end"]["seen"]


def test_a_flipped_byte_in_one_of_the_last_lines_fails_with_the_place(recorded: Home) -> None:
    path = max((recorded.data / "ledger").glob("*.jsonl"))
    data = bytearray(path.read_bytes())
    data[len(data) - 3000] ^= 1
    path.write_bytes(data)
    found = recorded.visit(*QUICK)["ledger/end"]
    assert (found["verdict"], path.name in found["seen"]) == ("fail", True)
    assert "karl verify" in found["hint"]


def test_a_segment_that_is_missing_or_shorter_than_its_seal_fails(recorded: Home) -> None:
    path = min((recorded.data / "ledger").glob("*.jsonl"))
    path.write_bytes(path.read_bytes()[:-10])
    assert "sealed at" in recorded.visit(*QUICK)["ledger/seal"]["seen"]
    path.unlink()
    assert "missing" in recorded.visit(*QUICK)["ledger/seal"]["seen"]


def test_a_lock_that_is_gone_fails_and_strangers_are_named(recorded: Home) -> None:
    (recorded.data / "ledger" / "LOCK").unlink()
    (recorded.data / "ledger" / "notes.txt").write_text("x")
    visit = recorded.visit(*QUICK)
    assert visit["ledger/LOCK"]["verdict"] == "fail"
    assert "notes.txt" in visit["ledger/strangers"]["seen"]


def test_a_holder_that_a_larger_claim_has_shut_out_fails(at_redis: Home, redis: Redis) -> None:
    write(at_redis.data / "ledger", story())
    redis.set(keys.LEDGER_LEASE, "n1:1:ab#1")
    assert at_redis.visit(*QUICK)["ledger/LOCK"]["verdict"] == "ok"
    assert "process 1 on n1, term 1" in at_redis.visit(*QUICK)["ledger/writer"]["seen"]
    assert at_redis.visit(*QUICK, KARL_CANONICAL_WRITER="n1")["ledger/writer"]["verdict"] == "ok"
    foreign = at_redis.visit(*QUICK, KARL_CANONICAL_WRITER="n2")["ledger/writer"]
    assert (foreign["verdict"], "does not name" in foreign["seen"]) == ("fail", True)
    with (at_redis.data / "ledger" / "LOCK").open("a") as lock:
        lock.write("0000000007\n")
    assert "shut out" in at_redis.visit(*QUICK)["ledger/LOCK"]["seen"]
    redis.set(keys.LEDGER_LEASE, "n1:1:ab#9")
    assert "elsewhere" in at_redis.visit(*QUICK)["ledger/LOCK"]["seen"]


@pytest.mark.parametrize("tail", [64, 1000, 1 << 20])
def test_the_end_of_a_ledger_is_where_its_reader_ends_however_long_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int
) -> None:
    from karl.ledger.reader import Reader

    monkeypatch.setattr(ledger, "TAIL_BYTES", tail)
    folder = tmp_path / "ledger"
    assert ledger.end_position(folder) == ledger.START
    write(folder, [*story(), Draft("events", json.dumps({"x": "y" * 5000}).encode())])
    with Reader(folder) as reader:
        while reader.poll(100):
            pass
        assert ledger.end_position(folder) == reader.position


def test_a_line_that_was_cut_short_is_not_the_end(tmp_path: Path) -> None:
    write(tmp_path, story())
    before = ledger.end_position(tmp_path)
    path = max(tmp_path.glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"half":')
    end = ledger.end_of(tmp_path)
    assert end is not None
    assert end.torn == 8
    assert ledger.end_position(tmp_path) == before


def test_views_that_are_missing_are_made_by_fix(recorded: Home) -> None:
    for path in (recorded.data / "views").iterdir():
        path.unlink()
    assert recorded.visit(*QUICK)["views/file"]["verdict"] == "fail"
    visit = recorded.visit(*QUICK, "--fix")
    assert (visit["views/file"]["verdict"], "anew" in visit["views/file"]["fixed"]) == ("ok", True)


def test_views_of_another_format_or_of_another_ledger_fail(
    recorded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from karl.views import schema

    with monkeypatch.context() as patch:
        patch.setattr(schema, "FORMAT", 999)
        assert "another version" in recorded.visit(*QUICK)["views/file"]["seen"]
    last = max((recorded.data / "ledger").glob("*.jsonl"))
    last.unlink()
    assert "another ledger" in recorded.visit(*QUICK)["views/position"]["seen"]


def test_views_that_stand_still_behind_the_ledger_fail(recorded: Home) -> None:
    write(recorded.data / "ledger", story())
    found = recorded.visit(*QUICK)["views/position"]
    assert (found["verdict"], "do not move" in found["seen"]) == ("fail", True)
    assert "karl worker views" in found["hint"]


def test_no_more_than_the_end_of_a_ledger_is_read(recorded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage far from the end is the business of `karl verify`: whoever met it would have read it all."""
    monkeypatch.setattr(ledger, "TAIL_BYTES", 2048)
    path = max((recorded.data / "ledger").glob("*.jsonl"))
    data = bytearray(path.read_bytes())
    assert len(data) > 5 * 2048
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert recorded.visit(*QUICK)["ledger/end"]["verdict"] == "ok"


# --- words ---


def test_sizes_spans_and_numbers_are_told_in_units_that_fit() -> None:
    assert [size(n) for n in (0, 2048, 3 << 20, 5 << 30)] == ["0 bytes", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
    assert [span(s) for s in (0.5, 45, 600, 7200, 200_000)] == ["0.5 s", "45 s", "10 min", "2 h", "2 d"]
    assert [many(n, "event") for n in (0, 1, 2000)] == ["0 events", "1 event", "2,000 events"]


# --- what others have left ---


@pytest.mark.parametrize("text", ["", " \n", "{", '{"hooks": {"Stop": [', "[" * 5000])
def test_settings_that_are_cut_short_break_no_other_check(home: Home, text: str) -> None:
    home.hooks.write_text(text)
    visit = home.visit("--timeout", "0.2")
    assert visit.code == 1
    assert visit["round trip"]["verdict"] == "fail"


def test_settings_that_are_a_pipe_are_not_waited_for(home: Home) -> None:
    os.mkfifo(home.hooks)
    assert "no file" in home.visit("--timeout", "0.2")["hook/user settings"]["seen"]


def test_at_home_the_user_s_settings_are_looked_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.hooks.write_text("[]")
    monkeypatch.chdir(home.config.parent)
    assert "hook/project settings" not in home.visit(*QUICK).failing


@pytest.mark.parametrize(
    "report", ["null", '{"time_ms": 1, "shipped": null}', '{"time_ms": 1, "shipped": "x"}']
)
def test_a_shipper_s_report_of_any_shape_hides_no_other_check(
    at_redis: Home, redis: Redis, report: str
) -> None:
    redis.hset(keys.NODES, "n1", report)
    with (at_redis.spool / ".ship.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        visit = at_redis.visit(*QUICK)
    assert visit["redis/server"]["verdict"] == "ok"
    assert visit["shipper"]["verdict"] in {"warn", "fail"}


@pytest.mark.parametrize(("key", "value"), [(keys.LEDGER_TERM, "many"), (keys.LEDGER_LEASE, "n1:1:x#many")])
def test_what_is_not_karl_s_in_redis_hides_no_other_check(
    at_redis: Home, redis: Redis, key: str, value: str
) -> None:
    (at_redis.data / "ledger").mkdir(mode=0o700)
    (at_redis.data / "ledger" / "LOCK").write_bytes(b"0000000001\n")
    redis.set(key, value)
    visit = at_redis.visit(*QUICK)
    assert visit["redis/server"]["verdict"] == "ok"
    assert visit["hook/claude-code"]["verdict"] == "ok"
    assert {visit["ledger"]["verdict"], visit["stream/events"]["verdict"]} & {"fail", "unknown"}


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hush@hush@127.0.0.1:1/0",
        "redis://:hu/hush@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?password=hush",
        "unix:///nowhere.sock?db=0&password=hush",
    ],
)
def test_a_password_is_not_shown_wherever_the_url_has_it(home: Home, url: str) -> None:
    shown = home.karl("doctor", "--json", *QUICK, KARL_REDIS_URL=url)
    assert "redis" in shown.stdout
    assert "hush" not in shown.output
    assert "'hu'" not in shown.output
    assert "hush" not in home.karl("config", KARL_REDIS_URL=url).output


def test_a_word_that_the_client_does_not_know_is_said_of_the_url(home: Home) -> None:
    visit = home.visit(*QUICK, KARL_REDIS_URL="redis://127.0.0.1:1/0?tmeout=3")
    assert "tmeout" in visit["redis/server"]["seen"]


def test_fix_closes_no_folder_that_a_link_leads_to_and_none_that_all_share(
    home: Home, tmp_path: Path
) -> None:
    home.installed()
    home.spool.rmdir()
    target = tmp_path / "shared"
    target.mkdir(mode=0o755)
    home.spool.symlink_to(target)
    home.data.chmod(0o1777)
    visit = home.visit(*QUICK, "--fix")
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert stat.S_IMODE(home.data.stat().st_mode) == 0o1777
    assert (visit["spool/folder"]["verdict"], visit["spool/folder"]["fixed"]) == ("warn", None)


@pytest.mark.parametrize("name", ["ledger/LOCK", "views/views.sqlite", "spool/.ship.lock", "up.lock"])
def test_pipes_in_the_data_folder_are_not_waited_for(home: Home, name: str) -> None:
    home.installed()
    (home.data / name).parent.mkdir(exist_ok=True)
    os.mkfifo(home.data / name)
    assert home.visit("--timeout", "0.2").code == 1


@pytest.mark.parametrize(
    ("variable", "value"), [("KARL_SPOOL_DIR", "~nobody-of-that-name/x"), ("KARL_DATA_DIR", "/x\udcff")]
)
def test_a_path_that_can_not_be_is_a_failure_of_the_settings(home: Home, variable: str, value: str) -> None:
    assert variable in home.visit("--timeout", "0.2", **{variable: value})["machine/settings"]["seen"]


def test_a_node_that_is_no_text_is_shown_by_its_bytes(at_redis: Home, redis: Redis) -> None:
    redis.hset(keys.NODES, "n1", "{}")
    with (at_redis.spool / ".ship.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        visit = at_redis.visit(*QUICK, KARL_NODE="a\udcffb")
    assert "a\\udcffb" in visit["shipper/last report"]["seen"]


def test_a_working_folder_that_is_gone_hides_no_check(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "gone").mkdir()
    monkeypatch.chdir(home.folder / "gone")
    (home.folder / "gone").rmdir()
    assert home.visit("--timeout", "0.2")["hook/claude-code"]["verdict"] == "fail"


def test_a_shipper_s_user_is_told_what_it_may_not_ask_and_not_that_redis_is_away(
    at_redis: Home, redis: Redis, redis_url: str
) -> None:
    redis.execute_command(
        "ACL", "SETUSER", "ship", "on", ">pw", "-@all", "+ping", "+client|setname", "+client|setinfo",
        "(+xadd +xlen %W~karl:*)",
    )  # fmt: skip
    try:
        place = urlsplit(redis_url)
        url = f"unix://ship:pw@{place.path}" if place.scheme == "unix" else f"redis://ship:pw@{place.netloc}"
        visit = at_redis.visit(*QUICK, KARL_REDIS_URL=url)
    finally:
        redis.execute_command("ACL", "DELUSER", "ship")
    assert visit["redis/server"]["verdict"] == "ok"
    assert visit["redis/clock"]["verdict"] == "unknown"

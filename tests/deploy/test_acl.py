"""The users of deploy/redis: the real processes work as them, and none can do what its role does not need."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from karl.stream import keys
from karl.stream.connect import command, connect
from karl.stream.facts import facts
from karl.stream.server import find_server
from tests.cli.running import KARL
from tests.conftest import ROOT, wait_until
from workers.deciding import claimed, still_ours
from workers.processes import LINE

MADE = runpy.run_path(str(ROOT / "deploy" / "passwords"))
ROLES = MADE["REDIS_ROLES"]


class Scene:
    """A server with the users of deploy/redis, and clients as each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = {MADE["variable"](role): f"{number:064x}" for number, role in enumerate(ROLES)}
        acl = folder / "users.acl"
        acl.write_text(MADE["users"]((ROOT / "deploy/redis/users.acl.in").read_text(), self.found))
        self.socket = folder / "s"
        self.process = subprocess.Popen(
            [
                find_server(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder),
                "--aclfile", str(acl), "--save", "", "--appendonly", "yes",
                "--enable-debug-command", "yes", "--enable-module-command", "yes",  # so that only the users' rights refuse them
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.clients: list[Redis] = []
        wait_until(self.socket.exists, "the server listens")

    def url(self, role: str) -> str:
        return f"unix://{role}:{self.found[MADE['variable'](role)]}@{self.socket}"

    def client(self, role: str) -> Redis:
        made = connect(self.url(role), name=f"test-{role}")
        self.clients.append(made)
        return made

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("acl"))
    yield made
    made.close()


def refused(client: Redis, *words: Any) -> bool:
    try:
        command(client, *words)
    except NoPermissionError:
        return True
    except ResponseError as error:
        if "ACL failure in script" not in str(error):
            raise
        return True
    return False


#: What nobody of the line may do, whatever the role: the server's own affairs, and everything of everybody.
NOBODY = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "SET", "save", ""), ("CONFIG", "REWRITE"), ("SHUTDOWN", "NOSAVE"),
    ("DEBUG", "SLEEP", 0), ("MODULE", "LOAD", "/tmp/x.so"), ("REPLICAOF", "127.0.0.1", 1), ("SAVE",), ("MONITOR",), ("SWAPDB", 0, 1),
    ("ACL", "LIST"), ("ACL", "GETUSER", "ops"), ("ACL", "SETUSER", "ship", "+@all", "~*"), ("ACL", "SAVE"),
    ("SCRIPT", "FLUSH"), ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() return 1 end)"),
    ("SUBSCRIBE", "x"), ("PSUBSCRIBE", "*"), ("PUBLISH", "x", "y"), ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "PAUSE", 1),
    ("RENAME", "karl:{1}:events", "karl:x"), ("MIGRATE", "127.0.0.1", 1, "karl:{1}:events", 0, 1), ("RANDOMKEY",),
    ("DUMP", "karl:{1}:events"), ("RESTORE", "karl:{1}:events", 0, "x"), ("OBJECT", "ENCODING", "karl:x"), ("COPY", "karl:a", "karl:b"),
    ("SORT", "karl:nodes", "GET", "karl:*"), ("MGET", "karl:{1}:lease", "other"), ("GET", "other"), ("SET", "other", "x"),
    ("XADD", "other", "*", "a", "b"), ("EVAL", "return redis.call('FLUSHALL')", 0),
    ("EVAL", "return redis.call('SET', 'other', 'x')", 0), ("XGROUP", "DESTROY", "karl:{1}:events", "sessions"),
]  # fmt: skip

EVENTS, RECORDS, DEAD = keys.events_key(1), keys.records_key(1), keys.dead_key(1)
FORBIDDEN = {
    "ship": [
        ("XRANGE", EVENTS, "-", "+"), ("XREAD", "STREAMS", EVENTS, "0"), ("XTRIM", EVENTS, "MAXLEN", 0),
        ("XDEL", EVENTS, "1-1"), ("DEL", EVENTS), ("XADD", RECORDS, "*", "k", "score"), ("GET", keys.LEDGER_LEASE),
        ("SET", keys.lease_key(1), "me"), ("HGETALL", keys.NODES), ("EVAL", "return 1", 0), ("FLUSHALL",),
        ("CONFIG", "GET", "*"), ("KEYS", "*"), ("XADD", "other", "*", "a", "b"), ("ACL", "LIST"),
        ("XADD", "karl:{1}:session:{2}:events", "*", "d", "x"), ("SCAN", "0"), ("XREAD", "STREAMS", DEAD, "0"), ("XDEL", DEAD, "1-1"),
        ("HGET", keys.NODES, "another"), ("HDEL", keys.NODES, "another"), ("SET", keys.LEDGER_LEASE, "me"),
        ("SET", keys.LEDGER_HEAD, "{}"), ("XADD", RECORDS, "*", "k", "trajectory", "b", "{}"), ("EVALSHA", "0" * 40, 0),
        ("SCRIPT", "LOAD", "return 1"), ("XINFO", "STREAM", EVENTS), ("XGROUP", "CREATE", EVENTS, "mine", "0"), ("ZADD", keys.WORKERS, 1, "x"),
    ],
    "sessions": [
        ("XRANGE", RECORDS, "-", "+"), ("SET", keys.LEDGER_LEASE, "me"), ("GET", keys.LEDGER_LEASE),
        ("XADD", "other", "*", "a", "b"), ("FLUSHALL",), ("CONFIG", "SET", "save", ""), ("KEYS", "*"),
        ("HSET", keys.NODES, "n", "x"), ("SHUTDOWN",), ("XREAD", "STREAMS", RECORDS, "0"), ("XTRIM", RECORDS, "MAXLEN", 0),
        ("XADD", EVENTS, "*", "d", "x"), ("XREAD", "STREAMS", DEAD, "0"), ("DEL", keys.session_key(1, "s")),
        ("EVAL", "return redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)", 1, RECORDS),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, EVENTS), ("EVAL", "return 1", 1, keys.LEDGER_LEASE),
        ("EVAL", "return redis.call('SET', 'karl:ledger:lease', 'me')", 0), ("SET", keys.LEDGER_HEAD, "{}"),
        ("EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, RECORDS), ("SET", keys.LEDGER_TERM, 9),
        ("EVAL", "return redis.call('XRANGE', 'karl:{1}:records', '-', '+')", 0), ("DEL", keys.WORKERS),
    ],
    "ledger": [
        ("XRANGE", EVENTS, "-", "+"), ("XADD", EVENTS, "*", "d", "x"), ("GET", keys.session_key(1, "s")),
        ("SET", keys.lease_key(1), "me"), ("FLUSHALL",), ("XDEL", RECORDS, "1-1"),
        ("XREAD", "STREAMS", DEAD, "0"), ("XTRIM", DEAD, "MAXLEN", 0), ("DEL", RECORDS), ("XADD", keys.LEDGER_TERM, "*", "a", "b"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, RECORDS), ("HGETALL", keys.NODES), ("GET", keys.lease_key(1)),
        ("EVAL", "return redis.call('XADD', 'karl:{1}:events', '*', 'd', 'x')", 0), ("GET", keys.LEDGER_FOLLOWERS),
        ("EVAL", "return redis.call('XRANGE', 'karl:{1}:events', '-', '+')", 0), ("ZADD", keys.WORKERS, 1, "x"),
    ],
    "look": [
        ("XADD", EVENTS, "*", "d", "x"), ("XDEL", EVENTS, "1-1"), ("SET", "karl:x", "1"), ("DEL", EVENTS),
        ("EVAL", "return 1", 0), ("CONFIG", "SET", "save", ""), ("FLUSHALL",), ("GET", "other"),
        ("CLIENT", "KILL", "TYPE", "normal"), ("HSET", keys.NODES, "n", "x"), ("XDEL", DEAD, "1-1"),
    ],
    "ops": [
        ("SET", keys.LEDGER_LEASE, "me"), ("DEL", EVENTS), ("XTRIM", EVENTS, "MAXLEN", 0), ("FLUSHALL",),
        ("EVAL", "return 1", 0), ("SET", keys.session_key(1, "s"), "x"), ("XDEL", EVENTS, "1-1"), ("XDEL", RECORDS, "1-1"),
        ("CLIENT", "KILL", "TYPE", "normal"), ("DEL", keys.LEDGER_HEAD), ("SET", keys.LEDGER_TERM, 9), ("HSET", keys.NODES, "n", "x"),
    ],
    "dashboard": [
        ("GET", keys.LEDGER_LEASE), ("XRANGE", EVENTS, "-", "+"), ("DEL", "rq:queue:x"), ("LPUSH", "rq:queue:x", "j"),
        ("HSET", "rq:job:x", "data", "x"), ("SMEMBERS", "karl:x"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"),
        ("SCAN", "0"), ("RANDOMKEY",), ("SREM", "rq:queues", "x"), ("CLIENT", "LIST"),
    ],
    "jobs": [
        ("XADD", EVENTS, "*", "d", "x"), ("XRANGE", EVENTS, "-", "+"), ("XREAD", "STREAMS", RECORDS, "0"), ("XDEL", DEAD, "1-1"),
        ("XTRIM", RECORDS, "MAXLEN", 0), ("GET", keys.session_key(1, "s")), ("SET", keys.LEDGER_LEASE, "me"), ("DEL", EVENTS),
        ("HSET", keys.NODES, "n", "x"), ("PUBLISH", "rq:pubsub:w", "{}"), ("SUBSCRIBE", "rq:pubsub:w"), ("EVAL", "return 1", 0),
        ("CLIENT", "LIST"), ("CONFIG", "GET", "*"), ("INFO",), ("SCAN", "0"), ("SET", "rqx", "1"), ("ZADD", keys.WORKERS, 1, "x"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_not_do_what_its_processes_do_not(scene: Scene, role: str) -> None:
    client = scene.client(role)
    client.ping()
    assert [words for words in NOBODY + FORBIDDEN[role] if not refused(client, *words)] == []


@pytest.mark.parametrize("key", [keys.ROUTING_CLAIM, keys.ADAPTERS_CLAIM, keys.HOLDOUT_CLAIM])
def test_a_person_may_decide_whatever_one_decides_at_a_time(scene: Scene, key: str) -> None:
    with claimed(scene.client("ops"), key, "t", "it"):
        still_ours(scene.client("ops"), key, "t")


def test_nobody_comes_in_without_a_password(scene: Scene) -> None:
    stranger = connect(f"unix://{scene.socket}")
    scene.clients.append(stranger)
    with pytest.raises(Exception, match=r"NOAUTH|Authentication"):
        stranger.ping()


@pytest.fixture
def line(scene: Scene, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A whole line, each process as its own user; gives the environment of a command without a URL."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    data = {"KARL_DATA_DIR": str(tmp_path / "data"), "KARL_NODE": "n1"}
    running = []
    always = [process for process in LINE if not process.only_if]
    for number, process in enumerate((*always, next(one for one in LINE if one.name == "ledger"))):
        with (tmp_path / f"{process.name}-{number}.log").open("wb") as log:
            environ = {**clean, **data}
            if process.name in ROLES:  # the views have no user: they ask nobody
                environ["KARL_REDIS_URL"] = scene.url(process.name)
            words = [sys.executable, "-P", "-m", "karl.cli", *process.words]
            running.append(subprocess.Popen(words, env=environ, stderr=log))
    look = scene.client("look")

    def ready() -> bool:
        now = facts(look)
        return now.partitions_held == 64 and now.ledger_lease is not None and "n1" in now.nodes

    wait_until(ready, "each process works as its user")
    yield {**clean, **data}
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
CHECKS = {
    name: one["healthcheck"]["test"]
    for name, one in SERVICES.items()
    if str(one["image"]).startswith("karl-ledger")
    and "test" in one["healthcheck"]
    and name != "follow"  # it asks no Redis: it has a copy of its own
}


def unhealthy(scene: Scene, environ: dict[str, str]) -> list[str]:
    """Run the healthchecks of docker-compose.yml as they stand there; give the services that are not well."""
    asked = {**environ, "LOOK_URL": scene.url("look"), "PATH": f"{KARL.parent}:{os.environ['PATH']}"}
    found = []
    for name, (kind, *words) in CHECKS.items():
        shell = ["sh", "-c"] if kind == "CMD-SHELL" else []
        check = [*shell, *(word.replace("$$", "$") for word in words)]
        if subprocess.run(check, env=asked, capture_output=True, timeout=60, check=False).returncode:
            found.append(name)
    return found


def test_without_its_process_each_service_is_unhealthy(scene: Scene, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    (tmp_path / "spool").mkdir(0o700)
    environ = {**clean, "KARL_DATA_DIR": str(tmp_path), "KARL_NODE": "n1"}
    # Views that lack nothing are well, whoever follows; tests/doctor has those that stay behind.
    assert unhealthy(scene, environ) == [name for name in CHECKS if name != "views"]


def test_a_turn_goes_through_the_line_and_each_process_is_its_own_user(
    scene: Scene, line: dict[str, str], tmp_path: Path
) -> None:
    def karl(role: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        environ = {**line, "KARL_REDIS_URL": scene.url(role)}
        return subprocess.run([KARL, *words], env=environ, capture_output=True, timeout=60, check=False)

    payloads = [
        {"session_id": "s-1", "hook_event_name": "UserPromptSubmit", "prompt": "Make it work"},
        {"session_id": "s-1", "hook_event_name": "Stop"},
        {"session_id": "s-1", "hook_event_name": ""},
    ]
    spool = tmp_path / "data" / "spool"
    for number, payload in enumerate(payloads):
        (spool / f".{number}").write_text(json.dumps(payload))
        os.utime(
            spool / f".{number}", (1_700_000_000, 1_700_000_000 + number)
        )  # nobody writes to it any more
        (spool / f".{number}").rename(spool / f"claude-code.{4_190_000 + number}")
    ledger = tmp_path / "data" / "ledger"
    wait_until(
        lambda: any('"traj_' in path.read_text() for path in ledger.glob("*.jsonl")), "the turn is on disk"
    )
    look = scene.client("look")
    wait_until(lambda: facts(look).dead_letters == 1, "what could not be read is a dead letter")
    wait_until(lambda: not unhealthy(scene, line), "each service is well")
    assert unhealthy(scene, {**line, "KARL_NODE": "n2"}) == ["sessions", "ledger", "ledger-standby", "jobs"]
    for link in ("redis", "stream"):
        seen = karl("look", "doctor", "--only", link, "--json")
        checks = json.loads(seen.stdout)["checks"]
        assert [c for c in checks if c["verdict"] in ("fail", "unknown")] == [], link
    assert karl("look", "status").returncode == 0
    assert karl("ops", "dead-letters", "replay", "--all").returncode == 1
    assert karl("ops", "dead-letters", "drop", "--all", "--yes").returncode == 0
    assert facts(look).dead_letters == 0
    (tmp_path / "more.jsonl").write_text(json.dumps({**payloads[0], "session_id": "s-2"}))
    assert karl("ops", "import", "hooks", str(tmp_path / "more.jsonl")).returncode == 0
    assert karl("look", "dead-letters", "drop", "--all", "--yes").returncode == 0
    assert karl("look", "import", "hooks", str(tmp_path / "more.jsonl")).returncode == 1
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "standing by" in logs
    assert "permission" not in logs.lower()

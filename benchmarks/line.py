"""From stream to fsynced ledger: one or two sessions workers and one ledger writer, against a floor loop.

The floor does the least that any consumer with a durable, chained log must do, in one process:
XREADGROUP, decode the envelope, chain and append, fdatasync, XACK. Ours folds, normalises, scores,
hands on through a second stream and writes the ledger. Both read the same 1 KB tool events, spread
over 64 partitions, in turns of 50 events, from a real server. Rounds are interleaved. A sessions worker
computes in one process; what it can not do in one core's time, a second one does in another's.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.reward.score import DEFAULT_VERSION, VERSIONS
from karl.schema.event import Event, decode_event, encode_event, event_id
from karl.session.emissions import Limits
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server
from workers.compose import Composer
from workers.ledger import LedgerWorker
from workers.loop import run
from workers.sessions import SessionsWorker

TURN_EVENTS = 50
#: Sessions that are under way at a time, each at a point of its own, as a fleet's are.
OPEN_SESSIONS = 200


def events(total: int):
    """Make (partition, encoded event) pairs of about 1 KB: prompt, tool results, Stop, session by session."""
    body = "x" * 560
    for number in range(total):
        session = f"bench-{number // TURN_EVENTS:06d}"
        step = number % TURN_EVENTS
        payload = {"session_id": session, "cwd": "/home/dev/project", "permission_mode": "default"}
        if step == 0:
            kind = "UserPromptSubmit"
            payload |= {"hook_event_name": kind, "prompt": f"Make the tests of part {number} pass. {body}"}
        elif step == TURN_EVENTS - 1:
            kind = "Stop"
            payload |= {"hook_event_name": kind, "stop_hook_active": False, "last_assistant_message": body}
        else:
            kind = "PostToolUse"
            tool, value = _call(step, number)
            payload |= {
                "hook_event_name": kind,
                "tool_name": tool,
                "tool_input": value,
                "tool_response": {"stdout": body, "stderr": "", "interrupted": False},
                "tool_use_id": f"toolu_{number:020d}",
                "duration_ms": 20 + step,
            }
        event = Event(
            id=event_id("bench", str(number)),
            kind=kind,
            session=session,
            payload=msgspec.Raw(json.dumps(payload, separators=(",", ":")).encode()),
            time_ms=1_760_000_000_000 + number * 10,
            node="bench",
            project="project",
        )
        yield keys.partition_of(session), encode_event(event)


def _call(step: int, number: int):
    path = f"/home/dev/project/src/module_{number % 7}.py"
    calls = (
        ("Read", {"file_path": path}),
        ("Bash", {"command": "python -m pytest -q tests/test_module.py", "description": "Run the tests"}),
        ("Edit", {"file_path": path, "old_string": "a = 1", "new_string": "a = 2"}),
        ("Grep", {"pattern": "def main", "path": "src"}),
    )
    return calls[step % 4]


def load(client, total: int) -> None:
    """Put all events into the streams, sessions interleaved as a fleet's are."""
    client.flushall()
    pairs = list(events(total))
    sessions = [iter(pairs[at : at + TURN_EVENTS]) for at in range(0, total, TURN_EVENTS)]
    chance = random.Random(7)
    active, waiting = sessions[:OPEN_SESSIONS], sessions[OPEN_SESSIONS:][::-1]
    while active:
        pipe = client.pipeline(transaction=False)
        for _ in range(1000):
            if not active:
                break
            one = chance.randrange(len(active))
            event = next(active[one], None)
            if event is not None:
                pipe.xadd(keys.events_key(event[0]), {"d": event[1]})
            elif waiting:
                active[one] = waiting.pop()
            else:
                active.pop(one)
        pipe.execute()


def floor(client, folder: Path, total: int) -> float:
    """Consume everything with the least work possible; gives seconds."""
    names = [keys.events_key(p) for p in range(64)]
    for name in names:
        client.xgroup_create(name, "floor", id="0", mkstream=True)
    fd = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    head = "0" * 64
    done = seq = 0
    started = time.perf_counter()
    while done < total:
        reply = client.execute_command(
            "XREADGROUP", "GROUP", "floor", "c", "COUNT", 16, "STREAMS", *names, *[">"] * 64
        )
        lines = []
        pipe = client.pipeline(transaction=False)
        for stream, entries in reply:
            for _, flat in entries:
                event = decode_event(flat[1])
                seq += 1
                line = b'{"seq":%d,"session":"%s","prev":"%s","body":%s' % (
                    seq,
                    event.session.encode(),
                    head.encode(),
                    flat[1],
                )
                line += b',"crc":"%08x"}' % zlib.crc32(line)
                head = hashlib.sha256(line).hexdigest()
                lines.append(line)
            pipe.xack(stream, "floor", *[entry for entry, _ in entries])
            done += len(entries)
        os.write(fd, b"\n".join(lines) + b"\n")
        os.fdatasync(fd)
        pipe.execute()
    seconds = time.perf_counter() - started
    os.close(fd)
    return seconds


class Took(NamedTuple):
    """What a round took: seconds, and CPU seconds of each process that took part, its start left out."""

    seconds: float
    cpu_s: dict[str, float]


def start_workers(url: str, folder: Path, turns: int, sessions: int = 1) -> dict[str, subprocess.Popen]:
    """Start a ledger writer and so many sessions workers that wait for their go."""
    names = ["ledger", "sessions", *(f"sessions_{number}" for number in range(2, sessions + 1))]
    workers = {
        which: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.line", which, url, str(folder), str(turns)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for which in names
    }
    for worker in workers.values():
        assert worker.stdout.readline() == b"ready\n"
    return workers


def let_go(workers: dict[str, subprocess.Popen]) -> None:
    """Let the workers begin."""
    for worker in workers.values():
        worker.stdin.write(b"go\n")
        worker.stdin.flush()


def end_workers(workers: dict[str, subprocess.Popen]) -> dict[str, float]:
    """End the workers; gives the CPU seconds of each since it began."""
    spent = {}
    for which, worker in workers.items():
        worker.stdin.close()
        spent[which] = float(worker.stdout.read())
        worker.wait()
        worker.stdout.close()
    return spent


def server_cpu_s(url: str) -> float:
    """Give the CPU seconds of a server so far."""
    with closing(connect(url)) as client:
        used = client.info("cpu")
    return used["used_cpu_user"] + used["used_cpu_sys"]


def ours(url: str, folder: Path, total: int, sessions: int) -> Took:
    """Consume everything with the real workers, each in its own process."""
    workers = start_workers(url, folder, total // TURN_EVENTS, sessions)
    _sign_on(url, sessions)
    before = server_cpu_s(url)
    started = time.perf_counter()
    let_go(workers)
    assert (
        workers["ledger"].stdout.readline() == b"done\n"
    )  # blocks, so that measuring takes no share of a core
    seconds = time.perf_counter() - started
    spent = end_workers(workers)
    return Took(seconds, spent | {"server": server_cpu_s(url) - before})


def _sign_on(url: str, sessions: int) -> None:
    """Say who is alive, as those who work have said for long: else the first one takes all partitions."""
    with closing(connect(url)) as client:
        until = time.time_ns() // 1_000_000 + 5_000
        names = ["sessions", *(f"sessions_{number}" for number in range(2, sessions + 1))]
        client.zadd(keys.WORKERS, {f"bench-{name}": until for name in names})


def work(which: str, url: str, folder: str, turns: str) -> None:
    """Be one of the workers: say ready, wait for go, run until stdin closes."""
    client = connect(url)
    worker = (
        LedgerWorker(client, Path(folder) / "ledger", owner="bench-l", lease_ttl_s=5.0, segment_max_bytes=64 << 20)
        if which == "ledger"
        else SessionsWorker(
            client, Composer(DEFAULT_VERSION, VERSIONS[DEFAULT_VERSION].WEIGHTS), Limits(), owner=f"bench-{which}", lease_ttl_s=5.0,
            carry_ttl_ms=86_400_000, open_max_events=10_000, node="bench",
        )
    )  # fmt: skip
    print("ready", flush=True)
    sys.stdin.readline()
    spent = time.process_time()
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    if which == "ledger":
        once = worker.run_once

        def and_tell(stop: threading.Event) -> None:
            once(stop)
            if worker.records >= int(turns):
                print("done", flush=True)
                worker.run_once = once

        worker.run_once = and_tell
    run(worker, stop)
    print(time.process_time() - spent, flush=True)


def measure(total: int = 60_000, rounds: int = 3) -> dict[str, float]:
    """Give events a second of the floor and of ours (medians), the ratio of each round's pair, and our CPU."""
    floors: list[float] = []
    found: dict[int, list[Took]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        server = Server(Path(scratch))
        server.start()
        client = connect(server.url)
        for number in range(rounds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            load(client, total)
            floors.append(floor(client, folder, total))
            for sessions, took in found.items():
                load(client, total)
                took.append(ours(server.url, folder / str(sessions), total, sessions))
        client.close()
        server.stop()
    return {
        "events": total,
        "floor_events_per_s": total / statistics.median(floors),
        **_against(floors, found[1], total, ""),
        **cpu_us(found[1], total),
        **_against(floors, found[2], total, "two_workers_"),
    }


def _against(floors: list[float], found: list[Took], total: int, name: str) -> dict[str, float]:
    return {
        f"{name}events_per_s": total / statistics.median(took.seconds for took in found),
        f"{name}ratio_to_floor": statistics.median(
            least / took.seconds for least, took in zip(floors, found, strict=True)
        ),
    }


def cpu_us(found: list[Took], events: int) -> dict[str, float]:
    """Give the CPU microseconds of an event by process (medians): what a loaded machine changes least."""
    return {
        f"{name}_cpu_us": statistics.median(took.cpu_s[name] for took in found) / events * 1e6
        for name in found[0].cpu_s
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(*sys.argv[1:])
    else:
        for name, value in measure().items():
            print(f"{name:28} {value:12.2f}")

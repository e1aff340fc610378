"""Jobs through the queues: how many a second, and how long one waits before it begins.

A job that does nothing, through our worker (each in a process of its own, which may be killed and leaks
nothing) and through three of RQ's: in the worker's own process, forked, and spawned. All in turns, over one
server. What is put into the queue in a second is measured for both, too, and for RQ's with many at a time.

    python -m benchmarks.jobs [JOBS]
"""

from __future__ import annotations

import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, SpawnWorker, Worker
from rq.serializers import JSONSerializer

from karl.jobs import asking, gate, keys, queues, table
from karl.settings import read_settings
from karl.stream.connect import connect
from karl.stream.server import find_server
from workers.jobs import JobsWorker

ROUNDS = 5
ENQUEUED = 2000
#: As RQ's workers import it.
NOTHING = "benchmarks.jobs.nothing"
#: Seconds between two looks at a job that shall begin.
_LOOK_S = 0.0005


def nothing(**_more: Any) -> int:
    """Do nothing; RQ's workers import it."""
    return 0


def ask(redis: Redis, count: int) -> list[str]:
    """Put probes into the queue `embed`; gives their ids."""
    job = table.find("probe")
    return [
        asking.enqueue(redis, gate.Asked(job, table.Probe(note=str(n))), "embed").id for n in range(count)
    ]


def ours(redis: Redis, folder: Path, count: int) -> float:
    """Do so many jobs with our worker; jobs a second, enqueueing included."""
    environ = {**os.environ, "KARL_DATA_DIR": str(folder), "KARL_LOG_LEVEL": "WARNING"}
    worker = JobsWorker(redis, table.find_queue("embed"), read_settings({}), environ, owner="bench:1:a")
    stop = threading.Event()
    started = time.perf_counter()
    names = ask(redis, count)
    for _ in range(count):
        worker.run_once(stop)
    took = time.perf_counter() - started
    worker.close()
    assert {queues.status(redis, name) for name in names} == {"finished"}
    return count / took


def theirs(redis: Redis, kind: str, count: int) -> float:
    """Do so many jobs with one of RQ's workers, JSON as ours; jobs a second, enqueueing included."""
    kinds = {"simple": SimpleWorker, "fork": Worker, "spawn": SpawnWorker}
    queue = Queue("bench", connection=redis, serializer=JSONSerializer)
    worker = kinds[kind]([queue], connection=redis, serializer=JSONSerializer)
    started = time.perf_counter()
    for number in range(count):
        queue.enqueue(NOTHING, note=str(number))
    worker.work(burst=True, logging_level=logging.CRITICAL)
    took = time.perf_counter() - started
    done = queue.finished_job_registry.get_job_count()
    assert done >= count, (kind, done)
    queue.delete(delete_jobs=True)
    return count / took


def enqueued(redis: Redis) -> dict[str, float]:
    """Jobs a second that are put into a queue: by us, by RQ, and by RQ many at a time."""
    queue = Queue("bench", connection=redis, serializer=JSONSerializer)

    def many() -> None:
        for start in range(0, ENQUEUED, 100):
            some = [Queue.prepare_data(NOTHING, kwargs={"note": str(n)}) for n in range(start, start + 100)]
            queue.enqueue_many(some)

    found = {}
    for name, work in (
        ("ours, each once", lambda: ask(redis, ENQUEUED)),
        ("RQ", lambda: [queue.enqueue(NOTHING, note=str(n)) for n in range(ENQUEUED)]),
        ("RQ, 100 at a time", many),
    ):  # fmt: skip
        redis.flushall()
        started = time.perf_counter()
        work()
        found[name] = ENQUEUED / (time.perf_counter() - started)
    redis.flushall()
    return found


def begun(redis: Redis, url: str, folder: Path, rounds: int = 20) -> dict[str, list[float]]:
    """Milliseconds from asking to the job's beginning, and to its end, with a real worker that waits."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ |= {"KARL_DATA_DIR": str(folder), "KARL_REDIS_URL": url, "KARL_LOG_LEVEL": "WARNING"}
    words = [sys.executable, "-P", "-m", "karl.cli", "worker", "jobs", "embed"]
    worker = subprocess.Popen(words, env=environ)
    found: dict[str, list[float]] = {"asked to begun": [], "asked to done": []}
    job = table.find("probe")
    try:
        while not redis.smembers(keys.workers_key("embed")):
            time.sleep(0.05)
        for number in range(rounds + 1):
            started = time.perf_counter()
            name = asking.enqueue(redis, gate.Asked(job, table.Probe(note=f"r{number}")), "embed").id
            for label, wanted in (
                ("asked to begun", {"started", "finished"}),
                ("asked to done", {"finished"}),
            ):
                while queues.status(redis, name) not in wanted:
                    time.sleep(_LOOK_S)
                if number:  # the first one warms up
                    found[label].append(1000 * (time.perf_counter() - started))
    finally:
        worker.terminate()
        worker.wait(30)
    return found


def _refuses(port: int) -> bool:
    with socket.socket() as knock:
        return bool(knock.connect_ex(("127.0.0.1", port)))


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Run a server on the loopback; gives its port. RQ's spawned worker knows no other way to one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = [find_server(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while _refuses(port):
            time.sleep(0.01)
        yield port
    finally:
        server.terminate()
        server.wait()


def measure(redis: Redis, port: int, folder: Path, count: int) -> dict[str, list[float]]:
    """Jobs a second of each worker, round by round, in turns."""
    some = max(5, count // 5)
    bare = Redis(port=port)
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: ours(redis, folder, some),
        "RQ, in its own process": lambda: theirs(bare, "simple", count),
        "RQ, forked": lambda: theirs(bare, "fork", some),
        "RQ, spawned": lambda: theirs(bare, "spawn", some),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            redis.flushall()
            found[name].append(way())
    bare.close()
    return found


def main() -> int:
    """Print the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory(prefix="karl-jobs-") as name:
        folder = Path(name)
        with served(folder) as port:
            url = f"redis://127.0.0.1:{port}/0"
            with connect(url) as redis:
                tcp = measure(redis, port, folder, count)
                put = enqueued(redis)
                waited = begun(redis, url, folder)
    floor = statistics.median(tcp["RQ, in its own process"])
    print(f"{'jobs a second':26} {'median':>8} {'best':>8} {'of RQ own':>10}")
    for name, rates in tcp.items():
        middle = statistics.median(rates)
        print(f"{name:26} {middle:8.1f} {max(rates):8.1f} {middle / floor:10.3f}")
    print(f"\n{'enqueued a second':26}")
    for name, rate in put.items():
        print(f"{name:26} {rate:8.0f}")
    print(f"\n{'milliseconds':26} {'median':>8} {'most':>8}")
    for name, times in waited.items():
        print(f"{name:26} {statistics.median(times):8.1f} {max(times):8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

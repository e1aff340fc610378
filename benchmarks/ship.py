"""The shipper against the bare client: what reading, redacting and naming cost on top of XADD.

Run with `python -m benchmarks.ship`. Both sides send the same bytes to the same server, in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from redis import Redis

from karl.schema.event import encode_event
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server
from producers.envelope import EnvelopeMaker, spool_id
from producers.push import BATCH_MAX, parcel_of
from producers.ship import Shipper
from producers.spool import Spool

TEXT = "def add(left, right):\n    return left + right  # both are numbers\n"


def payload(number: int) -> bytes:
    """One PostToolUse of about a kilobyte, as most of an agent's events are."""
    return json.dumps(
        {
            "session_id": f"session-{number % 50}",
            "transcript_path": "/home/dev/.claude/projects/shop/session.jsonl",
            "cwd": "/home/dev/shop",
            "permission_mode": "default",
            "hook_event_name": "PostToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": f"cat src/part_{number}.py", "description": "Read a part"},
            "tool_response": {"stdout": TEXT * 8, "stderr": "", "interrupted": False, "isImage": False},
            "tool_use_id": f"toolu_{number:020d}",
            "duration_ms": 31,
        }
    ).encode()


def fill(folder: Path, payloads: list[bytes]) -> None:
    """Leave payloads in a spool folder, as hooks do."""
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(payloads):
        path = folder / f"claude-code.{number + 1}"
        path.write_bytes(data)
        os.utime(path, ns=(number, number))


def prepare(maker: EnvelopeMaker, payloads: list[bytes]) -> float:
    """Make envelopes only; seconds."""
    started = time.perf_counter()
    for number, data in enumerate(payloads):
        encode_event(maker.make(data, name=spool_id("n", str(number), number, data), time_ms=number))
    return time.perf_counter() - started


def bare(redis: Redis, maker: EnvelopeMaker, payloads: list[bytes]) -> float:
    """Send ready envelopes with the client's own xadd(); seconds."""
    parcels = [parcel_of(maker.make(data, name=str(number))) for number, data in enumerate(payloads)]
    started = time.perf_counter()
    for at in range(0, len(parcels), BATCH_MAX):
        pipe = redis.pipeline(transaction=False)
        for parcel in parcels[at : at + BATCH_MAX]:
            pipe.xadd(keys.events_key(parcel.partition), {"d": parcel.data})
        pipe.execute()
    return time.perf_counter() - started


def ship(redis: Redis, maker: EnvelopeMaker, folder: Path, payloads: list[bytes]) -> float:
    """Ship a full spool until it is empty; seconds."""
    fill(folder, payloads)
    shipper = Shipper(Spool(folder), redis, maker, stream_max=10**9)
    started = time.perf_counter()
    while shipper.run_once().count:
        pass
    return time.perf_counter() - started


def measure(events: int = 20_000, rounds: int = 3) -> dict[str, float]:
    """Give events per second of each side (median of the rounds), and the shipper's share of the bare client's."""
    payloads = [payload(number) for number in range(events)]
    maker = EnvelopeMaker(node="bench")
    prepare(maker, payloads[:100])
    seconds: dict[str, list[float]] = {"prepare": [], "bare": [], "ship": []}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.start()
        redis = connect(server.url)
        try:
            for number in range(rounds):
                seconds["prepare"].append(prepare(maker, payloads))
                redis.flushall()
                seconds["bare"].append(bare(redis, maker, payloads))
                redis.flushall()
                seconds["ship"].append(ship(redis, maker, Path(folder) / f"spool{number}", payloads))
        finally:
            redis.close()
            server.stop()
    rates = {f"{name}_per_s": events / statistics.median(times) for name, times in seconds.items()}
    ratio = statistics.median(a / b for a, b in zip(seconds["bare"], seconds["ship"], strict=True))
    return {"events": events, "bytes": len(payloads[0]), **rates, "ship_to_bare": ratio}


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:16} {value:12,.2f}")

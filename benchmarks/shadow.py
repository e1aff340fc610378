"""From a prompt's hook to its prediction in the ledger; and predictions a second, without the encoder.

A real `karl up`, with the real hook and a router of the best encoder that is installed. Cold is the first prompt
after a start: the worker of the queue `route` has to be started for it, a process for the job, and the encoder to be
opened. Warm are the prompts after that, one at a time. Beside each stands the record of a turn without calls: from
its last hook to the ledger, the same way without a job.

    python -m benchmarks.shadow [STARTS [PROMPTS]]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the job has it; read when numpy is loaded

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.encoders import _DIM, _prompts, _router
from benchmarks.live import _publish
from karl.encoders.choose import best
from karl.encoders.encoder import unit
from karl.ledger.reader import Position, Reader
from karl.routing.policy import Catalogue, Policy
from karl.routing.predict import Asked, Predictor
from karl.schema.routing import Rule, SkillEntry
from karl.stream.server import Server
from producers.hook import hook_command
from producers.hook_line import find_program

_SKILLS = (150, 1000)
_BATCHES = (1, 256)


@contextmanager
def line(folder: Path, encoder: str) -> Iterator[None]:
    """Run a server where routing is on, and `karl up` over it."""
    server = Server(folder)
    server.start()
    _publish(server.url, encoder)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ |= {"KARL_DATA_DIR": str(folder), "KARL_REDIS_URL": server.url, "KARL_NODE": "n1"}
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen([sys.executable, "-m", "karl.cli", "up"], env=environ, stderr=errors)
    try:
        _wait(log, (b"partitions gained", b"writing term", b"for the queue default"), process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        server.stop()


def _wait(log: Path, words: tuple[bytes, ...], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not all(word in log.read_bytes() for word in words):
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(log.read_text())
        time.sleep(0.05)


class Hook:
    """Fires events as an agent does, and waits for what comes of them."""

    def __init__(self, folder: Path) -> None:
        self._command = hook_command(folder / "spool", "claude-code", find_program("cat"))
        self._ledger = folder / "ledger"
        self._position = Position()
        self._turns = 0

    def fire(self, session: str, kind: str, **fields: object) -> None:
        """Fire one event."""
        payload = {"session_id": session, "hook_event_name": kind, "cwd": "/tmp", **fields}
        subprocess.run(["sh", "-c", self._command], input=json.dumps(payload).encode(), check=True)

    def until(self, kind: str, session: str) -> None:
        """Wait until the ledger has a record of this kind of a session."""
        word, end = session.encode(), time.monotonic() + 60
        with Reader(self._ledger, self._position) as reader:
            while time.monotonic() < end:
                for one in reader.poll(1000):
                    if one.kind == kind and word in bytes(one.body):
                        self._position = reader.position
                        return
                time.sleep(0.001)
        raise RuntimeError(f"no {kind} record came")

    def turn(self, prompt: str) -> tuple[float, float]:
        """Let one prompt come, and its turn end; gives ms to the prediction, and to the turn's record."""
        self._turns += 1
        session = f"bench-{self._turns:06d}"
        began = time.perf_counter()
        self.fire(session, "UserPromptSubmit", prompt=prompt)
        self.until("shadow", session)
        predicted = time.perf_counter()
        self.fire(session, "Stop", stop_hook_active=False, last_assistant_message="Done.")
        self.until("trajectory", session)
        return 1000 * (predicted - began), 1000 * (time.perf_counter() - predicted)


def delays(starts: int, prompts: list[str]) -> dict[str, dict[str, float]]:
    """Give the delays of prompts, cold and warm, beside those of turns."""
    cold, warm = [], []
    for _ in range(starts):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with line(folder, best()):
                hook = Hook(folder)
                cold.append(hook.turn(prompts[0]))
                warm += [hook.turn(prompt) for prompt in prompts[1:]]
    return {name: _told(found) for name, found in (("cold", cold), ("warm", warm))}


def _told(found: list[tuple[float, float]]) -> dict[str, float]:
    shadows, turns = (sorted(one) for one in zip(*found, strict=True))
    return {
        "n": len(found),
        "p50_ms": round(median(shadows), 1),
        "p95_ms": round(shadows[int(len(shadows) * 0.95)], 1),
        "turn_p50_ms": round(median(turns), 1),
        "turn_p95_ms": round(turns[int(len(turns) * 0.95)], 1),
    }


def predictions(seconds: float = 2.0) -> dict[str, dict[str, float]]:
    """Give predictions a second by both routers, and products of a vector with a matrix of that size."""
    prompts = _prompts(max(_BATCHES))
    vectors = unit(np.random.default_rng(1).standard_normal((len(prompts), _DIM), dtype=np.float32))
    found = {}
    for skills in _SKILLS:
        router = _router(skills)
        rules = tuple(Rule(name, rf"\b{name}\b") for name in router.skills)
        predictor = Predictor(Catalogue(tuple(map(SkillEntry, router.skills)), rules), Policy(), router)
        for size in _BATCHES:
            asked, some = [Asked(prompt) for prompt in prompts[:size]], vectors[:size]
            ours = _rate(lambda a=asked, v=some: predictor.predict(a, v), size, seconds)
            floor = _rate(lambda v=some, m=router.centroid.matrix: v @ m, size, seconds / 4)
            found[f"{skills} skills, {size} at a time"] = {
                "per_s": round(ours),
                "product_per_s": round(floor),
            }
    return found


def _rate(run, size: int, seconds: float) -> float:
    run()
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        run()
        done += size
    return done / spent


def main() -> int:
    """Measure both."""
    starts, count = (int(word) for word in (sys.argv[1:] + ["3", "40"][len(sys.argv) - 1 :])[:2])
    for name, rates in predictions().items():
        print(f"{name:28}" + "".join(f"  {what} {value:,}" for what, value in rates.items()), flush=True)
    print(f"encoder {best() or 'none'}: from the hook to the ledger, {starts} starts")
    for name, told in delays(starts, _prompts(count)).items():
        print(f"{name:6}" + "".join(f"  {what} {value:,}" for what, value in told.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

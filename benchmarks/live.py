"""What live routing adds to a prompt: the hook that asks, against the hook that does not, and /bin/true.

A real `karl routing serve` answers, with rules alone and with a router of the best encoder that is installed.
The cases run in turn within each round, so that noise of the machine falls on all alike. Counted too: how often
the hook was told of a skill, for a hook gives up after 50 ms.

    python -m benchmarks.live [ROUNDS]
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.hook import wall_ms
from karl.encoders.choose import Wanted, best, open_encoder
from karl.routing.model import dumps
from karl.routing.policy import Catalogue, Policy
from karl.routing.router import Exemplar, train
from karl.schema.routing import Rule, SkillEntry
from karl.stream import routing
from karl.stream.connect import connect
from karl.stream.server import Server
from producers.hook import Asked, hook_command
from producers.hook_line import find_program, socket_of

_VERBS = ("write", "read", "turn", "merge", "split", "sign", "check", "print", "send", "keep")
_THINGS = (
    "invoice",
    "photograph",
    "recipe",
    "timetable",
    "contract",
    "melody",
    "budget",
    "garden",
    "map",
    "poem",
)
PROMPT = "Please merge the two budgets of last year, and say what has changed"


@contextmanager
def _serving(folder: Path, redis_url: str) -> Iterator[None]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ |= {"KARL_DATA_DIR": str(folder), "KARL_REDIS_URL": redis_url, "OPENBLAS_NUM_THREADS": "1"}
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "karl.cli", "routing", "serve"], env=environ, stderr=errors
        )
    try:
        end = time.monotonic() + 60
        while b"live, policy" not in log.read_bytes():
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _publish(url: str, encoder: str) -> None:
    """Publish a hundred skills, and a router of them when an encoder is named."""
    names = [f"{verb}-{thing}" for verb in _VERBS for thing in _THINGS]
    rules = tuple(Rule(name, rf"\b{name.split('-')[0]}\b.*\b{name.split('-')[1]}") for name in names)
    client = connect(url)
    routing.publish_catalogue(client, Catalogue(tuple(map(SkillEntry, names)), rules))
    if encoder:
        made = open_encoder(Wanted(name=encoder))
        exemplars = [
            Exemplar(name, f"{start} {name.replace('-', ' the ')} {end}")
            for name in names
            for start, end in (("please", "now"), ("can you", "for me"), ("", "again"))
        ]
        vectors = made.encode([one.text for one in exemplars])
        router = train(exemplars, vectors, encoder=made.name, encoder_version=made.version)
        routing.publish_router(client, dumps(router))
    policy = Policy(mode="active", ready=tuple(names) if encoder else (), id=f"benchmark-{encoder}")
    routing.publish_policy(client, policy)
    client.close()


def measure(rounds: int = 200) -> dict[str, dict[str, float]]:
    """Give, by case, the median and 95th percentile (ms), the ratio to the usual hook, and how many were told."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="karl-live-") as name:
        root = Path(name)
        server = Server(root / "redis")
        server.start()
        try:
            for encoder in ("", best()):
                folder = root / (encoder or "rules")
                (folder / "spool").mkdir(parents=True)
                _publish(server.url, encoder)
                with _serving(folder, server.url):
                    found |= _measure(folder, encoder or "rules alone", rounds)
        finally:
            server.stop()
    return found


def _measure(folder: Path, what: str, rounds: int) -> dict[str, dict[str, float]]:
    spool, curl = folder / "spool", find_program("curl")
    nobody = hook_command(spool, "claude-code", asked=Asked(folder / "nobody.sock", curl))
    asking = hook_command(spool, "claude-code", asked=Asked(socket_of(folder), curl))
    cases = {
        "/bin/true": [shutil.which("true") or "/bin/true"],
        "the hook": ["/bin/sh", "-c", hook_command(spool, "claude-code")],
        "asks nobody": ["/bin/sh", "-c", nobody],
        f"asks, {what}": ["/bin/sh", "-c", asking],
    }
    body = {"hook_event_name": "UserPromptSubmit", "cwd": "/", "prompt": PROMPT}
    times: dict[str, list[float]] = {case: [] for case in cases}
    with tempfile.TemporaryFile() as said:
        for number in range(rounds):
            payload = msgspec.json.encode({**body, "session_id": f"s{number}"})
            for case, argv in cases.items():
                times[case].append(wall_ms(argv, payload, said.fileno()))
        said.seek(0)
        told = said.read().count(b"hookSpecificOutput")
    usual = statistics.median(times["the hook"])
    return {
        f"{case} [{what}]" if case in ("/bin/true", "the hook", "asks nobody") else case: {
            "median_ms": statistics.median(taken),
            "p95_ms": statistics.quantiles(taken, n=20)[-1],
            "ratio": statistics.median(taken) / usual,
            "told": float(told) if case.startswith("asks, ") else 0.0,
        }
        for case, taken in times.items()
    }


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'case':34} {'median ms':>9} {'p95 ms':>8} {'x hook':>7} {'told':>7}")
    for case, row in measure(rounds).items():
        figures = f"{row['median_ms']:9.2f} {row['p95_ms']:8.2f} {row['ratio']:7.2f} {row['told']:7.0f}"
        print(f"{case:34} {figures}")


if __name__ == "__main__":
    main()

"""Redaction: milliseconds for 10 KB of payloads as agents send them, and of texts made to be slow.

Run with `python -m benchmarks.redact [FILE]`; FILE holds payloads of your own, a JSON object a line. The
floor is one scan of the same bytes for one alternation of words, by the same library. Times are of the
processor, as machines are shared.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from producers.envelope import EnvelopeMaker
from producers.redact import Redactor
from producers.redaction import compile_rule

PART = 10 * 1024
GOAL_MS = 1.0
#: Bytes of an adversarial text.
LARGE = 1_000_000
#: Units whose repetition would be slow where anything takes more than time in proportion.
UNITS = {
    "letters": "a",
    "equals signs": "=",
    "dashes": "-",
    "beginnings of keys": "-----BEGIN PRIVATE KEY-----\n",
    "ends of keys": "-----END PRIVATE KEY-----\n",
    "backslashes": "\\",
    "nested escapes": '\\\\\\"',
    "escaped keywords": '\\\\\\"token\\\\\\": ',
    "keywords": "password",
    "names without values": "api_key=",
    "base64 of words": "aGVsbG8gd29ybGQg",
    "base64 of keywords": "cGFzc3dvcmQ9",
    "lines of base64": "TWFu" * 16 + "\n",
    "percent": "%25",
    "entities": "&amp;quot;",
    "half a URL": "https://a:",
    "quotes": '"" + ',
    "a hex digit": "0123456789abcdef",
    "colons": ":::::",
    "blanks": " ",
    "open flags": "--password ",
    "headings": "token,",
    "tables": "token,a\nx,y\n",
    "a line of grep": "src/conf/app.txt:12: token = ",
}


def payloads(count: int = 400) -> list[bytes]:
    """Make payloads of many sizes: code, listings, logs, JSON in JSON, a secret in every tenth."""
    chance = random.Random(7)
    lines = [
        "def add(left, right):  # both are numbers",
        "    return left + right",
        "-rw-r--r-- 1 dev dev  4096 Jan  2 03:04 package-lock.json",
        "2026-01-02T03:04:05Z INFO request done status=200 took=12ms",
        'const token = await fetchToken("https://api.shop.test/v1/login");',
        '{"id": 7, "name": "shop", "tags": ["a", "b"], "key": "value"}',
        "## Configuration\n\nSet the `API_KEY` variable before you start.",
    ]
    made = []
    for number in range(count):
        text = "\n".join(chance.choices(lines, k=int(chance.lognormvariate(4, 1.2)) + 1))
        if number % 10 == 0:
            text += f"\nDB_PASSWORD={chance.getrandbits(64):x}\n"
        answer: Any = {"stdout": text, "stderr": "", "interrupted": False}
        if number % 7 == 0:
            answer = json.dumps(answer)
        call = {"session_id": f"s-{number % 9}", "hook_event_name": "PostToolUse", "tool_name": "Bash"}
        made.append(json.dumps({**call, "tool_input": {"command": "make"}, "tool_response": answer}).encode())
    return made


def per_part(redactor: Redactor, raw: bytes) -> float:
    """Give the milliseconds that 10 KB of a payload take, its decoding left out."""
    payload = msgspec.json.decode(raw)
    started = time.process_time()
    if redactor.suspicious(raw):
        redactor.payload(payload)
    return (time.process_time() - started) * 1000 * PART / len(raw)


def total(redactor: Redactor, raws: list[bytes]) -> float:
    """Give the milliseconds for 10 KB of all payloads together."""
    decoded = [msgspec.json.decode(raw) for raw in raws]
    started = time.process_time()
    for raw, payload in zip(raws, decoded, strict=True):
        if redactor.suspicious(raw):
            redactor.payload(payload)
    return (time.process_time() - started) * 1000 * PART / sum(map(len, raws))


def floor(raws: list[bytes]) -> float:
    """Give the milliseconds of one scan of 10 KB."""
    regex = compile_rule("password|secret|token|api_?key|private key|bearer", ignore_case=True)
    regex.search(b"x")
    started = time.process_time()
    for raw in raws:
        for _ in regex.finditer(raw):
            pass
    return (time.process_time() - started) * 1000 * PART / sum(map(len, raws))


def measure(raws: list[bytes]) -> dict[str, float]:
    """Give milliseconds for 10 KB: of all, the median and the 99th percentile of payloads above 2 KB, the floor."""
    redactor = EnvelopeMaker(node="bench").redactor
    total(redactor, raws)  # compiles what is used
    whole = statistics.median(total(redactor, raws) for _ in range(3))
    each = sorted(per_part(redactor, raw) for raw in raws if len(raw) > 2048)
    scan = statistics.median(floor(raws) for _ in range(3))
    return {
        "payloads": len(raws),
        "all_ms": whole,
        "median_ms": each[len(each) // 2],
        "p99_ms": each[len(each) * 99 // 100],
        "floor_ms": scan,
        "of_floor": whole / scan,
    }


def adversarial(redactor: Redactor) -> dict[str, float]:
    """Give milliseconds for 10 KB of a megabyte of each unit."""
    times = {}
    for name, unit in UNITS.items():
        text = unit * (LARGE // len(unit))
        started = time.process_time()
        redactor.text(text)
        times[name] = (time.process_time() - started) * 1000 * PART / len(text)
    return times


def main() -> None:
    """Measure payloads made up here, or those of a file."""
    given = [line for name in sys.argv[1:] for line in Path(name).read_bytes().splitlines() if line.strip()]
    for name, value in measure(given or payloads()).items():
        print(f"{name:22} {value:12,.3f}")
    worst = adversarial(EnvelopeMaker(node="bench").redactor)
    for name, value in sorted(worst.items(), key=lambda pair: -pair[1]):
        print(f"{name:22} {value:12,.3f}")
    print(
        f"{'median of these':22} {statistics.median(worst.values()):12,.3f}   (goal: at most {GOAL_MS:g} ms)"
    )


if __name__ == "__main__":
    main()

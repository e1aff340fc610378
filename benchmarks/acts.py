"""What it costs to say what calls did: microseconds for a command taken apart, and for a call of a turn.

The floor is `shlex.split` of the same commands: it only cuts them into words. Each command is read as if it
had never been seen; `again` is the second time. `python -m benchmarks.acts FILE` reads commands of your own,
one JSON text a line.
"""

from __future__ import annotations

import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from karl.acts import plan, scripts
from karl.acts.looked import looked_at
from karl.acts.reader import Given, Reader

_GOAL_US = 50
_BODY = "".join(f"    value_{line} = compute(first={line}, second='it is {line}')\n" for line in range(90))
_FIX = "p = 'src/app.py'\ns = open(p).read()\ns = s.replace('''{body}''', 'x')\nopen(p, 'w').write(s)\n"
#: Shapes of commands as agents type them, most of them short.
COMMANDS = (
    "ls -la",
    "git status --short",
    "cat src/app/server.py",
    "sed -n '120,180p' src/app/server.py",
    "grep -rn \"def handle\" src --include='*.py' | head -20",
    "find . -name '*.py' -not -path './.venv/*' | xargs wc -l | sort -n | tail -5",
    "cd /srv/app && python -m pytest -q tests/unit/test_server.py 2>&1 | tail -20",
    "cd /srv/app && PYTHONPATH=src timeout 120 python -m pytest tests -x -k 'not slow'; echo \"exit: $?\"",
    "sed -i 's/timeout=10/timeout=30/' src/app/server.py && git diff --stat",
    "npm run lint && npm test -- --watch=false",
    "for f in a.py b.py c.py; do sed -i 's/x/y/' \"src/$f\"; done",
    "if [ -f go.mod ]; then go vet ./... && go test ./...; else make test; fi",
    "git add -A && git commit -m \"$(cat <<'EOF'\nServer: wait longer\n\nIt's slow on (some) machines.\nEOF\n)\"",
    "docker compose exec -T web bash -lc 'cd /app && ./manage.py test orders --parallel 4'",
    f"cat > tests/test_long.py <<'EOF'\n{_BODY}EOF",
    f"python - <<'EOF'\n{_FIX.format(body=_BODY[:800])}EOF",
)
_HOSTILE = ("'", '"$(', "<<a\n", "((", "for x in 1 2 3;do ", "x=$x$x;", "python -c 'open(a,\"w\")';")


def _each(function: Callable[[str], object], commands: Iterable[str], rounds: int) -> list[float]:
    """Give the median microseconds of each command."""
    found = []
    for command in commands:
        times = []
        for _ in range(rounds):
            scripts.touched.cache_clear()
            began = time.perf_counter_ns()
            try:
                function(command)
            except ValueError:  # shlex takes no open quotes
                continue
            times.append((time.perf_counter_ns() - began) / 1000)
        if times:
            found.append(statistics.median(times))
    return found


def _call(command: str) -> object:
    command += f" # {time.perf_counter_ns()}"  # never seen before
    return Reader("/srv/app").acts(Given("Bash", {"command": command}, "4 passed in 0.1s", success=True))


def _shares(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median_us": round(statistics.median(ordered), 1),
        "p95_us": round(ordered[int(len(ordered) * 0.95)], 1),
    }


def measure(commands: Iterable[str] = COMMANDS, rounds: int = 40) -> dict[str, object]:
    """Measure every command; times are in microseconds, hostile ones in milliseconds for 64 KB."""
    commands = list(commands)
    long = COMMANDS[-2]
    results: dict[str, object] = {
        "commands": len(commands),
        "shlex": _shares(_each(shlex.split, commands, rounds)),
        "taken_apart": _shares(_each(plan.plan_of, commands, rounds)),
        "call": _shares(_each(_call, commands, rounds)),
        "heredoc_5kb": {"bytes": len(long), **_shares(_each(plan.plan_of, [long], rounds))},
        "heredoc_5kb_shlex": _shares(_each(shlex.split, [long], rounds)),
    }
    began = time.perf_counter_ns()
    for _ in range(rounds):
        for command in commands:
            looked_at(command)
    results["again_us"] = round((time.perf_counter_ns() - began) / 1000 / rounds / len(commands), 1)
    worst = _each(plan.plan_of, [(piece * 65_536)[:65_536] for piece in _HOSTILE], 3)
    results["hostile_64kb_ms"] = round(max(worst) / 1000, 1)
    results["goal"] = f"median at most {_GOAL_US} us a command"
    return results


def main() -> int:
    """Print the figures; 1 when the goal is missed."""
    given = COMMANDS
    if len(sys.argv) > 1:
        given = tuple(json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines() if line)
    results = measure(given, 40 if len(given) < 100 else 3)
    print(json.dumps(results, indent=1))
    median = results["taken_apart"]
    return 0 if isinstance(median, dict) and median["median_us"] <= _GOAL_US else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a score costs: microseconds for one trajectory of 3, 30 and 300 calls, and for a new outcome.

Calls are taken apart before, as a live turn's are; `unread` has a turn of an older record, whose calls are not.
The floor is the decoding of the same trajectory from its JSON: nobody scores what was not read.
"""

from __future__ import annotations

import json
import statistics
import timeit

import msgspec

from karl.acts.reader import READER
from karl.reward.deeds import acts_of
from karl.reward.score import VERSIONS, rescore_outcome, score
from karl.schema.trajectory import Outcome, Trajectory
from karl.session.older import normalize_record

_STEPS = (
    ("Read", {"file_path": "/srv/app/src/server.py"}),
    ("Grep", {"pattern": "def handle"}),
    ("Edit", {"file_path": "/srv/app/src/server.py", "old_string": "a" * 80, "new_string": "b" * 80}),
    ("Bash", {"command": "cd /srv/app && python -m pytest -q tests/unit/test_server.py"}),
    ("Read", {"file_path": "/srv/app/tests/unit/test_server.py"}),
    ("Bash", {"command": "git diff --stat"}),
)


def trajectory(calls: int) -> Trajectory:
    """Make a turn that reads, edits and tests, its calls taken apart; every seventh call fails."""
    made = unread(calls)
    for call, acts in zip(made.trajectory.events, acts_of(made), strict=True):
        call.acts = acts
    made.trajectory.reader = READER
    return made


def unread(calls: int) -> Trajectory:
    """Make the same turn, its calls as they came."""
    events = [
        {"tool_name": name, "key_params": params, "success": place % 7 != 6}
        for place in range(calls)
        for name, params in (_STEPS[place % len(_STEPS)],)
    ]
    return normalize_record({"trajectory": {"events": events}, "timing": {"duration_s": 12.0 * calls}})


def _microseconds(function, seconds: float) -> float:
    """Give the median time of one call, of seven runs that share the given time."""
    timer = timeit.Timer(function)
    once = max(timer.timeit(10) / 10, 1e-7)
    number = max(1, int(seconds / 7 / once))
    return statistics.median(timer.repeat(7, number)) / number * 1e6


def measure(seconds: float = 0.5) -> dict[str, float]:
    """Measure each case for about this many seconds; the results are in microseconds."""
    results: dict[str, float] = {}
    for version in sorted(VERSIONS):
        for calls in (3, 30, 300):
            made = trajectory(calls)
            data = msgspec.json.encode(made)
            results[f"decode_{calls}_us"] = _microseconds(
                lambda data=data: msgspec.json.decode(data, type=Trajectory), seconds
            )
            results[f"score_v{version}_{calls}_us"] = _microseconds(
                lambda made=made, version=version: score(made, version=version), seconds
            )
        older = unread(30)
        results[f"score_v{version}_unread_30_us"] = _microseconds(
            lambda older=older, version=version: score(older, version=version), seconds
        )
        first, known = score(trajectory(30), version=version), Outcome(correction_detected=True)
        results[f"rescore_outcome_v{version}_us"] = _microseconds(
            lambda first=first, known=known: rescore_outcome(first, known), seconds
        )
    return {name: round(value, 1) for name, value in results.items()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))

"""What judging a prompt costs: microseconds for short, usual and long prompts, logs, and the same prompt again.

The floor is the splitting of the same text into words, which anything that reads a prompt must do.
"""

from __future__ import annotations

import json
import statistics
import timeit

from karl.session.corrections import Signs, judge
from karl.session.phrases import folded, words_of

_BEFORE = "add a cache to the user loader and a test for what happens when an entry has expired"
_SENTENCE = "the list on the second page shows the old names after somebody renamed a group in the settings. "
_LOG = "src/app/users.ts:12:7 - error TS2345: Argument of type 'string' is not assignable\n"
PROMPTS = {
    "assent": "commit and push",
    "correction": "no, I meant the other loader; this one still returns the old entries",
    "request": "now add a flag to the command that says how long an entry is kept, and document it in the readme",
    "long": "Please look into this: " + _SENTENCE * 20,
    "log": "the build says\n" + _LOG * 40,
    "same": _BEFORE,
    "chinese": "不对，我的意思是另一个文件，" * 20,
}
_WORKED = Signs(calls=12)


def _microseconds(function, seconds: float) -> float:
    """Give the median time of one call, of seven runs that share the given time."""
    timer = timeit.Timer(function)
    once = max(timer.timeit(10) / 10, 1e-7)
    number = max(1, int(seconds / 7 / once))
    return statistics.median(timer.repeat(7, number)) / number * 1e6


def measure(seconds: float = 0.3) -> dict[str, float]:
    """Measure each prompt for about this many seconds; the results are in microseconds."""
    results: dict[str, float] = {}
    for name, prompt in PROMPTS.items():
        results[f"floor_{name}_us"] = _microseconds(lambda p=prompt: words_of(folded(p[:400])), seconds)
        results[f"judge_{name}_us"] = _microseconds(lambda p=prompt: judge(p, _BEFORE, _WORKED), seconds)
    return {name: round(value, 1) for name, value in results.items()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))

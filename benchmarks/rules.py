"""What it costs to ask ten thousand rules about a prompt: milliseconds, and how many are asked in that time.

Prompts are words of the documentation; rules of each shape are words of it and made-up ones. The floor is one
RE2 search for one word.
"""

from __future__ import annotations

import random
import string
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import re2

from karl.routing.rules import Rules, of_name, phrase
from karl.schema.routing import Rule

RULES, PROMPTS = 10_000, 500
_GOAL_MS = 1.0


def _made(chance: random.Random) -> tuple[list[str], dict[str, list[Rule]]]:
    """Make prompts, and rules of several shapes."""
    text = (Path(__file__).parent.parent / "docs" / "reward.md").read_text("utf-8").split()
    known = sorted({word.lower() for word in text if word.isalpha() and len(word) > 3})
    others = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(4, 9))) for _ in range(3000)]

    def word() -> str:
        return chance.choice(known if chance.random() < 0.3 else others)

    def rules(pattern: Callable[[], str]) -> list[Rule]:
        return [Rule(f"skill-{number % 500}", pattern()) for number in range(RULES)]

    shapes = {
        "names of one word": [rule for number in range(RULES) for rule in of_name(f"{word()}{number}")],
        "names of three words": [
            rule for _ in range(RULES) for rule in of_name(f"{word()}-{word()}-{word()}")
        ],
        "phrases": rules(lambda: phrase(f"{word()} {word()}")),
        "two words in order": rules(lambda: rf"\b{word()}\b.*\b{word()}s?\b"),
        "alternatives": rules(lambda: rf"({word()}|{word()}).{{0,40}}({word()}|{word()})"),
    }
    prompts = [" ".join(chance.choices(text, k=chance.randint(5, 60))) for _ in range(PROMPTS)]
    return prompts, shapes


def _each(ask: Callable[[str], object], prompts: Iterable[str]) -> list[float]:
    """Give the milliseconds of CPU of each prompt, sorted."""
    times = []
    for prompt in prompts:
        began = time.process_time_ns()
        ask(prompt)
        times.append((time.process_time_ns() - began) / 1e6)
    return sorted(times)


def main() -> int:
    """Ask; 1 when the median prompt takes more than a millisecond."""
    prompts, shapes = _made(random.Random(0))
    floor = _each(re2.compile(r"\bfloor\b").search, prompts)
    print(f"floor, one search for one word: {floor[PROMPTS // 2] * 1000:.1f} microseconds of CPU")
    worst = 0.0
    for name, rules in shapes.items():
        began = time.process_time()
        made = Rules(rules)
        compiled_s = time.process_time() - began
        for prompt in prompts[:50]:
            made.pick(prompt)
        times = _each(made.pick, prompts[50:])
        median, high = times[len(times) // 2], times[len(times) * 95 // 100]
        worst = max(worst, median)
        print(
            f"{RULES:,} rules, {name}: compiled in {compiled_s:.1f} s; "
            f"a prompt {median:.3f} ms at the median, {high:.3f} ms at the 95th percentile"
        )
    return 1 if worst > _GOAL_MS else 0


if __name__ == "__main__":
    sys.exit(main())

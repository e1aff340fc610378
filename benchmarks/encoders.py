"""What an encoder, a ranking and training cost: prompts a second, milliseconds to rank skills, seconds to train.

The floor of the encoders is a pass over the same prompts that cuts them into words and looks each up in a
dictionary; the floor of the ranking is one product of a vector with a matrix of the same size. Rounds are
interleaved; medians are reported. `python -m benchmarks.encoders FILE` takes prompts of your own, one a line.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from karl.encoders.choose import Wanted, missing, open_encoder
from karl.encoders.encoder import Vectors, unit
from karl.encoders.store import Kept, Store
from karl.routing import heads, ngrams, softmax
from karl.routing.model import dumps
from karl.routing.reject import Rejection
from karl.routing.router import Exemplar, Router, train

#: Milliseconds that a prompt's ranking may take at a thousand skills, after the encoder.
_GOAL_MS = 1.0
_SKILLS = (150, 1_000, 10_000)
#: Skills, and exemplars of each, that a router is trained with.
_TRAINED = (150, 50)
_DIM = 640
_ROUNDS = 5
_OWN = [
    "fix",
    "the",
    "failing",
    "test",
    "in",
    "the",
    "parser",
    "deploy",
    "this",
    "branch",
    "to",
    "staging",
    "why",
    "is",
    "the",
    "build",
    "so",
    "slow",
    "rename",
    "that",
    "function",
    "everywhere",
    "write",
    "a",
    "migration",
    "for",
    "the",
    "orders",
    "table",
    "review",
    "my",
    "last",
    "commit",
    "explain",
    "how",
    "sessions",
    "are",
    "closed",
    "and",
    "add",
    "a",
    "metric",
    "for",
    "it",
    "please",
]


def _prompts(count: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(_OWN, k=chance.randint(4, 24))) for _ in range(count)]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _words(prompts: Sequence[str], table: dict[str, int]) -> int:
    return sum(table.setdefault(word, len(table)) for prompt in prompts for word in prompt.split())


def encoders(prompts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Give prompts a second, in a batch, one at a time and from the store."""
    names = [name for name in ("static", "minilm", "minilm+static") if not missing(name)]
    opened = {name: open_encoder(Wanted(name=name)) for name in names}
    rates: dict[str, dict[str, list[float]]] = {}
    some = prompts[: max(1, len(prompts) // 8)]
    with tempfile.TemporaryDirectory(prefix="karl-encoders-") as folder:
        kept = {
            name: Kept(one, Store(Path(folder) / str(place), max_bytes=1 << 28))
            for place, (name, one) in enumerate(opened.items())
        }
        for number in range(_ROUNDS + 1):
            took = {("words", "batch"): len(prompts) / _seconds(lambda: _words(prompts, {}))}
            for name, one in opened.items():
                took[name, "batch"] = len(prompts) / _seconds(lambda one=one: one.encode(prompts))
                took[name, "single"] = len(some) / _seconds(
                    lambda one=one: [one.encode([text]) for text in some]
                )
                took[name, "kept"] = len(prompts) / _seconds(lambda name=name: kept[name].encode(prompts))
            if number:  # the first round fills caches and the store
                for (name, way), rate in took.items():
                    rates.setdefault(name, {}).setdefault(way, []).append(rate)
    return {name: {way: round(median(each)) for way, each in ways.items()} for name, ways in rates.items()}


def _router(skills: int) -> Router:
    """A logistic router of random weights: what it says is nothing, what it costs is the same."""
    random_ = np.random.default_rng(0)

    def numbers(*shape: int) -> Vectors:
        return random_.standard_normal(shape, dtype=np.float32)

    weights = softmax.Weights(numbers(_DIM, skills), numbers(softmax.COLUMNS, skills), numbers(skills))
    head = heads.Logistic(np.ones(ngrams.COLUMNS, np.float32), weights)
    names = tuple(f"skill {number}" for number in range(skills))
    return Router("made", "1", names, head, heads.Centroid(numbers(_DIM, skills)), Rejection(), ())


def ranking(prompts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Give the milliseconds in which one prompt is ranked among so many skills."""
    vectors = unit(np.random.default_rng(1).standard_normal((len(prompts), _DIM), dtype=np.float32))
    found = {}
    for skills in _SKILLS:
        router = _router(skills)
        ours, floor = [], []
        for number, prompt in enumerate(prompts):
            vector = vectors[number : number + 1]
            ours.append(_seconds(lambda prompt=prompt, vector=vector: router.route([prompt], vector)))
            floor.append(_seconds(lambda vector=vector: vector @ router.centroid.matrix))
        found[f"{skills}"] = {
            "rank_ms": round(1000 * median(ours), 3),
            "p95_ms": round(1000 * sorted(ours)[int(len(ours) * 0.95)], 3),
            "product_ms": round(1000 * median(floor), 3),
        }
    return found


def training() -> dict[str, float]:
    """Give the seconds, and those of all cores, in which a router is trained, its thresholds included."""
    skills, each = _TRAINED
    chance, random_ = random.Random(0), np.random.default_rng(2)
    centres = random_.standard_normal((skills, _DIM), dtype=np.float32)
    exemplars, rows = [], []
    for skill in range(skills):
        own = [f"{word}{skill}" for word in _OWN[:6]]
        for _ in range(each):
            text = " ".join(chance.sample(own, 2) + chance.choices(_OWN, k=chance.randint(4, 16)))
            exemplars.append(Exemplar(f"skill {skill}", text))
            rows.append(centres[skill] + 2.5 * random_.standard_normal(_DIM, dtype=np.float32))
    vectors = unit(np.array(rows, dtype=np.float32))
    began, used = time.perf_counter(), time.process_time()
    router = train(exemplars, vectors, encoder="made", encoder_version="1")
    took, cpu = time.perf_counter() - began, time.process_time() - used
    return {"seconds": round(took, 1), "cpu_seconds": round(cpu, 1), "bytes": len(dumps(router))}


def main() -> int:
    """Print the figures; 1 when the goal is missed, or no encoder is installed."""
    prompts = _prompts(240)
    if len(sys.argv) > 1:
        prompts = [line for line in Path(sys.argv[1]).read_text("utf-8").splitlines() if line.strip()]
    results = {"prompts_a_second": encoders(prompts), "ranking": ranking(prompts[:200])}
    results["training"] = training()
    results["goal"] = {"rank_ms at 1000 skills": _GOAL_MS}
    print(json.dumps(results, indent=1))
    if len(results["prompts_a_second"]) < 2:
        print("no encoder is installed: pip install 'karl-ledger[embed]'")
        return 1
    return 0 if results["ranking"]["1000"]["rank_ms"] <= _GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())

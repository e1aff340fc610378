"""Labelled runs made for tests: small, of an agent that there is not, with outcomes as a test wants them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from karl.evaluation.reading import neutral
from karl.evaluation.runs import Collection, Run, collect


def step(tool: str, success: bool | None = True, **params: Any) -> dict[str, Any]:
    """One step, as the neutral form tells it."""
    code = None if tool != "Bash" or success is None else int(not success)
    return {"tool": tool, "params": params, "output_preview": "", "success": success, "exit_code": code}


def row(instance: str, *, label: bool, **more: Any) -> dict[str, Any]:
    """A run in the neutral form: it looks at a file, edits it, and tests it."""
    steps = [
        step("Read", file_path="/w/src/a.py"),
        step("Edit", file_path="/w/src/a.py", old_string="a", new_string="b"),
        step("Bash", command="pytest -q"),
    ]
    whole = {"set": "made", "run_id": instance, "instance_id": instance, "agent": "maker", "steps": steps}
    return {**whole, "label": label, **more}


def many(count: int, seed: int = 1, *, runs_each: int = 1, agent: str = "maker") -> list[dict[str, Any]]:
    """Runs whose chance of success falls with their length and their failures, none of them equal."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        extra = chance.randrange(12)
        failed = chance.randrange(4)
        label = chance.random() < 1 / (1 + 2 ** (extra + failed - 7))
        steps = row("x", label=label)["steps"]
        steps[1:1] = [step("Bash", command=f"grep -n {number} a.py") for _ in range(extra)]
        steps += [step("Bash", False, command=f"python run{number}.py") for _ in range(failed)]
        instance = f"task-{number // runs_each}"
        name = f"{instance}/{number % runs_each}"
        rows.append(row(instance, label=label, run_id=name, agent=agent, steps=steps))
    return rows


def read_rows(rows: list[dict[str, Any]]) -> list[Run]:
    """Read rows as a file of them would be read."""
    return collect(neutral(one) for one in rows).runs


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return file


def facts(found: Collection) -> list[tuple[str, bool, bytes]]:
    """What of runs must not hang on the order of rows or on names of files."""
    return [(run.id, run.label, repr(run.trajectory).encode()) for run in found.runs]

"""Evaluations made of bits, with an effect that is known because it was put there; rows to choose from."""

from __future__ import annotations

from typing import Any

import numpy as np

from karl.learning.action import action
from karl.learning.lift import Asked, found, pack
from karl.learning.row import About, Row
from karl.schema.learning import Arm, ArmRun, EvaluationBody, Recipe

TOOLS = ("Bash", "Edit", "Read")


def row(trajectory: str, step: int = 0, tool: str = "Bash", target: str = "ls", **about: Any) -> Row:
    """A row in brief; `before` is the call before it, tool and target."""
    before: tuple[str, str] = about.pop("before", ("", ""))
    messages = [{"role": "user", "content": f"do {trajectory}"}]
    if before[0]:
        messages += [{"role": "assistant", "content": action(*before)}, {"role": "user", "content": "ok"}]
    messages.append({"role": "assistant", "content": action(tool, target)})
    known = {"session": f"s-{trajectory}", **about}
    return Row(
        messages,
        About(trajectory=trajectory, step=step, tool=tool, target=target, previous=before[0], **known),
    )


def session_sizes(items: int, sessions: int, chance: np.random.Generator) -> list[int]:
    """Sessions of uneven length, at least one item each."""
    extra = chance.multinomial(items - sessions, chance.dirichlet(np.ones(sessions)))
    return [int(one) + 1 for one in extra]


def evaluation(
    effect: float,
    *,
    seeds: int = 5,
    items: int = 200,
    sessions: int = 40,
    seed: int = 0,
    guard: dict[str, float] | None = None,
    table: float = 0.3,
) -> EvaluationBody:
    """An evaluation in which the advantage arm is right more often than the random one, by `effect`."""
    chance = np.random.default_rng(seed)
    sizes = session_sizes(items, sessions, chance)
    hard = np.repeat(chance.normal(0, 0.08, sessions), sizes)
    right = {"base": 0.2, "all": 0.45, "random": 0.4, "reward": 0.42, "advantage": 0.4 + effect}

    def run(at: int, share: float, *, with_loss: bool = True) -> ArmRun:
        tools = chance.random(items) < np.clip(share + hard + chance.normal(0, 0.02), 0, 1)
        targets = tools & (chance.random(items) < 0.5)
        losses = tuple(float(one) for one in chance.normal(2 - share, 0.1, sessions)) if with_loss else ()
        return ArmRun(at, pack(list(tools)), pack(list(targets)), losses, rows=100, ess=80.0)

    arms = [
        Arm(name, tuple(run(at, share) for at in range(1 if name == "base" else seeds)))
        for name, share in right.items()
    ]
    arms.append(Arm("bigram", (run(0, table, with_loss=False),)))
    arms.append(Arm("majority", (run(0, 0.25, with_loss=False),)))
    which = chance.integers(len(TOOLS), size=items)
    labels = {tool: pack(list(which == at)) for at, tool in enumerate(TOOLS)}
    losses = guard if guard is not None else {"base": 2.0, "advantage": 2.05}
    figures = found(Asked(arms, sizes, labels, losses))
    return EvaluationBody(
        id="e" * 64,
        export="a" * 64,
        model="tiny",
        model_digest="b" * 64,
        recipe=Recipe(),
        seeds=tuple(range(seeds)),
        items=items,
        sessions=tuple(sizes),
        arms=tuple(arms),
        primary=figures.primary,
        contrasts=figures.contrasts,
        guard=losses,
        verdict=figures.verdict,
        why=figures.why,
        node="here",
        time_ms=1,
        labels=labels,
    )

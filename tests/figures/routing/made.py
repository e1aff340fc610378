"""Predictions for the tests of figures over routing, as `karl.views.routing` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from karl.schema.routing import RankedSkill
from karl.views.routing_rows import ShadowRow, SuggestionRow

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS


def ranked(*skills: str, chances: Sequence[float] = (0.6, 0.3, 0.1)) -> tuple[RankedSkill, ...]:
    """Skills with falling chances."""
    return tuple(RankedSkill(skill, chance) for skill, chance in zip(skills, chances, strict=False))


def shadow(number: int, truth: str | None = "a", first: str | None = "a", **facts: Any) -> ShadowRow:
    """One live prediction of known truth; an event, a session and an hour of its own unless told."""
    known: dict[str, Any] = {
        "seq": number, "event": f"e{number:05}", "session": f"s{number}", "fleet": "default", "node": "n1",
        "agent": "claude-code", "project": "shop", "time_ms": START_MS + number * 3_600_000,
        "made_ms": START_MS + number * 3_600_000 + 50, "source": "live", "rules": "r1", "router": "f" * 64,
        "encoder": "static", "regex": None, "ranked": ranked(first) if first else (), "takes": True,
        "fit": 1.0, "picked": None, "took_us": 900, "trajectory": f"traj_{number:05}",
        "prompt": f"prompt {number}", "truth": truth, "truth_source": "called", "truth_weight": 0.7, "used": (),
        "influenced": False, "reward": 0.5, "corrected": None, **facts,
    }  # fmt: skip
    return ShadowRow(**known)


def suggestion(number: int, *, told: bool, reward: float | None = 0.5, **facts: Any) -> SuggestionRow:
    """One suggestion in a session of its own."""
    known: dict[str, Any] = {
        "event": f"g{number}", "session": f"s{number}", "agent": "claude-code", "project": "shop",
        "time_ms": START_MS + number, "skill": "a", "chance": 0.9, "policy": "p1", "told": told,
        "trajectory": f"traj_{number}", "used": ("a",) if told else (), "reward": reward, "corrected": None,
        **facts,
    }  # fmt: skip
    return SuggestionRow(**known)


_SKILLS = ("a", "b", "c", "d")


def shadows() -> st.SearchStrategy[list[ShadowRow]]:
    """Draw predictions of all kinds, each of a prompt of its own, in a few sessions."""
    return st.builds(lambda size, seed: _some(size, Random(seed)), st.integers(0, 80), st.integers(0, 2**32))


def _some(size: int, draw: Random) -> list[ShadowRow]:
    return [_one(number, draw) for number in range(size)]


def _one(number: int, draw: Random) -> ShadowRow:
    order = draw.sample(_SKILLS, draw.randrange(4))
    chances = sorted((draw.random() for _ in order), reverse=True)
    kind = draw.choice(("asked", "asked", "asked", "none", "waiting", "silent"))
    return shadow(
        number,
        draw.choice(_SKILLS) if kind == "asked" else None,
        None,
        session=f"s{draw.randrange(12)}",
        agent=draw.choice(("claude-code", "codex")),
        truth_source=None if kind in {"waiting", "silent"} else "called" if kind == "asked" else "unused",
        trajectory=None if kind == "waiting" else f"traj_{number:05}",
        truth_weight=draw.choice((0.35, 0.7, 1.0)),
        ranked=ranked(*order, chances=chances),
        router="f" * 64 if order else "",
        takes=bool(order) and draw.random() < 0.6,
        fit=draw.uniform(-10, 10) if order else None,
        regex=draw.choice((*_SKILLS, None)),
        picked=draw.choice((*_SKILLS, None)),
        influenced=draw.random() < 0.2,
        reward=draw.choice((None, draw.random())),
        seq=draw.randrange(10**6) * 1000 + number,
    )

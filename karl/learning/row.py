"""A row of a data set: one step of an agent, with what came before it, and what is known of it.

    {"messages": [..., {"role": "assistant", ...}], "tools": [...], "weight": 1.0, "karl": {...}}

The last message is the target, the others are its history. Trainers that know nothing of `weight` and `karl`
leave them alone.
"""

from __future__ import annotations

from typing import Any

import msgspec


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a row. `step` counts from 0 within the turn.

    `tool` is the tool that the step calls, `target` what it is called on (a path, a program, a pattern),
    `previous` the tool of the call before it in the turn; empty where there is none. `failed` says that the
    call failed, `corrected` that the turn was corrected. `reward` is in [0, 1], `advantage` the distance
    from what is expected of the agent there.
    """

    trajectory: str
    session: str
    project: str = ""
    agent: str = ""
    turn: int = 0
    step: int = 0
    time_ms: int = 0
    tool: str = ""
    target: str = ""
    previous: str = ""
    failed: bool = False
    corrected: bool = False
    reward: float = 0.0
    advantage: float = 0.0
    synthetic: bool = False


class Row(msgspec.Struct, frozen=True):
    """One example. `weight` is that of its target in the loss, of mean 1 over all rows."""

    messages: list[dict[str, Any]]
    karl: About
    weight: float = 1.0
    tools: list[dict[str, Any]] = []

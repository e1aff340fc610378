"""The report: what every figure says of the same turns, together."""

from __future__ import annotations

import msgspec

from karl.figures.attention import Finding, Lately, findings_of, lately_of
from karl.figures.chosen import By, Chosen
from karl.figures.days import AgentDays, days_of
from karl.figures.difficulty import AgentDifficulty, difficulty_of
from karl.figures.health import Health, health_of
from karl.figures.quality import AgentQuality, quality_of
from karl.figures.routing.digest import Digest

#: Groups and hard ones that are told of an agent.
GROUPS_MAX = 8


class Report(msgspec.Struct, frozen=True):
    """Everything, by agent; `rewards` holds each agent's, sorted, for who wants to draw them.

    `routing` is null where no prompt was predicted.
    """

    version: str
    left_out: dict[str, int]
    unobserved: int
    days_lately: int
    by: By
    findings: list[Finding]
    lately: list[Lately]
    quality: list[AgentQuality]
    days: list[AgentDays]
    health: list[Health]
    difficulty: list[AgentDifficulty]
    rewards: dict[str, list[float]]
    routing: Digest | None = None


def report_of(chosen: Chosen, *, days: int, by: By, now_ms: int) -> Report:
    """Make all figures of the turns chosen."""
    lately = lately_of(chosen, days, now_ms)
    health = health_of(chosen, by)
    return Report(
        chosen.version,
        chosen.others,
        chosen.unobserved,
        days,
        by,
        findings_of(chosen, lately, health, by),
        lately,
        [msgspec.structs.replace(one, turns=[]) for one in quality_of(chosen)],
        days_of(chosen),
        health,
        [
            msgspec.structs.replace(one, tasks=one.tasks and one.tasks[:GROUPS_MAX])
            for one in difficulty_of(chosen, by)
        ],
        {agent: sorted(row.reward for row in rows) for agent, rows in chosen.agents.items()},
    )

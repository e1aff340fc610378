"""What somebody should look at: the last days of each agent against its days before, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from karl.evaluation.known import known_of
from karl.figures.chosen import DAY_MS, By, Chosen
from karl.figures.days import reward_of
from karl.figures.health import Health
from karl.figures.quality import corrected_of, failed_of
from karl.intervals import Mean, Share
from karl.views.figures import Measured

#: Known outcomes from which on a calibration can be learned.
KNOWN_ENOUGH = 100

Kind = Literal["worse", "hint"]


class Finding(msgspec.Struct, frozen=True):
    """One thing to look at: what got worse, or a hint at what could be done. `command` shows more."""

    kind: Kind
    agent: str | None
    what: str
    command: str


class Lately(msgspec.Struct, frozen=True):
    """One agent's last days, and the days before them."""

    agent: str
    turns: int
    sessions: int
    reward: Mean
    failed: Share
    corrected: Share
    before_turns: int
    before_reward: Mean
    before_failed: Share
    before_corrected: Share


def lately_of(chosen: Chosen, days: int, now_ms: int) -> list[Lately]:
    """Compare each agent's last days with those before."""
    since = now_ms - days * DAY_MS
    out = []
    for agent, rows in chosen.agents.items():
        new = [row for row in rows if row.time_ms >= since]
        old = [row for row in rows if row.time_ms < since]
        out.append(
            Lately(
                agent,
                len(new),
                len({row.session for row in new}),
                reward_of(new),
                failed_of(new),
                corrected_of(new),
                len(old),
                reward_of(old),
                failed_of(old),
                corrected_of(old),
            )
        )
    return out


def findings_of(chosen: Chosen, lately: Sequence[Lately], health: Sequence[Health], by: By) -> list[Finding]:
    """Say what should be looked at, what got worse first."""
    found = [*_falling(health, by), *_shares(lately)]
    for agent, rows in chosen.agents.items():
        found += _uncalibrated(agent, rows)
    found += [
        Finding(
            "hint", None, f"{count:,} turns are left out: their scores are of another kind", "karl backfill"
        )
        for count in [sum(chosen.others.values())]
        if count
    ]
    return found


def _falling(groups: Iterable[Health], by: By) -> list[Finding]:
    return [
        Finding(
            "worse",
            one.agent,
            f"rewards {'' if one.name is None else f'with {by} {one.name} '}fall by "
            f"{-(one.trend.slope or 0):.3f}/week (p {one.p or 0:.3f})",
            f"karl health --by {by}",
        )
        for one in groups
        if one.falls
    ]


def _shares(lately: Iterable[Lately]) -> list[Finding]:
    """Name shares whose intervals do not meet: higher lately than before."""
    out = []
    for one in lately:
        for what, now, before in (
            ("calls fail", one.failed, one.before_failed),
            ("turns are corrected", one.corrected, one.before_corrected),
        ):
            if now.low is None or before.high is None or now.low <= before.high:
                continue
            told = f"{100 * (now.share or 0):.0f} % of {now.n:,}, {100 * (before.share or 0):.0f} % before"
            out.append(Finding("worse", one.agent, f"more {what}: {told}", "karl quality"))
    return out


def _uncalibrated(agent: str, rows: Sequence[Measured]) -> list[Finding]:
    known = sum(known_of(row) is not None for row in rows)
    if known < KNOWN_ENOUGH or any(row.calibration for row in rows):
        return []
    what = f"{known:,} outcomes are known, and its rewards are not calibrated"
    return [Finding("hint", agent, what, "karl reward calibrate")]

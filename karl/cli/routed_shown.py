"""How figures over routing look: shares with their counts, differences in points, what too few are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.render import one_line
from karl.figures.change import VALUES_MIN

if TYPE_CHECKING:
    from karl.evaluation.ranking import Estimate
    from karl.figures.change import Trend
    from karl.figures.routing.accuracy import Way
    from karl.figures.routing.chosen import Chosen
    from karl.intervals import Mean, Paired, Share

#: Columns that a name may take.
NAME_WIDTH = 32
#: Hex digits of a router's id that are shown.
ID_WIDTH = 12


def share(found: Share, *, of: bool = False) -> str:
    """Give a share: `71 % (60-80)`, with `of` `71 % (60-80) of 94`; of too few the counts, `7/9, too few`."""
    if not found.n:
        return "-"
    if found.share is None or found.low is None or found.high is None:
        return f"{found.hits:,}/{found.n:,}, too few"
    text = f"{100 * found.share:.0f} % ({100 * found.low:.0f}-{100 * found.high:.0f})"
    return f"{text} of {found.n:,}" if of else text


def mean(found: Mean, digits: int = 2) -> str:
    """Give a mean with its interval; `too few` of too few."""
    if found.mean is None:
        return "too few" if found.n else "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def estimate(found: Estimate, digits: int = 2) -> str:
    """Give an estimate with its interval, where it has one."""
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def trend(found: Trend) -> str:
    """Give a trend of shares in words: `falls 2.1 points a week (-3.9 to -0.3)`."""
    if found.slope is None or found.low is None or found.high is None:
        if found.n >= VALUES_MIN:
            return "too short a time for a trend"
        return f"too few for a trend ({found.n} of {VALUES_MIN} sessions)"
    interval = f"({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    if found.direction == "steady":
        return f"no trend {interval}"
    way = "rises" if found.direction == "rising" else "falls"
    return f"{way} {abs(100 * found.slope):.1f} points a week {interval}"


def ahead(found: Paired) -> str:
    """Say how much more often the vector router is right than the rules."""
    if found.difference is None or found.low is None or found.high is None:
        return f"too few to compare ({found.n:,} prompts in {found.groups:,} sessions)" if found.n else "-"
    points = f"{100 * found.difference:+.0f} points ({100 * found.low:+.0f} to {100 * found.high:+.0f})"
    return f"{points} of {found.n:,}; only the first right {found.first:,}, only the rules {found.second:,}"


#: How ways of picking are called.
WAYS = {"first": "vector, first", "vector": "vector, taken", "regex": "regex", "picked": "policy"}


def of_way(found: Way) -> tuple[str, str, str, str]:
    """Give what a way of picking comes to: right, takes one, right of these, false takes."""
    right, right_taken, false = (share(one, of=True) for one in (found.right, found.right_taken, found.false))
    return right, share(found.taken), right_taken, false


def skill(name: str | None) -> str:
    """Give a skill's name as it may be shown; a dash in brackets for none."""
    return one_line(name, NAME_WIDTH) if name else "(none)"


def _silent(found: Chosen) -> str:
    return f", {found.silent:,} of which nothing is known" if found.silent else ""


def say_which(found: Chosen) -> None:
    """Say which predictions the figures below are of."""
    sessions = len({row.session for row in found.asked})
    click.echo(
        f"{found.source} predictions: {len(found.asked):,} prompts that asked for a skill, in {sessions:,} "
        f"session{'s' * (sessions != 1)}; {len(found.none):,} that asked for none, "
        f"{found.waiting:,} not known yet{_silent(found)}"
    )

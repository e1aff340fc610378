"""The predictions that a figure is made of: of one source, each prompt once, joined with what it was for.

Live, replayed and synthetic predictions are never put together. A prompt whose turn a router had touched says
nothing about that router, and is left out whatever the source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from karl.schema.routing import ShadowSource
from karl.views.routing_rows import ShadowRow

#: Fewer prompts give no share: below, its interval is more than 40 points wide at worst, whatever it says.
PROMPTS_MIN = 20
#: Of a skill, a pair or another group, whose counts stand beside it: below, it is more than 52 points wide.
GROUP_MIN = 10
#: Fewer sessions do not say how alike the prompts of one session are.
SESSIONS_MIN = 3

#: Who picks: the vector router's first, the same where it takes it, the rules, the policy over both.
Picker = Literal["first", "vector", "regex", "picked"]
PICKERS: tuple[Picker, ...] = ("first", "vector", "regex", "picked")
#: What predictions can be grouped by; `truth` is who says what the prompt was for.
Group = Literal["agent", "project", "truth", "router", "none"]
_FIELDS: dict[Group, str] = {
    "agent": "agent",
    "project": "project",
    "truth": "truth_source",
    "router": "router",
}


class Chosen(NamedTuple):
    """Predictions of one source by the time of their prompts: `asked` for a skill, or `none` for none.

    Left out are those that are `waiting` for their turn to close, those of turns that closed and say nothing
    of skills (`silent`: broken off, say), those of turns that a router had `influenced`, and further ones of
    the same prompt (`again`).
    """

    source: ShadowSource
    asked: list[ShadowRow]
    none: list[ShadowRow]
    waiting: int = 0
    influenced: int = 0
    again: int = 0
    silent: int = 0

    @property
    def routers(self) -> list[str]:
        """Name the routers that made these predictions, the last one last."""
        last: dict[str, int] = {}
        for row in (*self.asked, *self.none):
            if row.router:
                last[row.router] = max(last.get(row.router, 0), row.time_ms)
        return sorted(last, key=lambda router: (last[router], router))


def choose(rows: Iterable[ShadowRow], source: ShadowSource = "live", router: str = "") -> Chosen:
    """Take the predictions of a source, made by routers whose id begins with `router`.

    Of several of one prompt the first counts, which was made before anybody knew; of those made afterwards
    the last, which the newest router made.
    """
    fitting = [row for row in rows if row.source == source and row.router.startswith(router)]
    of_prompt: dict[str, ShadowRow] = {}
    for row in sorted(fitting, key=lambda row: row.seq, reverse=source == "live"):
        of_prompt[row.event] = row
    kept = sorted(of_prompt.values(), key=lambda row: (row.time_ms, row.seq))
    known = [row for row in kept if row.truth_source is not None and row.trajectory is not None]
    clean = [row for row in known if not row.influenced]
    return Chosen(
        source,
        [row for row in clean if row.truth is not None],
        [row for row in clean if row.truth is None],
        waiting=sum(row.trajectory is None for row in kept),
        influenced=len(known) - len(clean),
        again=len(fitting) - len(kept),
        silent=sum(row.truth_source is None and row.trajectory is not None for row in kept),
    )


def counted(names: Iterable[str]) -> dict[str, int]:
    """Count names, the most frequent first; empty ones are left out."""
    counts = Counter(name for name in names if name)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def grouped(rows: Iterable[ShadowRow], by: Group) -> dict[str, list[ShadowRow]]:
    """Group predictions, the largest group first; what has no such name is left out."""
    groups: dict[str, list[ShadowRow]] = {}
    if by == "none":
        return groups
    for row in rows:
        name = getattr(row, _FIELDS[by])
        if name:
            groups.setdefault(name, []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def could(row: ShadowRow, who: Picker) -> bool:
    """Say whether there was a router, or a catalogue of rules, that could pick."""
    return bool(row.rules) if who == "regex" else bool(row.router) if who != "picked" else True


def pick(row: ShadowRow, who: Picker) -> str | None:
    """Give what somebody picked for a prompt; null for none."""
    if who == "regex":
        return row.regex
    if who == "picked":
        return row.picked
    return row.vector if who == "first" or row.takes else None


def able(rows: Sequence[ShadowRow], who: Picker) -> list[ShadowRow]:
    """Give the predictions for which there was somebody to pick."""
    return [row for row in rows if could(row, who)]

"""What the views tell of routing: the catalogue, exemplars, routers, decisions, truths and predictions.

    with Routed(path) as views:
        for row in views.shadows(Filter(agent="claude-code")): ...

Predictions are joined with their turns, and truths are found, when they are asked for: whatever came first.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from karl.errors import KarlError, NotFound
from karl.ledger.reader import read_at
from karl.routing.policy import Catalogue, Policy
from karl.routing.topics import newest
from karl.routing.truth import Signs, Truth, truths
from karl.schema.routing import RankedSkill, Rule, ShadowSource, SkillEntry, SkillsBody
from karl.skills.merge import merged
from karl.views.filter import ALL, Filter, condition
from karl.views.queries import Views
from karl.views.routing_rows import (
    ExemplarRow,
    PlaceRow,
    RouterRow,
    RoutingRow,
    ShadowRow,
    SkillState,
    SuggestionRow,
    TruthRow,
)
from karl.views.rows import Place

T = TypeVar("T")

#: How fast a skill's confidence moves, and where it begins.
CONFIDENCE_STEP, CONFIDENCE_START = 0.1, 0.5
#: Turns that a confidence is made of: what an older one would add is in no digit that is shown.
_LOOKED_BACK = 120
#: Words that a state keeps, and the turns that they are taken from.
_TOPICS_MAX, _TOPIC_TURNS = 15, 25

_PLACE = "seq, segment, offset, end"
_EXEMPLAR = f"{_PLACE}, id, skill, text, contrast, of, person, removed, time_ms"
_ROUTER = f"{_PLACE}, id, why, label, encoder, head, skills, exemplars, person, node, time_ms"
_DECISION = f"{_PLACE}, id, action, mode, router, forced, reason, person, node, time_ms"
_SHADOW = (
    "seq, event, session, fleet, node, agent, project, time_ms, made_ms, source, rules, router, encoder, "
    "regex, ranked, takes, fit, picked, took_us"
)
_SIGNS = "used, typed, person, without"
#: What a truth is found from; of a turn that has a row.
_TURN = f"seq, id, session, started_ms, turn, prompt, reward, correction_detected, label_skill, {_SIGNS}"
#: Rows of turns whose agent was told of a skill.
_TOLD = "SELECT of_seq FROM suggestions WHERE told = 1 AND of_seq IS NOT NULL"
#: The next turn that a person asked for: it is the one that corrects.
_NEXT = (
    f"SELECT {_SIGNS} FROM trajectories "
    "WHERE session = ? AND (started_ms, turn, seq) > (?, ?, ?) AND person = 1 "
    "ORDER BY started_ms, turn, seq LIMIT 1"
)
#: Without a person's prompt or word there is no truth.
_SPEAKS = "(person = 1 OR label_skill IS NOT NULL)"

_skills = msgspec.json.Decoder(tuple[SkillEntry, ...]).decode
_rules = msgspec.json.Decoder(tuple[Rule, ...]).decode
_ranked = msgspec.json.Decoder(tuple[RankedSkill, ...]).decode
_names = msgspec.json.Decoder(tuple[str, ...]).decode
_policy = msgspec.json.Decoder(Policy).decode


def body_at(ledger: Path, place: Place, type: type[T]) -> T:  # noqa: A002 - it is one
    """Read the body of the record at a place. Raises LedgerDamaged when it is not there."""
    return msgspec.json.decode(read_at(ledger, place.segment, place.offset, place.end).body, type=type)


class Routed(Views):
    """The views, asked about routing. Raises NotFound when there are none yet."""

    def catalogue(self) -> Catalogue:
        """Give all skills and rules that were told last of each place (karl.skills.merge)."""
        return merged(self.told())

    def told(self) -> list[SkillsBody]:
        """Give what was told last of each place."""
        rows = self._all("SELECT id, place, origin, skills, node, time_ms, rules FROM places")
        return [
            SkillsBody(id_, place, origin, _skills(skills), node, time_ms, _rules(rules))
            for id_, place, origin, skills, node, time_ms, rules in rows
        ]

    def places(self) -> list[PlaceRow]:
        """List the places that skills and rules were told of, by machine and name."""
        counts = "json_array_length(skills) AS skills, json_array_length(rules) AS rules"
        sql = f"SELECT {_PLACE}, place, node, id, origin, {counts}, time_ms FROM places ORDER BY node, place"
        return [PlaceRow(at=_place(row), **_flags(row)) for row in self._all(sql)]

    def exemplars(self, skill: str | None = None, *, removed: bool = False) -> list[ExemplarRow]:
        """List exemplars that somebody gave, oldest first; with `removed` those that do not count, too."""
        where, values = ("skill = ?", (skill,)) if skill is not None else ("1", ())
        where += "" if removed else " AND removed = 0"
        rows = self._all(f"SELECT {_EXEMPLAR} FROM exemplars WHERE {where} ORDER BY time_ms, seq", values)
        return [ExemplarRow(place=_place(row), **_flags(row, "removed")) for row in rows]

    def routers(self, limit: int = 50) -> list[RouterRow]:
        """List the records of routers, the newest first."""
        sql = f"SELECT {_ROUTER} FROM routers ORDER BY seq DESC LIMIT ?"
        return [RouterRow(place=_place(row), **_flags(row)) for row in self._all(sql, (limit,))]

    def router(self, name: str) -> RouterRow:
        """Give the newest record of a router: by its id, the beginning of it, or its label.

        Raises NotFound, and KarlError with the candidates when several ids begin so.
        """
        sql = f"SELECT {_ROUTER} FROM routers WHERE {{}} ORDER BY seq DESC"
        rows = self._all(sql.format("id = ?"), (name,))
        rows = rows or self._all(sql.format("label = ? AND label <> ''"), (name,))
        if not rows and name:
            rows = self._all(sql.format("id > ? AND id < ?"), (name, name + "\U0010ffff"))
            ids = sorted({row["id"] for row in rows})
            if len(ids) > 1:
                shown = ", ".join(one[:16] for one in ids[:8])
                raise KarlError(
                    f"several routers have ids that begin with {name!r}: {shown}; give more of one"
                )
        if not rows:
            raise NotFound(f"no router has the id or label {name!r}; `karl centroid-versions` lists them")
        return RouterRow(place=_place(rows[0]), **_flags(rows[0]))

    def policy(self) -> Policy:
        """Give what was decided last; nothing is promoted where nobody decided."""
        rows = self._all("SELECT policy FROM decisions ORDER BY seq DESC LIMIT 1")
        return _policy(rows[0][0]) if rows else Policy()

    def decisions(self, limit: int = 50) -> list[RoutingRow]:
        """List what was decided about routing, the newest first."""
        rows = self._all(f"SELECT {_DECISION} FROM decisions ORDER BY seq DESC LIMIT ?", (limit,))
        return [RoutingRow(place=_place(row), **_flags(row, "forced")) for row in rows]

    def truths(self, which: Filter = ALL) -> Iterator[TruthRow]:
        """Give the truth that counts of every trajectory that has one, oldest first."""
        where, values = condition(which, "time_ms")
        sql = (
            f"SELECT {_TURN}, agent, project, time_ms, segment, offset, end, seq IN ({_TOLD}) AS influenced "
            f"FROM trajectories WHERE {where} AND {_SPEAKS} ORDER BY time_ms, seq"
        )
        for row in self._ask(sql, values):
            truth = self._truth(row)
            if truth is None:
                continue
            yield TruthRow(
                trajectory=row["id"],
                **{name: row[name] for name in ("session", "agent", "project", "time_ms", "reward")},
                prompt=row["prompt"] or "",
                place=_place(row),
                skill=truth.skill,
                source=truth.source,
                weight=truth.weight,
                used=_signs(row).used(self.known),
                influenced=bool(row["influenced"]),
                corrected=_flag(row["correction_detected"]),
            )

    def shadows(
        self, which: Filter = ALL, *, sources: Sequence[ShadowSource] = ("live",)
    ) -> Iterator[ShadowRow]:
        """Give predictions with what their prompts turned out to be for, oldest first.

        Times of the filter are those of the prompts; what it asks of rewards, calls and words, it asks of
        the turn.
        """
        own = ", ".join(f"s.{name.strip()}" for name in _SHADOW.split(","))
        turn = ", ".join(f"t.{name.strip()} AS turn_{name.strip()}" for name in _TURN.split(","))
        inner, outer, values = _parted(which)
        told = ", ".join("?" * len(sources))
        sql = (
            f"SELECT {own}, {turn}, t.seq IN ({_TOLD}) AS influenced "
            f"FROM (SELECT * FROM shadows WHERE source IN ({told}) AND {inner}) s "
            "LEFT JOIN prompts p ON p.event = s.event LEFT JOIN trajectories t "
            "ON t.seq = coalesce(p.of_seq, (SELECT seq FROM trajectories WHERE id = s.trajectory)) "
            f"WHERE {outer} ORDER BY s.time_ms, s.seq"
        )
        for row in self._ask(sql, (*sources, *values)):
            yield self._shadow_row(row)

    def suggestions(self, which: Filter = ALL) -> Iterator[SuggestionRow]:
        """Give what agents were told of, or would have been, oldest first."""
        inner, outer, values = _parted(which)
        turn = ", ".join(f"t.{name.strip()} AS turn_{name.strip()}" for name in _TURN.split(","))
        sql = (
            "SELECT s.event, s.session, s.agent, s.project, s.time_ms, s.skill, s.chance, s.policy, s.told, "
            f"{turn} FROM (SELECT * FROM suggestions WHERE {inner}) s "
            f"LEFT JOIN trajectories t ON t.seq = s.of_seq WHERE {outer} ORDER BY s.time_ms, s.event"
        )
        for row in self._ask(sql, values):
            known = dict(zip(row.keys(), row, strict=True))
            turn_of = _turn_of(row)
            yield SuggestionRow(
                **{name: known[name] for name in list(known)[:8]},
                told=bool(row["told"]),
                trajectory=turn_of["id"],
                used=_signs(turn_of).used(self.known),
                reward=turn_of["reward"],
                corrected=_flag(turn_of["correction_detected"]),
            )

    def skill_states(self) -> list[SkillState]:
        """Give what is known of each skill that turns used, by name."""
        rows = self._all("SELECT * FROM skill_counts WHERE activations > 0 ORDER BY skill")
        return [self._state(row) for row in rows if row["skill"] in self.known]

    @cached_property
    def known(self) -> frozenset[str]:
        """The names that are known as skills': of the catalogue, and of all that was called."""
        called = self._all("SELECT skill FROM skill_counts WHERE called > 0")
        return self.catalogue().names | {row[0] for row in called}

    def _state(self, row: sqlite3.Row) -> SkillState:
        skill = row["skill"]
        rewards = self._all(
            "SELECT t.reward, u.time_ms FROM uses u JOIN trajectories t ON t.seq = u.of_seq "
            "WHERE u.skill = ? ORDER BY u.time_ms DESC, u.of_seq DESC LIMIT ?",
            (skill, _LOOKED_BACK),
        )
        confidence = CONFIDENCE_START
        for reward, _ in reversed(rewards):
            confidence += CONFIDENCE_STEP * (reward - confidence)
        return SkillState(
            skill=skill,
            activations=row["activations"],
            useful=row["useful"],
            suppressed=row["suppressed"],
            hot=self._topics(skill, "useful"),
            cold=self._topics(skill, "corrected"),
            confidence=round(confidence, 4),
            last_ms=rewards[0][1],
        )

    def _topics(self, skill: str, column: str) -> tuple[str, ...]:
        rows = self._all(
            f"SELECT t.words FROM uses u JOIN trajectories t ON t.seq = u.of_seq WHERE u.skill = ? "
            f"AND u.{column} = 1 ORDER BY u.time_ms DESC, u.of_seq DESC LIMIT ?",
            (skill, _TOPIC_TURNS),
        )
        return newest((row[0] for row in rows), _TOPICS_MAX)

    def _truth(self, turn: Any) -> Truth | None:
        """Find the truth that counts of a turn's row."""
        corrected = _flag(turn["correction_detected"])
        then = None
        if corrected:
            after = (turn["session"], turn["started_ms"], turn["turn"], turn["seq"])
            then = next((_signs(row) for row in self._all(_NEXT, after)), None)
        found = truths(_signs(turn), self.known, corrected=corrected, then=then, label=turn["label_skill"])
        return found[0] if found else None

    def _shadow_row(self, row: sqlite3.Row) -> ShadowRow:
        turn = _turn_of(row)
        truth = self._truth(turn) if turn["id"] is not None else None
        own = {name.strip(): row[name.strip()] for name in _SHADOW.split(",")}
        return ShadowRow(
            **{**own, "ranked": _ranked(own["ranked"]), "takes": bool(own["takes"])},
            trajectory=turn["id"],
            prompt=turn["prompt"],
            truth=truth.skill if truth else None,
            truth_source=truth.source if truth else None,
            truth_weight=truth.weight if truth else None,
            used=_signs(turn).used(self.known),
            influenced=bool(row["influenced"]),
            reward=turn["reward"],
            corrected=_flag(turn["correction_detected"]),
        )


def _turn_of(row: sqlite3.Row) -> dict[str, Any]:
    """Take the columns of a turn out of a joined row; null where there is none yet."""
    return {name.removeprefix("turn_"): row[name] for name in row.keys() if name.startswith("turn_")}  # noqa: SIM118


def _signs(turn: Any) -> Signs:
    return Signs(
        _names(turn["used"]) if turn["used"] else (), turn["typed"], turn["person"] == 1, turn["without"] == 1
    )


def _parted(which: Filter) -> tuple[str, str, tuple[Any, ...]]:
    """Give the conditions on a row itself and on its turn (`t`), and the values bound in both."""
    own = which._replace(min_reward=None, max_reward=None, failed=False, search=None)
    rest = Filter(
        min_reward=which.min_reward,
        max_reward=which.max_reward,
        failed=which.failed,
        search=which.search,
    )
    inner, values = condition(own, "time_ms")
    if rest == ALL:
        return inner, "1", values
    outer, more = condition(rest, "time_ms")
    return inner, f"t.seq IN (SELECT seq FROM trajectories WHERE {outer})", (*values, *more)


def _place(row: sqlite3.Row) -> Place:
    return Place(*(row[name] for name in Place._fields))


def _flags(row: sqlite3.Row, *flags: str) -> dict[str, Any]:
    """Give a row's columns but for its place, flags as such."""
    known = dict(zip(row.keys(), row, strict=True))
    return {
        name: bool(value) if name in flags else value
        for name, value in known.items()
        if name not in Place._fields
    }


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)

"""From ledger lines to the rows of routing; see `karl.views.project`, whose invariants hold here too.

- A prediction, a suggestion and the turn of their prompt may come in any order: none changes another's row.
- What skills are known to do follows their turns' current scores and flags, by differences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from karl.ledger.frame import Line
from karl.routing.truth import Signs
from karl.schema.event import SKILL_SUGGESTED
from karl.schema.record import EventsBody, TrajectoryBody
from karl.schema.routing import ExemplarBody, RouterBody, RoutingBody, ShadowBody, SkillsBody
from karl.session.moments import PROMPTS
from karl.views.columns import COUNT_MAX, fit, place, short

#: The reward from which a turn counts as useful for the skills that it used.
USEFUL = 0.6
#: How the shipper writes an event's beginning: most are passed over with no more read than that.
_HEAD = re.compile(rb'\{"id":"([^"\\]+)","kind":"([^"\\]+)"')
_PROMPTS = frozenset(kind.encode() for kind in PROMPTS)
_SUGGESTED = SKILL_SUGGESTED.encode()
#: The members of a decision that are the policy (karl.routing.policy).
_POLICY = ("mode", "router", "overrides", "ready", "share", "since_ms", "id")


class _Named(msgspec.Struct):
    id: str = ""
    kind: str = ""


class _Suggested(msgspec.Struct):
    """What of a payload is read; types as loose as what anybody may send."""

    skill: object = None
    chance: object = None
    policy: object = None
    told: object = None


class _Suggestion(msgspec.Struct):
    id: str
    payload: _Suggested
    time_ms: int | None = None


_named = msgspec.json.Decoder(_Named).decode
_suggestion = msgspec.json.Decoder(_Suggestion).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Routing:
    """Rows of routing on their way into the tables; sums of skills are written once, at the end."""

    def __init__(self, execute: Callable[..., Any], counts: Counter[str]) -> None:
        """Take the statement runner, and the counters, of a batch of lines."""
        self._sql = execute
        self._counts = counts
        self._skills: dict[str, list[int]] = {}

    def finish(self) -> None:
        """Write the sums, those that came to nothing too: another cut of the lines would have left a row."""
        for skill, sums in self._skills.items():
            self._sql(_ADD_COUNTS, (skill, *sums))

    # --- records of routing ---

    def skills(self, line: Line, body: SkillsBody) -> None:
        """Take what is told of a place in the stead of what was."""
        told = (msgspec.json.encode(body.skills).decode(), msgspec.json.encode(body.rules).decode())
        row = (body.node, body.place, line.seq, *place(line), body.id, body.origin, fit(body.time_ms), *told)
        self._sql(_put("places", len(row)), row)

    def exemplar(self, line: Line, body: ExemplarBody) -> None:
        """Take what was said last of an exemplar."""
        text = short(body.text) or ""
        what = (body.skill, text, body.contrast, body.of, body.person, body.removed, fit(body.time_ms))
        row = (body.id, line.seq, *place(line), *what)
        self._sql(_put("exemplars", len(row)), row)

    def router(self, line: Line, body: RouterBody) -> None:
        """Take a router's record."""
        exemplars = sum(fit(count, COUNT_MAX) for count in body.counts.values())
        what = (body.id, body.why, body.label, body.encoder, body.head, len(body.skills), exemplars)
        row = (line.seq, *place(line), *what, body.person, body.node, fit(body.time_ms))
        self._sql(_add("routers", len(row)), row)

    def routing(self, line: Line, body: RoutingBody) -> None:
        """Take a decision; one that is there already counts once."""
        policy = {name: getattr(body, name) for name in _POLICY}
        what = (
            body.id,
            body.action,
            body.mode,
            body.router,
            body.forced,
            body.reason,
            body.person,
            body.node,
        )
        row = (line.seq, *place(line), *what, fit(body.time_ms), msgspec.json.encode(policy).decode())
        self._once("decisions", row)

    def shadow(self, line: Line, body: ShadowBody) -> None:
        """Take a prediction; one that is there already counts once."""
        whose = (body.event, body.session, body.fleet, body.node, body.agent, body.project)
        when = (fit(body.time_ms), fit(body.made_ms))
        made = (body.source, body.rules, body.router, body.encoder, body.regex)
        ranked = msgspec.json.encode(body.ranked).decode()
        said = (ranked, body.takes, body.fit, body.picked, fit(body.took_us), body.trajectory)
        self._once("shadows", (line.seq, *whose, *when, *made, *said))

    def _once(self, table: str, row: Sequence[Any]) -> None:
        if not self._sql(_add(table, len(row)), row).rowcount:
            self._counts["duplicates"] += 1

    # --- what turns tell ---

    def trajectory(self, line: Line, body: TrajectoryBody, signs: Signs) -> None:
        """Take in what a new turn tells: its prompts' events, what it was told of, what it used."""
        self._events(body, line.seq)
        self._use(line.seq, fit(body.time_ms), signs)

    def events(self, body: EventsBody, of_seq: int | None) -> None:
        """Take in facts that came outside of a turn's record; `of_seq` is the row that they belong to."""
        self._events(body, of_seq)

    def read_again(self, seq: int, time_ms: int, signs: Signs) -> None:
        """Take in that a turn is read otherwise by now."""
        for skill, called, useful, corrected in self._sql(_USED, (seq,)).fetchall():
            self._add_up(skill, activations=-1, called=-called, useful=-useful, suppressed=-corrected)
        self._sql("DELETE FROM uses WHERE of_seq = ?", (seq,))
        self._use(seq, fit(time_ms), signs)

    def settle(self, seq: int) -> None:
        """Carry a turn's current score and flags to the skills that it used."""
        for skill, useful, corrected, reward, flag in self._sql(_OF, (seq,)).fetchall():
            now = (int(reward >= USEFUL and not flag), int(flag == 1))
            if now == (useful, corrected):
                continue
            self._sql(
                "UPDATE uses SET useful = ?, corrected = ? WHERE of_seq = ? AND skill = ?", (*now, seq, skill)
            )
            self._add_up(skill, useful=now[0] - useful, suppressed=now[1] - corrected)

    def _use(self, seq: int, time_ms: int, signs: Signs) -> None:
        names = dict.fromkeys(signs.called, 1)
        if signs.typed is not None:
            names.setdefault(signs.typed, 0)
        for skill, called in names.items():
            self._sql("INSERT INTO uses VALUES (?, ?, ?, ?, 0, 0)", (skill, time_ms, seq, called))
            self._add_up(skill, activations=1, called=called)
        if names:
            self.settle(seq)

    def _add_up(
        self, skill: str, *, activations: int = 0, called: int = 0, useful: int = 0, suppressed: int = 0
    ) -> None:
        sums = self._skills.setdefault(skill, [0, 0, 0, 0])
        for at, value in enumerate((activations, called, useful, suppressed)):
            sums[at] += value

    def _events(self, body: TrajectoryBody | EventsBody, of_seq: int | None) -> None:
        for raw in body.events:
            found = _HEAD.match(raw)
            id_, kind = found.groups() if found is not None else _named_by(raw)
            if kind in _PROMPTS:
                if of_seq is not None:
                    self._sql(
                        "INSERT OR IGNORE INTO prompts VALUES (?, ?)", (id_.decode(errors="replace"), of_seq)
                    )
            elif kind == _SUGGESTED:
                self._suggested(body, raw, of_seq)

    def _suggested(self, body: TrajectoryBody | EventsBody, raw: msgspec.Raw, of_seq: int | None) -> None:
        try:
            event = _suggestion(raw)
        except _UNREADABLE:
            return  # it is in the ledger, and says nothing that could be shown
        said = event.payload
        if not isinstance(said.skill, str) or not said.skill:
            return
        chance = float(said.chance) if isinstance(said.chance, int | float) and 0 <= said.chance <= 1 else 0.0
        time_ms = body.time_ms if event.time_ms is None else event.time_ms
        row = (
            event.id, body.session, body.fleet, body.node, body.agent, body.project, fit(time_ms), said.skill,
            chance, said.policy if isinstance(said.policy, str) else "", said.told is True, of_seq,
        )  # fmt: skip
        self._once("suggestions", row)


def _named_by(raw: msgspec.Raw) -> tuple[bytes, bytes]:
    """Give the id and the kind of an event that begins otherwise; empty for one that says neither."""
    try:
        event = _named(raw)
    except _UNREADABLE:
        return b"", b""
    return event.id.encode(errors="replace"), event.kind.encode(errors="replace")


def _put(table: str, columns: int) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608 - a table of ours


def _add(table: str, columns: int) -> str:
    return f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608 - a table of ours


_OF = (
    "SELECT u.skill, u.useful, u.corrected, t.reward, t.correction_detected FROM uses u "
    "JOIN trajectories t ON t.seq = u.of_seq WHERE u.of_seq = ?"
)
_USED = "SELECT skill, called, useful, corrected FROM uses WHERE of_seq = ?"
_ADD_COUNTS = (
    "INSERT INTO skill_counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (skill) DO UPDATE SET "
    "activations = activations + excluded.activations, called = called + excluded.called, "
    "useful = useful + excluded.useful, suppressed = suppressed + excluded.suppressed"
)

#: What is done with the body of each kind of record of routing.
READERS: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Routing, Line, Any], None]]] = {
    "skills": (msgspec.json.Decoder(SkillsBody), Routing.skills),
    "exemplar": (msgspec.json.Decoder(ExemplarBody), Routing.exemplar),
    "router": (msgspec.json.Decoder(RouterBody), Routing.router),
    "routing": (msgspec.json.Decoder(RoutingBody), Routing.routing),
    "shadow": (msgspec.json.Decoder(ShadowBody), Routing.shadow),
}

"""The fold: the events of one session, one by one, become closed turns.

Invariants:
- Every held entry leaves in exactly one Turn, Strays or Duplicate; a Turn's entries keep the order
  they came in. What belongs to the past (a result after its turn had closed, a late SubagentStop or
  Stop, what a transcript adds to a turn that hooks recorded) leaves in Strays of its own, which name
  that turn; the open turn must not count it.
- State is `carry`, `marks` and the entries that have not left yet. A fold rebuilt from the three,
  the entries given again in their order, emits what the lost one would have, ids included.
- So whoever commits must commit all emissions of one call together with the carry and the marks.
- No clock: `now_ms` is Unix time in milliseconds, given by the caller.

Two tellings of one session, the hooks' and a transcript's, are folded in a lane each (karl.session.lane)
and joined here, in whatever order they come:
- A fact of the transcript that the hooks told too, by its call's or its prompt's id, is a Duplicate.
  A fact of the hooks is always kept: it was told as it happened.
- It says where in the session that telling is. What comes after it, up to the next new prompt, belongs
  to the same turn: to the other lane's open one, or, as Strays, to one that has left.
- What a telling held back to then (its prompt, told before its first known call) belongs there too.
"""

from __future__ import annotations

from karl.schema.event import IMPORT_END, TRANSCRIPT, Payload
from karl.schema.trajectory import ClosedBy
from karl.session.corrections import Signs
from karl.session.emissions import (
    NO_HOME,
    Carry,
    Duplicate,
    Emission,
    Held,
    Limits,
    Remark,
    Strays,
    Turn,
    home_of,
    marks_of,
    short_id,
    trajectory_at,
    trajectory_id,
)
from karl.session.glance import Glance, glance
from karl.session.lane import Lane
from karl.session.moments import moment
from karl.session.prompts import prompt_kind
from karl.session.twins import Name, Teller, Twins, mark, names_of, twins_of

__all__ = [
    "Carry",
    "Duplicate",
    "Emission",
    "Held",
    "Limits",
    "OpenSession",
    "Remark",
    "Strays",
    "Turn",
    "marks_of",
    "short_id",
    "trajectory_id",
]

#: Kinds that begin something new, wherever their telling was: what follows decides which turn they head.
_HEADS = frozenset({"SessionStart", "UserPromptExpansion"})
#: Kinds that are told of the whole session: where they were told says nothing of where a telling is.
_OF_NO_TURN = frozenset({"SessionTitle", IMPORT_END})


class _Telling:
    """A lane, and where in the session its telling is.

    `place` is the home of a turn that has left, or the lane whose open turn it is telling of; null
    between turns and in a turn of its own. `since` is the entry that put it there. `late` waits to
    leave for homes of the past.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.place: bytes | Lane | None = None
        self.since: str | bytes | None = None
        self.late: dict[bytes, list[Held]] = {}
        self.late_ids: dict[bytes, str | bytes] = {}
        self._late_names: dict[Name, bytes] = {}

    @property
    def teller(self) -> Teller:
        return self.lane.teller

    @property
    def entries(self) -> list[str | bytes]:
        """The first entry of everything that this telling still needs."""
        firsts = [items[0].entry for items in (self.lane.held, *self.late.values()) if items]
        return [*firsts, self.since] if self.since is not None else firsts

    def add_late(self, home: bytes, items: list[Held]) -> None:
        for item in items:
            event = item.event
            self.late.setdefault(home, []).append(item)
            self.late_ids[short_id(event.id)] = item.entry
            for name in names_of(event, moment(event.kind), glance(event)):
                self._late_names[name] = home

    def told_late(self, names: tuple[Name, ...]) -> bytes | None:
        """Give the home of one of these facts, if it waits to leave."""
        return next((self._late_names[name] for name in names if name in self._late_names), None)

    def leave(self) -> list[Emission]:
        """Leave the place, and let go of what was late."""
        self.place = self.since = None
        out: list[Emission] = [self.lane.leaving(tuple(items), home) for home, items in self.late.items()]
        self.late, self.late_ids, self._late_names = {}, {}, {}
        return out


class OpenSession:
    """One session while its turns are folded.

    Shapes: `marks` maps the 8-byte ids of what has left to 8-byte homes, and is added to in place;
    `carry` is changed in place.
    """

    def __init__(self, session: str, carry: Carry, marks: dict[bytes, bytes], limits: Limits) -> None:
        self.session = session
        self.carry = carry
        self._marks = marks
        self._limits = limits
        self._live = _Telling(Lane(session, "live", carry, marks, limits))
        self._told: _Telling | None = None
        if carry.told is not None:
            self._hear_transcript()

    @property
    def open_events(self) -> int:
        """Count the entries that have not left."""
        return sum(len(t.lane.held) + len(t.late_ids) for t in self._tellings)

    @property
    def open_bytes(self) -> int:
        """Add up the bytes of the open turns."""
        return sum(t.lane.open_bytes for t in self._tellings)

    @property
    def last_seen_ms(self) -> int:
        """Give the caller's clock at the last event."""
        return max(t.lane.last_seen_ms for t in self._tellings)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is held, so that the session can be put away."""
        return not self.first_entries

    @property
    def first_entries(self) -> list[str | bytes]:
        """Give stream entries before the least of which this session needs none."""
        return [entry for telling in self._tellings for entry in telling.entries]

    def carry_of(self, emission: Turn | Remark) -> Carry:
        """Give the carry of the telling that an emission comes from."""
        return self._told.lane.carry if emission.told and self._told else self.carry

    def add(self, held: Held, now_ms: int) -> list[Emission]:
        """Fold one entry in; give what leaves because of it, in order.

        The very same entry given twice gives nothing the second time: it is open, and leaves
        with its turn.
        """
        if held.event.source == TRANSCRIPT:
            self._hear_transcript()
        if self._told is None:
            return self._live.lane.add(held, now_ms)
        told = held.event.source == TRANSCRIPT
        own, other = (self._told, self._live) if told else (self._live, self._told)
        out = self._join(own, other, held, now_ms)
        self._settle(own, other, out)
        return out

    def idle(self, now_ms: int) -> list[Emission]:
        """Close what is open when nothing came for longer than the limit, by the caller's clock."""
        out: list[Emission] = []
        for telling in self._tellings:
            if telling.entries and now_ms - telling.lane.last_seen_ms > self._limits.idle_ms:
                out += self._close(telling, "idle")
        return out

    def close(self, by: ClosedBy) -> list[Emission]:
        """Close what is open now; entries that wait for a turn leave as strays."""
        return [emission for telling in self._tellings for emission in self._close(telling, by)]

    @property
    def _tellings(self) -> tuple[_Telling, ...]:
        return (self._live, self._told) if self._told else (self._live,)

    def _hear_transcript(self) -> None:
        if self._told is None:
            self.carry.told = self.carry.told or Carry(turn=self.carry.turn)
            self._told = _Telling(Lane(self.session, "told", self.carry.told, self._marks, self._limits))

    def _close(self, telling: _Telling, by: ClosedBy) -> list[Emission]:
        out = telling.leave() + telling.lane.close(by)
        if self._told:
            self._settle(telling, self._live if telling is self._told else self._told, out)
        return out

    def _settle(self, own: _Telling, other: _Telling, out: list[Emission]) -> None:
        """Number turns over both lanes; whoever told of an open turn that left now tells of a past one."""
        self.carry.turn = own.lane.carry.turn = other.lane.carry.turn = max(
            own.lane.carry.turn, other.lane.carry.turn
        )
        for emission in out:
            if not isinstance(emission, Turn):
                continue
            for telling, lane in ((own, other.lane), (other, own.lane)):
                if telling.place is lane and (lane.teller == "told") == emission.told:
                    telling.place = home_of(emission.id)

    # --- joining two tellings ---

    def _join(self, own: _Telling, other: _Telling, held: Held, now_ms: int) -> list[Emission]:
        event, lane = held.event, own.lane
        lane.last_seen_ms = now_ms
        short = short_id(event.id)
        entry = lane.holds(short) or other.lane.holds(short) or own.late_ids.get(short)
        if entry is not None:
            return [] if entry == held.entry else [Duplicate(held.entry, event.id)]
        step, seen = moment(event.kind), glance(event)
        place: bytes | Lane | None = self._marks.get(short)
        is_new = _is_new(step, seen)
        again = place is not None and lane.is_open and _is_past(own.teller, lane, step, is_new=is_new)
        drop, aside = True, again or bool(seen.agent_id) or step in _OF_NO_TURN
        if place is None:
            twins = twins_of(event, step, seen)
            place, same = self._find(own, other, twins)
            drop = same and own.teller == "told"
            if place is None and (place := other.told_late(twins.calls)) is not None:
                drop, aside = own.teller == "told", True  # one call is in one turn, wherever its telling is
        if place is not None and place is not lane:
            asked = is_new and step == "UserPromptSubmit" and lane.is_open and not again
            out = lane.close("prompt") if asked else []
            out += self._beside(own, held, place, drop=drop, aside=aside)
            return out + own.leave() + lane.close("import_end") if event.kind == IMPORT_END else out
        if place is None and event.kind == IMPORT_END:
            out = own.leave()
            return out + (lane.add(held, now_ms) if lane.held else [lane.leaving((held,), NO_HOME)])
        if place is None and is_new:
            return own.leave() + lane.add(held, now_ms)
        if place is None and own.place is not None:
            return self._beside(own, held, own.place, drop=False, aside=True)
        return lane.add(held, now_ms)

    def _find(self, own: _Telling, other: _Telling, twins: Twins) -> tuple[bytes | Lane | None, bool]:
        """Give the turn that an event belongs to, and whether the other telling told this very fact."""
        for name in twins.same:
            home = self._marks.get(mark(other.teller, name))
            if home is not None:
                return home, True
        if twins.same and other.lane.knows(twins.same):
            return other.lane, True
        if twins.near and own.lane.knows(twins.near):
            return own.lane, False
        home = own.told_late(twins.near)
        if home is not None:
            return home, False
        for name in twins.near:
            for telling in (own, other):
                home = self._marks.get(mark(telling.teller, name), NO_HOME)
                if home != NO_HOME:
                    return home, False
        if twins.near and other.lane.is_open and other.lane.knows(twins.near):
            return other.lane, False
        return None, False

    def _beside(
        self, own: _Telling, held: Held, place: bytes | Lane, *, drop: bool, aside: bool
    ) -> list[Emission]:
        """Put an event to the turn it belongs to; `aside` leaves the telling where it is."""
        out = [] if aside else self._put(own, place, held.entry)
        if drop:
            return [*out, Duplicate(held.entry, held.event.id)]
        if isinstance(place, Lane):
            place.take([held])
            return out
        own.add_late(place, [held])
        if len(own.late_ids) >= self._limits.turn_max_events:
            since, at = own.since, own.place
            out += own.leave()
            own.place, own.since = at, since
        return out

    def _put(self, own: _Telling, place: bytes | Lane, entry: str | bytes) -> list[Emission]:
        """Say where a telling is; what its lane had open belongs there too."""
        if place in (NO_HOME, own.place):
            return []
        out = own.leave()
        items = own.lane.give_up()
        if isinstance(place, Lane):
            place.take(items)
        else:
            own.add_late(place, items)
            carry, name = own.lane.carry, trajectory_at(place)
            if carry.last_trajectory != name:
                carry.last_trajectory, carry.last_prompt = name, None
                carry.last_score = carry.last_outcome = None
                carry.last_signs = Signs()
        own.place, own.since = place, entry
        return out


def _is_past(teller: Teller, lane: Lane, step: str, *, is_new: bool) -> bool:
    """Say whether an event that is told again leaves its telling in the turn that is open.

    Hooks that come twice do. A transcript that is read again has left that turn, but for what it begins
    with, and for what stands between new work: that was written down twice, and is of no turn anew.
    """
    return teller == "live" or step in _HEADS or (lane.has_worked and not is_new)


def _is_new(step: str, seen: Glance) -> bool:
    """Say whether an event begins something, wherever its telling was."""
    if seen.agent_id:
        return False
    if step in _HEADS:
        return True
    return step == "UserPromptSubmit" and prompt_kind(seen.prompt, Payload(source=seen.source)) in (
        "human",
        "machine",
    )

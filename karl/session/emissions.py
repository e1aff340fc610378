"""What the fold takes in and gives out: held entries, the carry, and what leaves an open session.

Plain values, without I/O. The ids here are deterministic: the same turn, and the same event, has
the same id on every worker.
"""

from __future__ import annotations

from hashlib import blake2b, sha256

import msgspec

from karl.schema.event import Event, Payload
from karl.schema.record import Score
from karl.schema.trajectory import ClosedBy, Outcome
from karl.session.corrections import DETECTOR, Signs

_SHORT = 8
_TRAJECTORY = "traj_"
#: The home of an event that belongs to no trajectory.
NO_HOME = bytes(_SHORT)


class Held(msgspec.Struct, gc=False):
    """An event with the stream entry that it came in. `raw` is the encoded Event as it came.

    `payload` is what it says, once somebody has read it (karl.session.glance): when its turn closes.
    """

    entry: str | bytes
    raw: bytes
    event: Event
    payload: Payload | None = None


class Limits(msgspec.Struct, frozen=True):
    """When an open turn is closed without its end: silence in milliseconds, events, bytes."""

    idle_ms: int = 1_800_000
    turn_max_events: int = 2000
    turn_max_bytes: int = 8 * 1024 * 1024


class Carry(msgspec.Struct, omit_defaults=True):
    """What a session's next turn must know of the earlier ones. Plain JSON by msgspec.

    `turn` is the next turn's number. `open_calls` are ids of calls whose turn closed before their
    result came. `remarked` is the last prompt event that gave a Remark. The worker fills
    `last_score` and `last_outcome` for `last_trajectory`; the fold clears them with each new turn.
    `last_signs` are that turn's, for the prompt that judges it.
    `told` is the same for what a transcript tells of the session, once one does.
    """

    turn: int = 0
    last_trajectory: str | None = None
    last_prompt: str | None = None
    last_closed_by: ClosedBy | None = None
    last_time_ms: int | None = None
    last_score: Score | None = None
    last_outcome: Outcome | None = None
    model: str | None = None
    agent_version: str | None = None
    permission_mode: str | None = None
    open_calls: list[str] = []
    remarked: str | None = None
    ended: bool = False
    told: Carry | None = None
    last_signs: Signs = Signs()


class Turn(msgspec.Struct, frozen=True):
    """A closed turn. `marks` say where its events went, joined, as `marks_of` reads them back.

    `told` says that a transcript told of it. `signs` are its events' own, where somebody has read them.

    `model`, `agent_version` and `permission_mode` are what was known when it closed or, failing that,
    before it. `time_ms` is its last event's time, else the caller's clock.
    """

    id: str
    session: str
    number: int
    closed_by: ClosedBy
    held: tuple[Held, ...]
    marks: bytes
    time_ms: int
    told: bool = False
    model: str | None = None
    agent_version: str | None = None
    permission_mode: str | None = None
    signs: Signs | None = None


class Strays(msgspec.Struct, frozen=True):
    """Entries that leave outside of a turn. `after` is the last trajectory before them.

    `of` names the trajectory that they belong to, when its turn had left before they came.
    """

    session: str
    held: tuple[Held, ...]
    marks: bytes
    time_ms: int
    after: str | None = None
    ended: bool = False
    of: str | None = None


class Remark(msgspec.Struct, frozen=True):
    """What an event (`by`, its id) says about the turn before it: a typed prompt, or a caller's word.

    A flag that is null says nothing. Holds no entries. `told` as for a Turn. `correction_score`, in [0, 1],
    and `correction_classes`, its reasons, are the detector's.
    """

    session: str
    trajectory: str
    by: str
    time_ms: int
    correction_detected: bool | None = None
    redo_detected: bool | None = None
    build_success: bool | None = None
    session_continued: bool | None = None
    detector: str = DETECTOR
    told: bool = False
    correction_score: float | None = None
    correction_classes: tuple[str, ...] = ()


class Duplicate(msgspec.Struct, frozen=True):
    """An entry whose event is open or ledgered already: nothing is to be done."""

    entry: str | bytes
    event: str


Emission = Turn | Strays | Remark | Duplicate


def short_id(event_id: str) -> bytes:
    """Give the 8 bytes by which a ledgered event is remembered."""
    return blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=_SHORT).digest()


def marks_of(data: bytes) -> dict[bytes, bytes]:
    """Take joined marks apart, short id to home; a torn last one is ignored."""
    return {
        data[at : at + _SHORT]: data[at + _SHORT : at + 2 * _SHORT]
        for at in range(0, len(data) - 2 * _SHORT + 1, 2 * _SHORT)
    }


def home_of(trajectory: str) -> bytes:
    """Give the 8 bytes by which marks name a trajectory."""
    return bytes.fromhex(trajectory.removeprefix(_TRAJECTORY))


def trajectory_at(home: bytes) -> str | None:
    """Name the trajectory of a home; null for what belongs to none."""
    return None if home == NO_HOME else _TRAJECTORY + home.hex()


def trajectory_id(session: str, first_event: str) -> str:
    """Name a turn by its session and its first event: the same turn has the same id on any worker."""
    digest = sha256()
    for part in (session, first_event):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return _TRAJECTORY + digest.hexdigest()[: 2 * _SHORT]

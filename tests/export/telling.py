"""From scripts of a session, or from recorded events, to what exports read: bodies, ledgers, views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from karl.export.atif import pieces as atif_pieces
from karl.export.clean import Cleaner
from karl.export.pieces import LeftOut, Piece
from karl.export.selection import ALL, Choice, Chosen, Group, Selection, about
from karl.export.transcript import transcript
from karl.ledger.writer import Draft
from karl.reward.score import DEFAULT_VERSION
from karl.schema.event import decode_event
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import Usage
from karl.session.fold import Carry, Emission, Held, Limits, OpenSession, Turn
from karl.settings import read_settings
from karl.views.queries import Filter, Place, TrajectoryRow, Views
from karl.views.rebuild import rebuild
from karl.views.schema import FLAGS
from producers.redact import Redactor
from tests.session.making import START_MS, Script
from tests.views import ledgers
from workers.compose import Composer

REDACTOR = Redactor()
_SHARED = (
    "id", "session", "turn", "fleet", "node", "agent", "project", "agent_version", "model", "time_ms", "closed_by",
)  # fmt: skip


def drafts(emissions: Iterable[Emission]) -> list[Draft]:
    """The records that a sessions worker would have handed on."""
    settings = read_settings({})
    composer, carry = Composer(settings.reward_version, settings.reward_weights), Carry()
    made = (composer.compose(carry, emission) for emission in emissions)
    return [Draft(kind, body) for kind, body in filter(None, made)]


def emissions(script: Script) -> list[Emission]:
    """All that leaves a script's session, its open turn too."""
    return [*script.out, *script.session.close("import_end")]


def body(script: Script) -> TrajectoryBody:
    """All that a script said as one turn, as the views read it whole: hooks and transcript together."""
    turn = Turn(
        id="traj_0123456789abcdef",
        session="s1",
        number=0,
        closed_by="import_end",
        held=tuple(script.sent),
        marks=b"",
        time_ms=START_MS,
        model=None,
        agent_version=None,
        permission_mode=None,
    )
    (record,) = drafts([turn])
    return msgspec.json.decode(record.body, type=TrajectoryBody)


def chosen(known: TrajectoryBody) -> Chosen:
    """A body as a selection gives it, without a ledger."""
    row = TrajectoryRow(
        place=Place(1, "0000000001-000000.jsonl", 0, 1),
        started_ms=START_MS,
        duration_s=None,
        domain="unknown",
        skill=None,
        prompt=None,
        events=len(known.events),
        calls=0,
        failures=0,
        flags=dict.fromkeys(FLAGS),
        score_seq=1,
        reward_version=DEFAULT_VERSION,
        reward=known.score.reward,
        signals=dict(known.score.signals),
        advantage=0.0,
        tokens=Usage(),
        **{name: getattr(known, name) for name in _SHARED},
    )
    return Chosen(row, known, known.score, transcript(known), about(row, known, known.score))


def recorded(folder: Path, records: Sequence[Draft]) -> Path:
    """A data folder with a ledger and its views."""
    ledgers.write(folder / "ledger", records)
    rebuild(folder / "views" / "views.sqlite", folder / "ledger", DEFAULT_VERSION)
    return folder


def folded(events: Iterable[bytes]) -> list[Draft]:
    """Encoded events, folded session by session."""
    sessions: dict[str, OpenSession] = {}
    out: dict[str, list[Emission]] = {}
    for number, raw in enumerate(events):
        event = decode_event(raw)
        session = sessions.setdefault(event.session, OpenSession(event.session, Carry(), {}, Limits()))
        out.setdefault(event.session, []).extend(
            session.add(Held(f"{number + 1}-0", raw, event), event.time_ms or number)
        )
    for name, session in sessions.items():
        out[name] += session.close("idle")
    return [draft for name in sessions for draft in drafts(out[name])]


def groups(data: Path, choice: Choice = Choice(ALL), *, whole_sessions: bool = True) -> list[Group]:
    """What a command would write, before it is written."""
    with Views(data / "views" / "views.sqlite") as views:
        selection = Selection(views, data / "ledger", choice, Cleaner(REDACTOR))
        return list(selection.groups(lambda _session, _number: None, whole_sessions=whole_sessions))


def group(data: Path, session: str | None = None) -> Group:
    """The one session that is there, or that is named."""
    (one,) = groups(data, Choice(Filter(session=session)))
    return one


def document(one: Group) -> dict[str, object]:
    """A session in ATIF."""
    (piece,) = atif_pieces(one)
    assert isinstance(piece, Piece)
    assert isinstance(piece.data, dict)
    return piece.data


def pieces_of(found: Iterable[Piece | LeftOut]) -> list[Piece]:
    return [piece for piece in found if isinstance(piece, Piece)]


def turns(one: Group) -> list[Chosen]:
    return one.turns

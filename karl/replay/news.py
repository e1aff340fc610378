"""What a record says, in one line's worth of facts: for those who watch the ledger grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from karl.ledger.frame import Line
from karl.replay import news_learning, news_routing
from karl.schema.record import AnnotationBody, CalibrationBody, ErasedBody, ErasureBody, EventsBody, ScoreBody
from karl.schema.trajectory import Usage
from karl.views.project import PROBE
from karl.views.schema import FLAGS

#: Characters of a prompt that are kept.
_PROMPT_MAX = 400
#: Kinds of record of which a sentence is told.
_SENTENCES = {**news_routing.READERS, **news_learning.READERS}


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record. `time` is when it was written; what its kind does not say is null.

    `late`: an `events` record that belongs to `trajectory`; else its events belong to none. `erased` counts
    the records that an erasure takes out, on whose word (`by`). Of routing and learning, `about` is the id of
    what was made or decided, or a place, and `says` a sentence; of an annotation, `skill` is what a person
    said, empty for none.
    """

    seq: int
    time: str
    kind: str
    session: str | None = None
    agent: str | None = None
    project: str | None = None
    node: str | None = None
    trajectory: str | None = None
    turn: int | None = None
    closed_by: str | None = None
    calls: int | None = None
    failures: int | None = None
    tokens: int | None = None
    reward: float | None = None
    prompt: str | None = None
    said: dict[str, bool] | None = None
    events: dict[str, int] | None = None
    late: bool = False
    ended: bool = False
    erased: int | None = None
    by: str | None = None
    about: str | None = None
    skill: str | None = None
    says: str | None = None
    unreadable: str | None = None


class Who(NamedTuple):
    """Whose a session is."""

    agent: str
    project: str
    node: str


class Newsreader:
    """Reads records; of those that name a session alone, it says whose it is when that is known.

    `ask` looks a session up; it may know nothing.
    """

    def __init__(self, ask: Callable[[str], Who | None]) -> None:
        self._ask = ask
        self._known: dict[str, Who | None] = {}

    def read(self, line: Line) -> News | None:
        """Read a line; null for what tells nothing: headers, what was erased, and `karl doctor`'s."""
        if line.kind in _SENTENCES:
            return self._read(line, self._sentence)
        read = {"trajectory": self._turn, "events": self._events, "annotation": self._annotation,
                "score": self._score, "calibration": self._calibration, "erasure": self._erasure,
                "erased": self._erased}.get(line.kind)  # fmt: skip
        if line.kind in {"segment", "blank"}:
            return None
        if read is None:
            return News(line.seq, line.time, line.kind, unreadable="a kind of record that is not known")
        return self._read(line, read)

    @staticmethod
    def _read(line: Line, read: Callable[[Line], News]) -> News | None:
        try:
            news = read(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return News(line.seq, line.time, line.kind, unreadable=str(error))
        return None if news.agent == PROBE or (news.session or "").startswith(PROBE) else news

    def _turn(self, line: Line) -> News:
        body = _turn(line.body)
        who = self._keep(body.session, Who(body.agent, body.project, body.node))
        prompt = body.trajectory.context.prompt_text
        return News(
            line.seq,
            line.time,
            line.kind,
            session=body.session,
            **who._asdict(),
            trajectory=body.id,
            turn=body.turn,
            closed_by=body.closed_by,
            calls=body.trajectory.trajectory.total_tools,
            failures=body.trajectory.trajectory.failures,
            tokens=body.trajectory.usage.total if body.trajectory.usage.messages else None,
            reward=body.score.reward,
            prompt=prompt[:_PROMPT_MAX] if prompt else None,
        )

    def _events(self, line: Line) -> News:
        body = _events(line.body)
        who = self._keep(body.session, Who(body.agent, body.project, body.node))
        return News(
            line.seq,
            line.time,
            line.kind,
            session=body.session,
            **who._asdict(),
            trajectory=body.of or body.after,
            events=dict(Counter(_kind(raw).kind for raw in body.events)),
            late=body.of is not None,
            ended=body.ended,
        )

    def _annotation(self, line: Line) -> News:
        body = _annotation(line.body)
        said = {name: flag for name in FLAGS if (flag := getattr(body.outcome, name)) is not None}
        news = self._later(line, body, said)
        return msgspec.structs.replace(news, skill=body.skill)

    @staticmethod
    def _sentence(line: Line) -> News:
        return News(line.seq, line.time, line.kind, **_SENTENCES[line.kind](line.body))

    def _erasure(self, line: Line) -> News:
        body = _erasure(line.body)
        return News(line.seq, line.time, line.kind, node=body.node, erased=body.records, by=body.by)

    def _erased(self, line: Line) -> News:
        return News(line.seq, line.time, line.kind, node=_erased(line.body).node)

    def _calibration(self, line: Line) -> News:
        body = _calibration(line.body)
        return News(line.seq, line.time, line.kind, agent=body.agent)

    def _score(self, line: Line) -> News:
        return self._later(line, _score(line.body), None)

    def _later(self, line: Line, body: AnnotationBody | ScoreBody, said: dict[str, bool] | None) -> News:
        who = self._find(body.session)
        return News(
            line.seq,
            line.time,
            line.kind,
            session=body.session,
            **(who._asdict() if who else {}),
            trajectory=body.trajectory,
            reward=body.score.reward,
            said=said,
        )

    def _keep(self, session: str, who: Who) -> Who:
        self._known[session] = who
        return who

    def _find(self, session: str) -> Who | None:
        if session not in self._known:
            self._known[session] = self._ask(session)
        return self._known[session]


class _Context(msgspec.Struct):
    prompt_text: str | None = None


class _Calls(msgspec.Struct):
    total_tools: int = 0
    failures: int = 0


class _Reading(msgspec.Struct):
    context: _Context = msgspec.field(default_factory=_Context)
    trajectory: _Calls = msgspec.field(default_factory=_Calls)
    usage: Usage = Usage()


class _Reward(msgspec.Struct):
    reward: float


class _Turn(msgspec.Struct):
    """What of a TrajectoryBody is told; its events are passed over."""

    id: str
    session: str
    turn: int
    closed_by: str
    node: str
    agent: str
    project: str
    trajectory: _Reading
    score: _Reward


class _Kind(msgspec.Struct):
    kind: str = "?"


_turn = msgspec.json.Decoder(_Turn).decode
_events = msgspec.json.Decoder(EventsBody).decode
_annotation = msgspec.json.Decoder(AnnotationBody).decode
_score = msgspec.json.Decoder(ScoreBody).decode
_erasure = msgspec.json.Decoder(ErasureBody).decode
_calibration = msgspec.json.Decoder(CalibrationBody).decode
_erased = msgspec.json.Decoder(ErasedBody).decode
_kind = msgspec.json.Decoder(_Kind).decode

"""What the ledger's trajectories say, checked: what is missing in them, and what is there twice.

`verify` asks whether the bytes are what was written; this asks whether what was written makes sense.

Invariant: memory grows by some 250 bytes a trajectory in `find_repeated`, and not at all in `examine`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.ledger.reader import Progress, walk
from karl.ledger.seen import Spans
from karl.reward.signal import SIGNALS
from karl.schema.record import TrajectoryBody

#: Ids that are named of each kind of trouble.
NAMED_MAX = 20


class Trouble(msgspec.Struct):
    """One kind of trouble: how many trajectories have it, and the ids of the first of them.

    `wrong`: it should not be; else it may be so, and somebody may want to know.
    """

    what: str
    wrong: bool
    count: int = 0
    trajectories: list[str] = []


class Contents(msgspec.Struct):
    """What a look through the trajectories found."""

    trajectories: int
    troubles: list[Trouble]

    @property
    def ok(self) -> bool:
        """Nothing is wrong; something may be missing."""
        return not any(trouble.wrong and trouble.count for trouble in self.troubles)


class Repeated(msgspec.Struct):
    """Trajectories that are there more than once, and the lines of those that could go.

    `same`: under one id, or with the very same events; `alike`: the same prompt and calls in other sessions.
    `kept` names for each that goes the one that stays.
    """

    trajectories: int = 0
    same: int = 0
    alike: int = 0
    lines: list[tuple[int, int]] = []
    records: int = 0
    bytes: int = 0
    kept: dict[str, str] = {}


_body = msgspec.json.Decoder(TrajectoryBody).decode


class _Refers(msgspec.Struct):
    trajectory: object = None
    of: object = None


_refers = msgspec.json.Decoder(_Refers).decode

_Test = Callable[[TrajectoryBody], bool]

_TESTS: list[tuple[str, bool, _Test]] = [
    ("no session", True, lambda body: not body.session),
    ("no time", True, lambda body: body.time_ms <= 0),
    ("reward outside of 0 to 1", True, lambda body: not _is_share(body.score.reward)),
    ("a signal outside of 0 to 1", True, lambda body: not all(map(_is_share, body.score.signals.values()))),
    ("a signal that there is not", True, lambda body: not body.score.signals.keys() <= set(SIGNALS)),
    ("confidence outside of 0 to 1", True, lambda body: not _is_share(body.score.confidence or 0.0)),
    ("nothing observed that counts", False, lambda body: not body.score.signals),
    ("no events", True, lambda body: not body.events),
    ("no prompt", False, lambda body: not (body.trajectory.context.prompt_text or "").strip()),
    ("no skill", False, lambda body: not body.trajectory.skill.name),
    ("no tool call", False, lambda body: not body.trajectory.trajectory.total_tools),
]


def examine(folder: Path, progress: Progress | None = None) -> Contents:
    """Look through all trajectories for what is missing or can not be. Raises LedgerDamaged."""
    troubles = [Trouble(what, wrong) for what, wrong, _ in _TESTS]
    unread = Trouble("can not be read", wrong=True)
    count = 0
    for line in walk(folder, progress):
        if line.kind != "trajectory":
            continue
        count += 1
        try:
            body = _body(line.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _note(unread, f"line {line.seq}")
            continue
        for trouble, (_, _, test) in zip(troubles, _TESTS, strict=True):
            if test(body):
                _note(trouble, body.id)
    return Contents(count, [unread, *troubles])


class _First(NamedTuple):
    seq: int
    id: str
    session: str
    reward: float


def find_repeated(folder: Path, *, alike: bool = False, progress: Progress | None = None) -> Repeated:
    """Find what is there more than once. Raises LedgerDamaged.

    Of what is the same the first stays, of what is `alike` the one with the higher reward.
    """
    found, sizes = Repeated(), {}
    by_id: dict[str, _First] = {}
    by_content: dict[bytes, _First] = {}
    gone: dict[int, _First] = {}
    for line in walk(folder, progress):
        if line.kind != "trajectory":
            continue
        body = _body(line.body)
        one = _First(line.seq, body.id, body.session, body.score.reward)
        sizes_of = len(bytes(line.body))
        found.trajectories += 1
        if body.id in by_id:
            found.same += 1
            gone[line.seq], sizes[line.seq] = by_id[body.id], sizes_of
            continue
        by_id[body.id] = one
        if not alike or not (content := _content(body)):
            continue
        other = by_content.setdefault(content, one)
        if other.session == one.session:
            continue  # a person may say the same thing twice
        found.alike += 1
        better, worse = (one, other) if one.reward > other.reward else (other, one)
        by_content[content] = better
        gone[worse.seq], sizes[worse.seq] = better, sizes_of
        found.kept[worse.id] = better.id
    _add_up(found, folder, gone, sizes, progress)
    return found


def _add_up(
    found: Repeated,
    folder: Path,
    gone: dict[int, _First],
    sizes: dict[int, int],
    progress: Progress | None,
) -> None:
    """Add what was said later about those that go, and give everything as spans."""
    if found.kept:
        for line in walk(folder, progress):
            if line.kind in {"annotation", "score", "events"}:
                about = _refers(line.body)
                if about.trajectory in found.kept or about.of in found.kept:
                    gone[line.seq], sizes[line.seq] = _First(0, "", "", 0), len(bytes(line.body))
    spans = Spans()
    for seq in sorted(gone):
        spans.add(seq, seq)
    found.lines, found.records, found.bytes = list(spans), len(gone), sum(sizes.values())


def _content(body: TrajectoryBody) -> bytes:
    """Digest what makes a turn that turn, whoever recorded it; empty for one that says too little."""
    calls = body.trajectory.trajectory
    prompt = (body.trajectory.context.prompt_text or "").strip()
    if not prompt or not calls.events:
        return b""
    told = [
        prompt,
        calls.response,
        [(call.tool_name, call.key_params, call.success) for call in calls.events],
    ]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).digest()[:16]


def _note(trouble: Trouble, name: str) -> None:
    trouble.count += 1
    if trouble.count <= NAMED_MAX:
        trouble.trajectories.append(name)


def _is_share(number: float) -> bool:
    return math.isfinite(number) and 0 <= number <= 1

"""The ledger's copies: whether this one follows, and whether the writer waits for any."""

from __future__ import annotations

from collections.abc import Iterator

from karl.counted import many
from karl.doctor.check import Check, Machine, size, span
from karl.doctor.server import Asked
from workers.replicas import Lag, copy_state, told_by_writer

LINK = "replica"

#: Seconds behind its source, or without a word, after which a follower is worth a warning.
LATE_S = 60.0
_FOLLOW = "`karl worker follow` on its machine"


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at the copy here, if this folder is one, and at what the writer says of its followers."""
    yield from _copy(machine)
    yield from _followers(machine, line)


def _copy(machine: Machine) -> Iterator[Check]:
    copy, troubles = copy_state(machine.settings)
    if copy is None:
        return
    if not copy.running:
        yield Check(LINK, "follower", "fail", f"nothing follows {copy.source} here", "`karl worker follow`")
    else:
        yield Check(LINK, "follower", "ok", f"at work, of {copy.source}")
    if copy.behind is None:
        hint = "`karl replica status`; where the source is lost for good, `karl replica promote`"
        yield Check(LINK, "copy", "fail", "; ".join(troubles), hint)
    else:
        yield _lag(copy.seq, copy.behind)


def _lag(seq: int, behind: Lag) -> Check:
    if not behind.lines:
        return Check(LINK, "copy", "ok", f"line {seq:,}: all that its source has")
    seen = f"line {seq:,} of {behind.source_seq:,}, {size(behind.bytes)} and {span(behind.seconds)} behind"
    late = behind.seconds > LATE_S
    return Check(LINK, "copy", "warn" if late else "ok", seen, "is the network slow?" if late else "")


def _followers(machine: Machine, line: Asked) -> Iterator[Check]:
    told = told_by_writer(line.redis) if line.redis else None
    if told is None:
        return
    now_ms = machine.now_ns() // 1_000_000
    heard = [one for one in told.followers if now_ms - one.heard_ms < LATE_S * 1000]
    nearest = max((one.seq for one in heard), default=0)
    if told.needed and told.held and told.held_s > LATE_S:
        seen = f"{many(told.held, 'line')} wait for a follower, the oldest for {span(told.held_s)}"
        hint = f"{_FOLLOW}; until then nothing leaves the streams (KARL_ACK=replica)"
        yield Check(LINK, "waiting", "fail", seen, hint)
    elif heard:
        seen = f"{many(len(heard), 'follower')}, the nearest {many(told.seq - nearest, 'line')} behind"
        yield Check(LINK, "followers", "ok", seen)
    else:
        yield Check(LINK, "followers", "warn", "the ledger is served, and nobody follows it", _FOLLOW)

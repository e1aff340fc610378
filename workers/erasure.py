"""Erase what the line knows of sessions, or of a time: from the streams, the ledger and the views.

    the sessions end --> their records are found --> named by an `erasure` record --> blanked --> `erased`

Invariants:
- What is told to the ledger goes the way of all records: through Redis to the one writer.
- It may be broken off at any point, and run again or resumed: nothing is lost but what was meant.
- It ends when the views are made anew, or says that they are not.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import KarlError, LineDown, Refused
from karl.ledger import rewrite
from karl.ledger.erase import Found, Wanted, blank, find, unfinished
from karl.ledger.latest import position_after
from karl.ledger.reader import Position, Progress, Reader
from karl.ledger.segments import list_segments, newest_header
from karl.replica.copy import refuse_copy
from karl.schema.event import Event, encode_event, event_id
from karl.schema.record import ErasedBody, ErasureBody
from karl.stream import dead_letters, keys, prompts
from karl.views.queries import Views
from workers import embedding

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Seconds between two looks at what the line does, and for which it may do nothing.
LOOK_S, PATIENCE_S = 0.02, 60.0
#: Rounds in which what came meanwhile is erased too.
ROUNDS_MAX = 5

_log = logging.getLogger("karl")


class ErasureReport(msgspec.Struct):
    """What was erased: records, bytes of their bodies, sessions. `erasure` are the ids of the erasures.

    `dead_letters` that told of it are deleted. `views` and `append_only_file` say whether these were made
    anew; where not, they hold some of it still.
    """

    records: int = 0
    bytes: int = 0
    sessions: list[str] = []
    erasures: list[str] = []
    dead_letters: int = 0
    views: bool = True
    append_only_file: bool = True


class Eraser:
    """One erasure: of what is `wanted`, on whose word (`by`) and why. `wait` sleeps for seconds."""

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        wanted: Wanted,
        *,
        by: str = "",
        reason: str = "",
        progress: Progress | None = None,
        wait: Callable[[float], None] = time.sleep,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._folder: Path = settings.ledger
        self._wanted = wanted
        self._by = by
        self._reason = reason
        self._progress = progress
        self._wait = wait
        self._now_ms = now_ms
        self._partition = 0
        self._last = 0
        self.report = ErasureReport()

    def run(self) -> ErasureReport:
        """Erase. Raises Refused, LineDown when the line does not move, LedgerDamaged and FsyncFailed."""
        self._check_place()
        with rewrite.alone(self._folder):
            self._end_sessions()
            for _ in range(ROUNDS_MAX):
                found = find(self._folder, self._wanted, self._progress)
                if not found.records:
                    break
                self._erase(found)
            else:
                raise Refused("more of it comes as fast as it is erased; end the agent, then run this again")
            self._clear_streams()
            self._renew_views()
        return self.report

    def resume(self) -> ErasureReport:
        """End the erasures that were begun and broken off. Raises as `run` does."""
        self._check_place()
        with rewrite.alone(self._folder):
            for begun in unfinished(self._folder, self._progress):
                wanted = Wanted(frozenset(begun.body.sessions), begun.body.before_ms)
                self._partition = _partition_of(begun.body.sessions)
                self._await_sealed(begun.seq)
                self._blank(begun.body, wanted)
            self._clear_streams()
            self._renew_views()
        return self.report

    def _check_place(self) -> None:
        if not list_segments(self._folder):
            raise Refused(f"there is no ledger in {self._folder}; run this where it is written")
        refuse_copy(self._folder)

    def _end_sessions(self) -> None:
        """Close the sessions' open turns, so that everything of them is on its way to the ledger."""
        prompts.drop(self._redis, self._asks)  # or a prediction would come of them while we look
        after = position_after(self._folder)
        events = [self._end_of(session) for session in sorted(self._wanted.sessions)]
        for event in events:
            stream = keys.events_key(keys.partition_of(event.session))
            self._ask("XADD", stream, "*", "d", encode_event(event))
        self._await_in_ledger(after, {event.id for event in events})

    def _end_of(self, session: str) -> Event:
        payload = {"session_id": session, "hook_event_name": "SessionEnd", "reason": "erasure"}
        return Event(
            id=event_id("erase", session, secrets.token_hex(8)),
            kind="SessionEnd",
            session=session,
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            time_ms=self._now_ms(),
            fleet=self._settings.fleet,
            node=self._settings.node,
        )

    def _erase(self, found: Found) -> None:
        body = ErasureBody(
            id=f"er{secrets.token_hex(11)}",
            lines=found.lines,
            records=found.records,
            bytes=found.bytes,
            by=self._by,
            node=self._settings.node,
            time_ms=self._now_ms(),
            sessions=sorted(self._wanted.sessions),
            before_ms=self._wanted.before_ms,
            reason=self._reason,
        )
        self._partition = _partition_of(body.sessions)
        after = position_after(self._folder)
        self._record("erasure", body)
        self._await_sealed(self._await_in_ledger(after, {body.id}))
        self._blank(body, self._wanted)
        self.report.sessions = sorted({*self.report.sessions, *found.sessions} - set(found.partly))

    def _blank(self, body: ErasureBody, wanted: Wanted) -> None:
        blank(self._folder, body.lines, wanted, self._progress)
        after = position_after(self._folder)
        self._record("erased", ErasedBody(body.id, self._settings.node, self._now_ms()))
        self._last = self._await_in_ledger(after, {body.id})
        self.report.records += body.records
        self.report.bytes += body.bytes
        self.report.erasures.append(body.id)
        self.report.sessions = sorted({*self.report.sessions, *body.sessions})

    def _record(self, kind: str, body: ErasureBody | ErasedBody) -> None:
        data = msgspec.json.encode(body)
        self._ask("XADD", keys.records_key(self._partition), "*", "k", kind, "b", data)

    def _await_in_ledger(self, after: Position, ids: set[str]) -> int:
        """Read the ledger on until each id stood in a record; gives the seq of the last such line."""
        waited = {name.encode() for name in ids}
        seq = after.seq
        deadline = time.monotonic() + PATIENCE_S
        with Reader(self._folder, after) as reader:
            while waited:
                lines = reader.poll(200)
                for line in lines:
                    body = bytes(line.body)
                    if told := {name for name in waited if name in body}:
                        waited -= told
                        seq = line.seq
                if not lines:
                    self._be_patient(deadline)
        return seq

    def _await_sealed(self, seq: int) -> None:
        """Wait until a line is in a sealed segment: the writer seals it right after."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_sealed(seq):
            self._be_patient(deadline)

    def _is_sealed(self, seq: int) -> bool:
        newest = newest_header(self._folder, list_segments(self._folder))
        return newest is not None and newest.line.seq > seq

    def _be_patient(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise LineDown(
                f"nothing reached the ledger for {PATIENCE_S:.0f} s; `karl doctor` says why. "
                "Then run this again, or `karl erase --resume`"
            )
        self._wait(LOOK_S)

    def _clear_streams(self) -> None:
        """Take out of Redis what it holds of the sessions."""
        for session in {*self._wanted.sessions, *self.report.sessions}:
            self._ask("DEL", keys.session_key(keys.partition_of(session), session))
        asked = prompts.drop(self._redis, self._asks) + self._forget_batches()
        told = [letter.id for letter in dead_letters.read(self._redis) if self._tells(letter)]
        self.report.dead_letters = dead_letters.drop(self._redis, told) if told else 0
        if self.report.erasures or told or asked:
            self.report.append_only_file = self._rewrite_file()

    def _forget_batches(self) -> int:
        """Take out all prompts that wait for an encoder, whosever they are."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

        try:
            return embedding.forget(self._redis)
        except RedisError as error:
            raise LineDown(f"Redis refused to drop batches of prompts: {error}") from error

    def _rewrite_file(self) -> bool:
        """Let Redis write its append-only file anew, without what is gone; false when it does not."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

        deadline = time.monotonic() + PATIENCE_S
        asked = False
        while time.monotonic() < deadline:
            try:
                state = self._redis.info("persistence")
                busy = state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled")
                if not busy and asked:
                    return True
                if not busy:
                    self._redis.bgrewriteaof()
                    asked = True
            except RedisError as error:
                _log.warning("Redis does not write its append-only file anew: %s", error)
                return False
            self._wait(LOOK_S)
        return False

    def _tells(self, letter: dead_letters.DeadLetter) -> bool:
        if self._wanted.before_ms is not None and letter.time_ms < self._wanted.before_ms:
            return True
        return any(msgspec.json.encode(session)[1:-1] in letter.data for session in self._wanted.sessions)

    def _asks(self, prompt: prompts.Prompt) -> bool:
        if self._wanted.before_ms is not None and prompt.time_ms < self._wanted.before_ms:
            return True
        return prompt.session in self._wanted.sessions or prompt.session in self.report.sessions

    def _ask(self, *words: Any) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

        try:
            self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except RedisError as error:
            raise LineDown(f"Redis refused {words[0]}: {error}") from error

    def _renew_views(self) -> None:
        """Wait until the views have taken the end of the erasure in, or say that they have not."""
        deadline = time.monotonic() + PATIENCE_S
        while self.report.erasures and time.monotonic() < deadline:
            try:
                with Views(self._settings.views) as views:
                    if views.position().seq >= self._last:
                        return
            except KarlError:  # they are being made anew just now, or there are none
                pass
            self._wait(LOOK_S)
        self.report.views = not self.report.erasures


def _partition_of(sessions: Iterable[str]) -> int:
    return keys.partition_of(next(iter(sorted(sessions)), ""))

"""A line in miniature: a real server, the real workers in this process, and a session to feed it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.ledger.reader import Reader
from karl.reward.score import DEFAULT_VERSION, VERSIONS
from karl.schema.event import Event, encode_event, event_id
from karl.session.emissions import Limits
from karl.stream import keys
from karl.views.rebuild import Tail
from karl.views.store import Store
from workers.compose import Composer
from workers.ledger import LedgerWorker
from workers.sessions import SessionsWorker


class Feed:
    """Puts a session's events into the stream as a shipper would."""

    def __init__(self, redis: Redis, session: str, start_ms: int = 1_760_000_000_000) -> None:
        self._redis = redis
        self.session = session
        self.sent: list[Event] = []
        self._start_ms = start_ms

    def event(self, kind: str, **payload: Any) -> Event:
        number = len(self.sent)
        whole = {"session_id": self.session, "hook_event_name": kind, "cwd": "/home/dev/p", **payload}
        event = Event(
            id=event_id(self.session, str(number), kind),
            kind=kind,
            session=self.session,
            payload=msgspec.Raw(json.dumps(whole).encode()),
            time_ms=self._start_ms + number * 1000,
            project="p",
            node="n1",
        )
        self.sent.append(event)
        self.push(event)
        return event

    def push(self, event: Event) -> None:
        self._redis.xadd(keys.events_key(keys.partition_of(event.session)), {"d": encode_event(event)})

    def prompt(self, text: str = "Make it work") -> Event:
        return self.event("UserPromptSubmit", prompt=text)

    def call(self, tool: str = "Bash", result: str = "PostToolUse", **tool_input: Any) -> None:
        number = len(self.sent)
        call = {
            "tool_name": tool,
            "tool_input": tool_input or {"command": "true"},
            "tool_use_id": f"c{number}",
        }
        self.event("PreToolUse", **call)
        if result == "PostToolUse":
            self.event(
                "PostToolUse", **call, tool_response={"stdout": "", "stderr": "", "interrupted": False}
            )
        elif result == "PostToolUseFailure":
            self.event("PostToolUseFailure", **call, error="Exit code 2\nno")

    def stop(self) -> Event:
        return self.event("Stop", stop_hook_active=False, last_assistant_message="Done.")

    def turn(self, calls: int = 2, text: str = "Make it work") -> None:
        self.prompt(text)
        for _ in range(calls):
            self.call()
        self.stop()


class Line:
    """The workers of one line over one server and one ledger folder."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.folder = folder
        self.stop = threading.Event()
        self.offset_ms = 0
        self._owners = 0
        self.ledger = self.ledger_worker()

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def sessions(
        self,
        *,
        lease_ttl_s: float = 30.0,
        open_max_events: int = 10_000,
        version: str = DEFAULT_VERSION,
        **limits: int,
    ) -> SessionsWorker:
        self._owners += 1
        return SessionsWorker(
            self.redis,
            Composer(version, VERSIONS[version].WEIGHTS),
            Limits(**limits),
            owner=f"s{self._owners}",
            lease_ttl_s=lease_ttl_s,
            carry_ttl_ms=60_000,
            open_max_events=open_max_events,
            node="n1",
            now=self.now,
        )

    def ledger_worker(self, *, lease_ttl_s: float = 30.0) -> LedgerWorker:
        self._owners += 1
        return LedgerWorker(
            self.redis,
            self.folder,
            owner=f"l{self._owners}",
            lease_ttl_s=lease_ttl_s,
            segment_max_bytes=1 << 20,
        )

    def drain(self, *workers: SessionsWorker) -> None:
        """Run the workers until they have read and settled everything and the ledger has all records."""
        for worker in workers:
            worker.run_once(self.stop)
        while self.unread(*workers):
            for worker in workers:
                worker.run_once(self.stop)
        for worker in workers:
            worker._settle()
        while self.waiting():
            self.ledger.run_once(self.stop)

    def catch_up(self, views: Path, version: str = DEFAULT_VERSION) -> None:
        """Write what waits for the ledger, and take it into the views."""
        while self.waiting():
            self.ledger.run_once(self.stop)
        with closing(Store(views, version, self.folder)) as opened:
            tail = Tail(self.folder, opened.position)
            before = tail.position
            while lines := tail.batch():
                opened.apply(lines, before)
                before = tail.position
            tail.close()

    def waiting(self) -> int:
        return sum(self.redis.xlen(keys.records_key(p)) for p in range(64))

    def kept(self, *workers: SessionsWorker) -> int:
        """Count the events that are left in the streams after a sweep: those of open turns."""
        for worker in workers:
            worker._sweep()
        return sum(self.redis.xlen(keys.events_key(p)) for p in range(64))

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        with Reader(self.folder) as reader:
            lines = []
            while batch := reader.poll(1000):
                lines += batch
        return [
            {"kind": line.kind, **msgspec.json.decode(line.body)}
            for line in lines
            if line.kind != "segment" and kind in {None, line.kind}
        ]

    def ledgered(self) -> list[str]:
        """Give the id of every event in the ledger, in ledger order."""
        return [event["id"] for record in self.records() for event in record.get("events", [])]

    def unread(self, *workers: SessionsWorker) -> bool:
        """Say whether a worker has not yet folded the last event of a partition that is its own."""
        for worker in workers:
            for p in worker._partitions.owned:
                key = keys.events_key(p)
                if self.redis.xlen(key):
                    last = self.redis.xinfo_stream(key)["last-generated-id"]
                    if p not in worker._held or worker._held[p].last != last:
                        return True
        return False


@pytest.fixture
def line(redis: Redis, tmp_path: Path) -> Iterator[Line]:
    made = Line(redis, tmp_path / "ledger")
    yield made
    made.ledger.forget()


@pytest.fixture
def feed(redis: Redis) -> Callable[..., Feed]:
    def make(session: str = "s-1") -> Feed:
        return Feed(redis, session)

    return make

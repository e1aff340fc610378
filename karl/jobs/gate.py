"""The gate: reads what somebody left as a job in Redis, and lets through what the table of jobs allows.

Invariants:
- Nothing is imported and nothing is unpickled: bytes become a row of the table and its arguments, or a
  reason.
- Of what a job says of itself only its name, its arguments and where it stands count. How often and how long
  it may run is the table's.
- It raises nothing but Denied, whatever the bytes are, and never makes more than LARGEST bytes of them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from karl.errors import KarlError
from karl.jobs import table

#: What RQ takes for the id of a job.
ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
#: Bytes of a job's name and arguments, unpacked; of a report or a failure's text.
LARGEST = 1 << 20
#: The longest that one text of a job is read.
_TEXT_MAX = 4096

#: What RQ would do besides for who asks it in a job, and what that is called here.
EXTRAS = {
    "success_callback_name": "a callback (on_success)",
    "failure_callback_name": "a callback (on_failure)",
    "stopped_callback_name": "a callback (on_stopped)",
    "webhooks": "a webhook",
    "dependency_id": "other jobs before it",
    "dependency_ids": "other jobs before it",
    "repeats_left": "repetitions",
    "rate_limit_key": "a rate limit",
    "group_id": "a group",
}

#: What a name may be shown with, wherever somebody looks at it: in a terminal, in a page.
_PLAIN = re.compile(r"[^A-Za-z0-9_.:, ()=+-]")

_Called = tuple[str, list[Any], dict[str, Any]]
_Data = tuple[str, None, list[Any], dict[str, Any]]


class Denied(KarlError):
    """Raised when a job may not run; the message is the reason that people are shown."""


class Asked(NamedTuple):
    """A job that may run: its row of the table and its arguments."""

    job: table.Job
    arguments: table.Arguments


class JobFacts(NamedTuple):
    """What a job says of itself, for people; every text as it stands there, cut. Times are ISO 8601."""

    id: str
    name: str
    queue: str
    status: str
    description: str
    created_at: str
    enqueued_at: str
    started_at: str
    ended_at: str
    worker: str
    retries_left: int
    meta: dict[str, Any]
    stop: bool


def asked(raw: Mapping[bytes, bytes], queue: str) -> Asked:
    """Read the hash of a job that waits in a queue. Raises Denied."""
    for field, what in EXTRAS.items():
        if raw.get(field.encode()) not in {None, b"", b"0", b"[]", b"null"}:
            raise Denied(f"it asks for {what}, which jobs of KARL do not have")
    name, positional, arguments = _called(raw.get(b"data", b""))
    known = {job.name: job for job in table.JOBS}
    if name not in known:
        raise Denied(f"{harmless(name)} is no job of KARL; nothing of that name was imported or run")
    if positional:
        raise Denied("it has arguments without a name; jobs of KARL take named ones")
    if queue not in known[name].queues:
        raise Denied(f"the job {name} does not run in the queue {queue}")
    try:
        return Asked(known[name], table.checked(known[name], arguments))
    except KarlError as error:
        raise Denied(str(error)) from None


def told(name: str, raw: Mapping[bytes, bytes]) -> JobFacts:
    """Read what a job says of itself; what makes no sense is left out."""

    def text(field: str) -> str:
        return raw.get(field.encode(), b"")[:_TEXT_MAX].decode("utf-8", "replace")

    retries = text("retries_left")
    return JobFacts(
        id=name,
        name=_name(raw),
        queue=text("origin"),
        status=text("status"),
        description=text("description"),
        created_at=text("created_at"),
        enqueued_at=text("enqueued_at"),
        started_at=text("started_at"),
        ended_at=text("ended_at"),
        worker=text("worker_name"),
        retries_left=int(retries) if re.fullmatch(r"[0-9]{1,3}", retries) else 0,
        meta=_meta(raw.get(b"meta", b"")),
        stop=raw.get(b"karl_stop") == b"1",
    )


def arguments(data: bytes) -> dict[str, Any]:
    """Read what a job was called with, for people; nothing where that makes no sense."""
    try:
        return _called(data)[2]
    except Denied:
        return {}


def harmless(text: str) -> str:
    """Give a stranger's text as it may be shown anywhere: short, with a `?` for whatever is not plain."""
    return _PLAIN.sub("?", text[:200])


def unpacked(data: bytes) -> bytes:
    """Undo zlib's compression, if there is any, up to LARGEST bytes. Raises Denied when it is more."""
    try:
        engine = zlib.decompressobj()
        plain = engine.decompress(data, LARGEST + 1)
    except zlib.error:
        plain = data
    if len(plain) > LARGEST:
        raise Denied(f"it is larger than {LARGEST >> 10} KiB")
    return plain


def _called(data: bytes) -> _Called:
    plain = unpacked(data)
    try:
        name, _instance, positional, named = msgspec.json.decode(plain, type=_Data)
    except (msgspec.DecodeError, RecursionError):
        raise Denied(
            "what it calls is no JSON of the form [name, null, [], {arguments}]; pickles are never read"
        ) from None
    return name, positional, named


def _name(raw: Mapping[bytes, bytes]) -> str:
    try:
        return _called(raw.get(b"data", b""))[0][:200]
    except Denied:
        return "?"


def _meta(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data[:LARGEST], type=dict[str, Any]) if data else {}
    except (msgspec.DecodeError, RecursionError):
        return {}

"""A follower's way to its source: one HTTP connection, kept, with bounds on time and size.

Not here: whether what came may be kept (see `copy.py`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import msgspec

from karl.errors import LedgerForked, LineDown, Refused
from karl.ledger.segments import is_segment
from karl.replica.protocol import AHEAD, PREFIX, Ahead, Asked, Listing, target_of

#: Seconds to connect, and for a piece of an answer beyond the wait that was asked for.
CONNECT_S, ANSWER_S = 5.0, 20.0
#: Bytes of the largest answer that is taken: a line may be larger than a chunk.
ANSWER_MAX = 1 << 30


class _Fork(msgspec.Struct):
    segment: str
    offset: int
    reason: str


class Client:
    """What a source says; every method raises LineDown when it can not be asked, or answers nonsense."""

    def __init__(self, url: str, token: str, *, answer_s: float = ANSWER_S) -> None:
        """Connects to nothing yet. Raises Refused for a URL that is none."""
        self._answer_s = answer_s
        self._url = check_url(url)
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            # The system's own CAs, or those that SSL_CERT_FILE names.
            verify=ssl.create_default_context() if self._url.startswith("https://") else False,
            trust_env=False,
        )

    def listing(self) -> Listing:
        """Give what the source has."""
        _, data = self._get(PREFIX, 0.0)
        try:
            listing = msgspec.json.decode(data, type=Listing)
        except msgspec.MsgspecError as error:
            raise LineDown(f"{self._url} does not answer as a ledger does: {error}") from error
        self._check_names(part.segment for part in listing.segments)
        return listing

    def ask(self, asked: Asked) -> tuple[Ahead, bytes]:
        """Give bytes from a place on, and what lies ahead. Raises LedgerForked for one that it has not."""
        headers, data = self._get(target_of(asked), asked.wait_s)
        try:
            ahead = msgspec.json.decode(headers.get(AHEAD, ""), type=Ahead)
        except msgspec.MsgspecError as error:
            raise LineDown(f"{self._url} does not answer as a ledger does: {error}") from error
        self._check_names([] if ahead.next is None else [ahead.next])
        return ahead, data

    def _check_names(self, names: Iterable[str]) -> None:
        """Refuse names that would lead out of a ledger's folder: they become files here."""
        if odd := next((name for name in names if not is_segment(name)), None):
            raise LineDown(f"{self._url} does not answer as a ledger does: {odd[:40]!r} is no segment's name")

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, target: str, wait_s: float) -> tuple[httpx.Headers, bytes]:
        try:
            timeout = httpx.Timeout(self._answer_s + wait_s, connect=CONNECT_S)
            with self._http.stream("GET", target, timeout=timeout) as answer:
                data = _bounded(answer)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise LineDown(f"no ledger can be copied from {self._url}: {why}") from error
        if answer.status_code == httpx.codes.OK:
            return answer.headers, data
        if answer.status_code == httpx.codes.CONFLICT:
            raise _fork(self._url, data)
        raise LineDown(f"no ledger can be copied from {self._url}: {_refusal(answer.status_code, data)}")


def check_url(url: str) -> str:
    """Give a source's URL without a slash at its end. Raises Refused."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    if not good:
        raise Refused(
            f"{url!r} is no source's address; it looks like http://ledger-host:8790 (KARL_LEDGER_PORT there)"
        )
    return url.rstrip("/")


def _bounded(answer: httpx.Response) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > ANSWER_MAX:
            raise httpx.DecodingError("the answer is larger than any ledger's")
        pieces.append(piece)
    return b"".join(pieces)


def _refusal(status: int, data: bytes) -> str:
    if status == httpx.codes.UNAUTHORIZED:
        return "it does not take our token; put that of its ledger.token, or its KARL_LEDGER_TOKEN, into ours"
    return f"{status} {data[:300].decode('utf-8', 'replace').strip()}"


def _fork(url: str, data: bytes) -> LedgerForked | LineDown:
    try:
        fork = msgspec.json.decode(data, type=_Fork)
    except msgspec.MsgspecError as error:
        return LineDown(f"{url} does not answer as a ledger does: {error}")
    return LedgerForked(fork.segment, fork.offset, fork.reason)

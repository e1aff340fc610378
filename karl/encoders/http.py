"""An encoder asked over HTTP, at an address that only the settings give: two dialects, bounds, a breaker.

- `single`: POST {"text": ...} gives {"embedding": [...]}, one text a request.
- `openai`: POST {"input": [...], "model": ...} gives {"data": [{"index": 0, "embedding": [...]}]}.

Invariants:
- A vector of another dimension than was asked for, of zeros, or with a number that is none, is never given.
- An answer that comes piece by piece has the same time as one that comes at once.
- After three failures in a row nothing is asked for half a minute, and then once: a service that is down
  costs its callers nothing but the first waits.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from karl.encoders.encoder import Vectors, seen, unit
from karl.errors import EncoderSilent, SettingsError

#: Tries of one request, and seconds before the second; the next wait is twice as long.
_TRIES, _WAIT_S = 3, 0.2
#: Failures in a row after which nothing is asked, for so many seconds.
_FAILURES_MAX, _OPEN_S = 3, 30.0
#: Texts in one request, and bytes of the largest answer that is taken.
_BATCH, _ANSWER_MAX = 64, 64 << 20
_DIM_MAX = 65_536
DIALECTS = ("single", "openai")


class Http:
    """The vectors of a service; `close` lets go of the connection."""

    name = "http"

    def __init__(
        self,
        url: str,
        *,
        dialect: str = "",
        model: str = "",
        token: str = "",
        dim: int = 0,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Ask for one vector where `dim` is 0, to know how long they are; else connect to nothing yet.

        Raises SettingsError for a URL or dialect that is none, EncoderSilent.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError("KARL_EMBED_URL is no URL of http or https")
        self._dialect = dialect or ("openai" if parts.path.rstrip("/").endswith("/embeddings") else "single")
        if self._dialect not in DIALECTS:
            raise SettingsError(f"KARL_EMBED_API={dialect}: expected {' or '.join(DIALECTS)}")
        self._url, self._model, self._shown = url, model, f"{parts.scheme}://{parts.hostname}"
        self._clock, self._wait, self._timeout_s = clock, wait, timeout_s
        self._failures, self._open_until = 0, 0.0
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_s,
            follow_redirects=False,  # where prompts go is the settings' to say, and nobody else's
            trust_env=False,
            verify=ssl.create_default_context() if parts.scheme == "https" else False,
        )
        where = hashlib.sha256(f"{url} {self._dialect}".encode()).hexdigest()[:8]
        self.version = f"{model or 'unnamed'}@{where}"
        self.dim = dim
        if not dim:
            try:
                self.dim = self._ask(["how many numbers"]).shape[1]
            except EncoderSilent:
                self.close()
                raise

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give float32 rows (len(texts), dim) of length 1. Raises EncoderSilent."""
        rows = [self._ask(part) for part in self._parts([seen(text) for text in texts])]
        return unit(np.vstack(rows)) if rows else np.zeros((0, self.dim), dtype=np.float32)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _parts(self, texts: list[str]) -> Iterator[list[str]]:
        size = _BATCH if self._dialect == "openai" else 1
        for start in range(0, len(texts), size):
            yield texts[start : start + size]

    def _ask(self, texts: list[str]) -> Vectors:
        """Ask once, with retries, unless the breaker is open."""
        if self._clock() < self._open_until:
            raise EncoderSilent(f"{self._shown} failed {self._failures} times; it is not asked for a while")
        try:
            rows = self._vectors(self._answer(self._body(texts)), len(texts))
        except EncoderSilent:
            self._failures += 1
            if self._failures >= _FAILURES_MAX:
                self._open_until = self._clock() + _OPEN_S
            raise
        self._failures = 0
        return rows

    def _body(self, texts: list[str]) -> dict[str, Any]:
        if self._dialect == "single":
            return {"text": texts[0]}
        return {"input": texts, **({"model": self._model} if self._model else {})}

    def _answer(self, body: dict[str, Any]) -> Any:
        why = ""
        for number in range(_TRIES):
            if number:
                self._wait(_WAIT_S * 2 ** (number - 1))
            try:
                status, data = self._post(body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                why = type(error).__name__
                continue
            if status == 200:
                return self._decoded(data)
            why = f"status {status}"
            if status not in {408, 429, 500, 502, 503, 504}:
                break  # asked again, it would say the same
        raise EncoderSilent(f"{self._shown} gave no vectors: {why}")

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        with self._http.stream("POST", self._url, json=body) as answer:
            data = bytearray()
            until = self._clock() + self._timeout_s  # the client's own limit is one between two pieces
            for piece in answer.iter_bytes():
                data += piece
                if self._clock() > until:
                    raise httpx.ReadTimeout("the answer comes too slowly")
                if len(data) > _ANSWER_MAX:
                    raise EncoderSilent(f"{self._shown} gave an answer of more than {_ANSWER_MAX >> 20} MiB")
        return answer.status_code, bytes(data)

    def _decoded(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise EncoderSilent(f"{self._shown} gave an answer that is no JSON") from None

    def _vectors(self, answer: Any, count: int) -> Vectors:
        """Read the rows of an answer, and check them."""
        try:
            if self._dialect == "single":
                rows = np.array([answer["embedding"]], dtype=np.float64)
            else:
                data = {int(one["index"]): one["embedding"] for one in answer["data"]}
                rows = np.array([data[place] for place in range(count)], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            raise EncoderSilent(f"{self._shown} does not answer as `{self._dialect}` does") from None
        if rows.ndim != 2 or not 0 < rows.shape[1] <= _DIM_MAX or not np.isfinite(rows).all():
            raise EncoderSilent(f"{self._shown} gave what are no vectors")
        if not rows.any(axis=1).all():
            raise EncoderSilent(f"{self._shown} gave a vector of zeros, which says nothing of its text")
        if self.dim and rows.shape[1] != self.dim:
            raise EncoderSilent(f"{self._shown} gave {rows.shape[1]} numbers a text instead of {self.dim}")
        largest = np.abs(rows).max(
            axis=1, keepdims=True
        )  # before float32, in which a large number is no number
        return np.asarray(rows / np.where(largest > 0, largest, 1), dtype=np.float32)

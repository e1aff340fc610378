"""A batch of texts on its way to an encoder, and its vectors on their way back, as bytes.

    texts      a JSON array of strings
    vectors    one line of JSON (encoder, version, dim, count, from_seq, to_seq), the keys, 32 bytes each, and
               the float32 numbers, little-endian, row by row

Invariants:
- Texts go there and do not come back: a vector is known by its key in the store (karl.encoders.store).
- Bytes that are not exactly such a batch are refused whole.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from karl.encoders.encoder import Vectors
from karl.errors import Unreadable

#: Texts of one batch at most.
TEXTS_MAX = 1024
_KEY, _NUMBER = 32, 4


class About(msgspec.Struct, frozen=True):
    """What a batch of vectors is: whose, how many, and of which lines of the ledger."""

    encoder: str
    version: str
    dim: int
    count: int
    from_seq: int
    to_seq: int


class Made(NamedTuple):
    """Vectors (count, dim) with the keys that they are kept by."""

    about: About
    keys: list[bytes]
    vectors: Vectors


def pack_texts(texts: list[str]) -> bytes:
    """Give the bytes of a batch of texts; halves of characters become `?`."""
    return msgspec.json.encode([text.encode("utf-8", "replace").decode() for text in texts])


def read_texts(data: bytes) -> list[str]:
    """Give the texts of a batch. Raises Unreadable."""
    try:
        texts = msgspec.json.decode(data, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"no batch of texts: {error}") from None
    if len(texts) > TEXTS_MAX:
        raise Unreadable(f"a batch of {len(texts):,} texts; there are {TEXTS_MAX:,} in one at most")
    return texts


def pack_vectors(made: Made) -> bytes:
    """Give the bytes of a batch of vectors."""
    rows = np.ascontiguousarray(made.vectors, dtype="<f4")
    return b"".join((msgspec.json.encode(made.about), b"\n", *made.keys, rows.tobytes()))


def read_vectors(data: bytes) -> Made:
    """Give a batch of vectors. Raises Unreadable."""
    line, newline, rest = data.partition(b"\n")
    try:
        about = msgspec.json.decode(line, type=About)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"no batch of vectors: {error}") from None
    if not newline or not 0 < about.count <= TEXTS_MAX or about.dim < 1:
        raise Unreadable("no batch of vectors: its first line makes no sense")
    if len(rest) != about.count * (_KEY + _NUMBER * about.dim):
        raise Unreadable(f"a batch of vectors with {len(rest):,} bytes, which is not what it says it has")
    split = about.count * _KEY
    keys = [rest[at : at + _KEY] for at in range(0, split, _KEY)]
    rows = np.frombuffer(rest, dtype="<f4", offset=split).reshape(about.count, about.dim)
    if not np.isfinite(rows).all():
        raise Unreadable("a batch of vectors with numbers that are none")
    return Made(about, keys, rows.astype(np.float32))

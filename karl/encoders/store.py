"""A store of vectors by what they were made of, shared by processes, bounded, and safe to lose.

The key of a vector is the sha256 of encoder, version and text. Files are append-only segments of slots of
one size (key, float32 numbers, CRC-32), read through a memory map; a writer holds `lock` (flock).

Invariants:
- What is given back is what was put in under that key: a slot whose checksum does not fit is not there, so a
  write torn by a killed process or a lost power supply is never read as whole.
- All segments together never hold more than the bound. What goes is the oldest segment; a vector that is
  asked for while it lies in the older half is written again first, so that what is in use stays.
- Readers wait for nobody. Deleting the folder loses time and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from karl.encoders.encoder import Encoder, Vectors, seen

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"(\d{12})-(\d{1,5})\.vectors")
_KEY = 32
#: The bound is spread over so many segments.
_SEGMENTS = 8
#: Texts that are encoded and kept together.
_AT_ONCE = 512


class _Segment:
    """One file, mapped as far as it was looked at."""

    def __init__(self, path: Path, number: int, dim: int) -> None:
        self.path, self.number, self.dim = path, number, dim
        self.size = slot_bytes(dim)
        self.known = 0
        self.slots = np.zeros((0, self.size), dtype=np.uint8)

    def news(self) -> Iterator[tuple[bytes, int]]:
        """Map what was added since, and give keys and places of what is whole. Raises OSError."""
        count = self.path.stat().st_size // self.size
        if count <= self.known:
            return
        self.slots = np.memmap(self.path, np.uint8, "r", shape=(count, self.size))
        for place in range(self.known, count):
            if (row := self.row(place)) is not None:
                yield row[:_KEY], place
        self.known = count

    def row(self, place: int) -> bytes | None:
        """Give a slot's key and numbers; null where it is not whole."""
        slot = self.slots[place].tobytes()
        body, told = slot[:-4], int.from_bytes(slot[-4:], "little")
        return body if zlib.crc32(body) == told else None


class _Place(NamedTuple):
    segment: _Segment
    slot: int


class Store:
    """Vectors on disk; one folder for any number of encoders and processes."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Open, and make the folder where it is not there. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._max = folder, max_bytes
        self._segments: dict[str, _Segment] = {}
        self._places: dict[bytes, _Place] = {}

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, Vectors]:
        """Give those of the vectors (dim) that are there."""
        if any(key not in self._places for key in keys):
            self._refresh()
        found: dict[bytes, Vectors] = {}
        for key in keys:
            if (vector := self._read(key, dim)) is not None:
                found[key] = vector
        old = self._older_half()
        worn = {key: found[key] for key in found if self._places[key].segment.path.name in old}
        if worn:
            self._write(worn, dim, again=True)
        return found

    def put(self, vectors: dict[bytes, Vectors], dim: int) -> None:
        """Keep vectors (dim) by their keys of 32 bytes; those that are there stay. Raises OSError."""
        self._write(vectors, dim, again=False)

    @property
    def held_bytes(self) -> int:
        """What all segments hold, in bytes."""
        return sum(size for _, _, size in self._listed())

    def _read(self, key: bytes, dim: int) -> Vectors | None:
        place = self._places.get(key)
        if place is None or place.segment.dim != dim:
            return None
        row = place.segment.row(place.slot)
        return np.frombuffer(row[_KEY:], dtype="<f4") if row is not None and row[:_KEY] == key else None

    def _write(self, vectors: dict[bytes, Vectors], dim: int, *, again: bool) -> None:
        each = max(1, self._max // _SEGMENTS // slot_bytes(dim))
        if slot_bytes(dim) > self._max:
            return
        with self._locked():
            self._refresh()
            slots = [
                _slot(key, vector, dim) for key, vector in vectors.items() if again or key not in self._places
            ]
            while slots:
                path, room = self._current(dim, each)
                part, slots = slots[:room], slots[room:]
                self._make_room(len(part) * slot_bytes(dim), path)
                with path.open("ab") as opened:
                    opened.write(b"".join(part))
                path.chmod(0o600)
            self._refresh()

    def _current(self, dim: int, each: int) -> tuple[Path, int]:
        """Give the segment to write to, and the slots that it has room for; a torn end is cut."""
        size = slot_bytes(dim)
        listed = self._listed()
        mine = [(number, path, held) for (number, path, held) in listed if _dim(path) == dim]
        if mine:
            _, path, held = mine[-1]
            if held % size:
                os.truncate(path, held - held % size)
            if held // size < each:
                return path, each - held // size
        number = listed[-1][0] + 1 if listed else 1
        return self._folder / f"{number:012}-{dim}.vectors", each

    def _make_room(self, more: int, keep: Path) -> None:
        """Delete the oldest segments until `more` bytes fit."""
        listed = self._listed()
        held = sum(size for _, _, size in listed)
        for _, path, size in listed:
            if held + more <= self._max:
                break
            path.unlink()
            held -= size
            if path == keep:
                break

    def _listed(self) -> list[tuple[int, Path, int]]:
        """Give number, path and bytes of the segments, the oldest first."""
        found = []
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            try:
                found.append((int(match[1]), path, path.stat().st_size))
            except FileNotFoundError:  # another process made room
                continue
        return sorted(found)

    def _older_half(self) -> set[str]:
        """Give the names of the segments that go first, once there is little room left."""
        listed = self._listed()
        half = sum(size for _, _, size in listed) - self._max // 2
        old = set()
        for _, path, size in listed[:-1]:
            half -= size
            if half < 0:
                break
            old.add(path.name)
        return old

    def _refresh(self) -> None:
        """See what other processes have added, and what they have deleted."""
        listed = {path.name: (number, path) for number, path, _ in self._listed()}
        gone = set(self._segments) - set(listed)
        if gone:
            for name in gone:
                del self._segments[name]
            self._places = {
                key: place for key, place in self._places.items() if place.segment.path.name not in gone
            }
        for name, (number, path) in listed.items():
            segment = self._segments.setdefault(name, _Segment(path, number, _dim(path)))
            try:
                for key, slot in segment.news():
                    held = self._places.get(key)
                    if held is None or held.segment.number <= number:
                        self._places[key] = _Place(segment, slot)
            except FileNotFoundError:  # made room for in this moment; the next look sees it
                continue

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Kept:
    """An encoder whose vectors are looked for in a store first."""

    def __init__(self, encoder: Encoder, store: Store) -> None:
        self._encoder, self._store = encoder, store
        self.name, self.version, self.dim = encoder.name, encoder.version, encoder.dim
        self._usable = True

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give the encoder's rows; each text is encoded once, and not again while it is in the store."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _AT_ONCE):  # what was made stays when the rest is broken off
            rows[start : start + _AT_ONCE] = self._part(texts[start : start + _AT_ONCE])
        return rows

    def close(self) -> None:
        """Let go of what the encoder holds."""
        getattr(self._encoder, "close", lambda: None)()

    def _part(self, texts: Sequence[str]) -> Vectors:
        keys = [key_of(self.name, self.version, text) for text in texts]
        known = self._known(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = dict(zip(missing, self._encoder.encode(list(missing.values())), strict=True))
            self._keep(made)
            known |= made
        return np.vstack([known[key] for key in keys])

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        try:
            return self._store.get(keys, self.dim) if self._usable else {}
        except OSError as error:
            self._give_up(error)
            return {}

    def _keep(self, made: dict[bytes, Vectors]) -> None:
        try:
            if self._usable:
                self._store.put(made, self.dim)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Go on without the store: a full disk makes encoding slow, and does not end it."""
        self._usable = False
        _LOG.warning("vectors are not kept any more: %s", error)


def key_of(name: str, version: str, text: str) -> bytes:
    """Give the key of a text's vector."""
    parts = [part.encode("utf-8", "replace") for part in (name, version, seen(text))]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


def slot_bytes(dim: int) -> int:
    """Give the bytes that one vector takes."""
    return _KEY + 4 * dim + 4


def _dim(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None  # it was listed by this pattern
    return int(match[2])


def _slot(key: bytes, vector: Vectors, dim: int) -> bytes:
    if len(key) != _KEY or vector.shape != (dim,):
        raise ValueError(f"a key of {len(key)} bytes and a vector of {vector.shape}, not {_KEY} and {dim}")
    body = key + vector.astype("<f4").tobytes()
    return body + zlib.crc32(body).to_bytes(4, "little")

"""A manifest as bytes, its id, and what a data set's files must be to be what it says.

Invariants:
- The id of an export is the sha256 of its manifest.json; the same manifest always gives the same bytes, also
  one that was read from a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from karl.errors import Refused, Unreadable
from karl.schema.learning import FileMade, Manifest

#: What a manifest is called inside its folder; the rows to train and to validate with; those to judge by.
NAME = "manifest.json"
TRAIN, VALID, HELD = "train.jsonl", "valid.jsonl", "heldout.jsonl"
#: The parts of a data set that a training uses: it learns from one and chooses its checkpoint by the other.
PARTS = ("train", "valid")
#: The form that this version writes and reads.
FORM = 1

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Manifest).decode


def as_bytes(manifest: Manifest) -> bytes:
    """Give what manifest.json holds."""
    return msgspec.json.format(_encode(manifest), indent=2) + b"\n"


def id_of(manifest: Manifest) -> str:
    """Give the export's id: 64 hexadecimal digits."""
    return sha256(as_bytes(manifest)).hexdigest()


def read(data: bytes, where: str) -> Manifest:
    """Read manifest.json. Raises Unreadable for what is none, and for what was changed."""
    try:
        manifest = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{where} is no manifest of a data set: {error}") from None
    if manifest.form != FORM:
        raise Unreadable(f"{where} has form {manifest.form}, this version of KARL reads form {FORM}")
    if as_bytes(manifest) != data:
        raise Unreadable(f"{where} was changed after it was written")
    return manifest


def compare(manifest: Manifest, found: Mapping[str, FileMade], where: str) -> None:
    """Hold a folder's files (size and sha256; rows are not counted) against its manifest. Raises Refused."""
    for name, made in sorted(manifest.files.items()):
        here = found.get(name)
        if here is None:
            raise Refused(f"{where} lacks {name}: the data set is not whole; export it again")
        if (here.bytes, here.sha256) != (made.bytes, made.sha256):
            raise Refused(
                f"{where}/{name} is not what the manifest says ({here.bytes:,} bytes, sha256 "
                f"{here.sha256[:12]}…; it says {made.bytes:,}, {made.sha256[:12]}…); export it again"
            )

"""A router as bytes and back: a zip of numpy arrays (an .npz), and never a pickle.

One array, `header`, is JSON: the form's version, the encoder, the skills, the rejection, and the checksum of
all other arrays. The same router gives the same bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.errors import Unreadable
from karl.routing import heads
from karl.routing.reject import Rejection
from karl.routing.router import Router

#: The form of the file; an earlier one is read too. Form 1: no `mixed`, hybrids without habits.
VERSION = 2
_HASH = 32


class _Header(msgspec.Struct):
    version: int
    encoder: str
    encoder_version: str
    skills: tuple[str, ...]
    head: str
    weight: float
    fit_min: float | None
    log_chance_min: float | None
    calibrated_by: int
    kept: float
    right: float
    checksum: str


def dumps(router: Router) -> bytes:
    """Give the bytes of a router."""
    hashes = np.frombuffer(bytes.fromhex("".join(router.exemplars)), dtype=np.uint8).reshape(-1, _HASH)
    arrays: dict[str, NDArray[np.generic]] = {**router.head.arrays(), "exemplars": hashes}
    arrays["centre"] = router.centroid.matrix
    learned = router.rejection
    header = _Header(
        VERSION,
        router.encoder,
        router.encoder_version,
        router.skills,
        router.head.name,
        learned.weight,
        _told(learned.fit_min),
        _told(learned.log_chance_min),
        learned.exemplars,
        learned.kept,
        learned.right,
        _checksum(arrays),
    )
    arrays["header"] = np.frombuffer(msgspec.json.encode(header), dtype=np.uint8)
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # np.savez would do, but takes no order and no date
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy")
            array = BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(entry, array.getvalue())
    return file.getvalue()


def loads(data: bytes) -> Router:
    """Give the router of some bytes. Raises Unreadable where they are damaged, or of a later form."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = msgspec.json.decode(arrays.pop("header").tobytes(), type=_Header)
        if not 1 <= header.version <= VERSION:
            raise Unreadable(f"a router of form {header.version}; this KARL reads forms up to {VERSION}")
        if _checksum(arrays) != header.checksum:
            raise Unreadable("a router whose arrays are not those that were written")
        head = heads.restored(header.head, arrays)
        centre = heads.Centroid(arrays["centre"])
        exemplars = tuple(row.tobytes().hex() for row in arrays["exemplars"])
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise Unreadable(f"no router: {error}") from None
    learned = Rejection(
        header.weight,
        _read(header.fit_min),
        _read(header.log_chance_min),
        header.calibrated_by,
        header.kept,
        header.right,
    )
    return Router(header.encoder, header.encoder_version, header.skills, head, centre, learned, exemplars)


def _told(threshold: float) -> float | None:
    return threshold if np.isfinite(threshold) else None  # JSON has no word for endless


def _read(threshold: float | None) -> float:
    return -np.inf if threshold is None else threshold


def _checksum(arrays: dict[str, NDArray[np.generic]]) -> str:
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        whole.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()

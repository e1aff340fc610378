"""What every encoder is: a name, a version, a number of dimensions, and texts to unit vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from karl.errors import EncoderMissing

#: Rows of float32, one a text; (texts, dim).
Vectors = NDArray[np.float32]

#: Characters of a text that are looked at; a longer one says what it wants at its beginning.
TEXT_MAX = 4000


class Encoder(Protocol):
    """Makes vectors of texts. The same name, version and text give the same vector, on every machine."""

    @property
    def name(self) -> str:
        """What it is called, such as `minilm`."""

    @property
    def version(self) -> str:
        """What makes its vectors what they are: another version's are not to be compared with them."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give float32 rows (len(texts), dim) of length 1; a text that says nothing may give zeros."""


def unit(rows: Vectors) -> Vectors:
    """Give rows of length 1; a row of zeros, or with a number that is none, becomes zeros."""
    finite = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0).astype(np.float64)
    lengths = np.sqrt((finite**2).sum(axis=1, keepdims=True))
    return np.asarray(finite / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def seen(text: str) -> str:
    """Give what an encoder looks at: the beginning of the text, without halves of characters."""
    return text[:TEXT_MAX].encode("utf-8", "replace").decode("utf-8")


def package_folder(package: str, encoder: str, brings: str) -> Path:
    """Give the folder of a package without importing it. Raises EncoderMissing naming what brings it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EncoderMissing(f"the encoder {encoder} needs the package {package}: pip install '{brings}'")
    return Path(spec.origin).parent


def digest(files: Iterable[Path]) -> str:
    """Give 12 hex digits that say which bytes an encoder is made of. Raises OSError."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()[:12]

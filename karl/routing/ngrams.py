"""Character n-grams of a text, hashed to a bounded number of columns: what the words look like.

A word is taken with a space on both sides; its runs of 2, 3 and 4 characters, and the word whole, are its
grams. A gram's column is a checksum of its bytes, so nothing has to be kept of the vocabulary but the weights
of its columns. (tf-idf as in Salton and Buckley 1988, with the logarithm of the count; hashing as in
Weinberger et al. 2009.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

#: Columns that grams are hashed to.
COLUMNS = 4096
_LENGTHS = (2, 3, 4)
#: Characters of a text, and of a word, whose grams count.
_TEXT_MAX, _WORD_MAX = 1000, 24
_WORD = re.compile(r"\w+|[^\w\s]")


class Sparse(NamedTuple):
    """Rows that are mostly zero: `starts[i]` is where row i begins in `columns` and `values`."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.starts) - 1


@lru_cache(maxsize=65_536)
def _columns(word: str) -> tuple[int, ...]:
    padded = f" {word[:_WORD_MAX]} "
    grams = [
        padded[at : at + length] for length in _LENGTHS for at in range(max(1, len(padded) - length + 1))
    ]
    return tuple(crc32(gram.encode("utf-8", "replace")) % COLUMNS for gram in [*grams, padded])


def counts(text: str) -> dict[int, int]:
    """Give how often each column is in a text."""
    found: Counter[int] = Counter()
    for word, often in Counter(_WORD.findall(text[:_TEXT_MAX].lower())).items():
        for column in _columns(word):
            found[column] += often
    return found


def sparse(texts: Sequence[str]) -> Sparse:
    """Give a row a text, its values 1 + log(count), not yet weighted."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    columns: list[int] = []
    values: list[int] = []
    for place, text in enumerate(texts):
        found = counts(text)
        ordered = sorted(found)
        columns += ordered
        values += [found[column] for column in ordered]
        starts[place + 1] = len(columns)
    often = np.array(values, dtype=np.float32)
    return Sparse(starts, np.array(columns, dtype=np.int64), 1 + np.log(np.maximum(often, 1)))


def rarity(rows: Sparse) -> NDArray[np.float32]:
    """Give each column's weight: the logarithm of how few of the rows have it, smoothed, plus 1."""
    held = np.bincount(rows.columns, minlength=COLUMNS)
    return np.asarray(np.log((1 + rows.size) / (1 + held)) + 1, dtype=np.float32)


def weighted(rows: Sparse, weights: NDArray[np.float32]) -> Sparse:
    """Give the rows with their columns weighted, each of length 1; an empty row stays empty."""
    values = rows.values * weights[rows.columns]
    of = np.repeat(np.arange(rows.size), np.diff(rows.starts))
    lengths = np.sqrt(np.bincount(of, weights=values.astype(np.float64) ** 2, minlength=rows.size))
    return rows._replace(values=np.asarray(values / np.where(lengths > 0, lengths, 1)[of], np.float32))


def folded(rows: Sparse, width: int) -> Sparse:
    """Give the rows in fewer columns; what falls together is summed."""
    of = np.repeat(np.arange(rows.size), np.diff(rows.starts))
    places, first = np.unique(of * width + rows.columns % width, return_inverse=True)
    values = np.bincount(first, weights=rows.values, minlength=len(places))
    starts = np.searchsorted(places, np.arange(rows.size + 1) * width)
    return Sparse(starts.astype(np.int64), places % width, values.astype(np.float32))


def dense(rows: Sparse, start: int, stop: int, width: int = COLUMNS) -> NDArray[np.float32]:
    """Give rows start to stop as a whole matrix (stop - start, width)."""
    matrix = np.zeros((stop - start, width), dtype=np.float32)
    part = slice(rows.starts[start], rows.starts[stop])
    of = np.repeat(np.arange(stop - start), np.diff(rows.starts[start : stop + 1]))
    matrix[of, rows.columns[part]] = rows.values[part]
    return matrix


def times(rows: Sparse, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give rows @ matrix, for a matrix (COLUMNS or fewer, n), into whose rows columns fold; (rows, n)."""
    result = np.zeros((rows.size, matrix.shape[1]), dtype=np.float32)
    columns = rows.columns % len(matrix)
    for place in range(rows.size):
        part = slice(rows.starts[place], rows.starts[place + 1])
        if part.stop > part.start:
            result[place] = product(rows.values[None, part], matrix[columns[part]])
    return result


def product(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give rows @ matrix, (n, m).

    One row alone goes without the threads of numpy's libraries: on a busy machine they wait for each other
    a thousand times longer than the product takes.
    """
    if len(rows) == 1:
        return np.asarray(np.einsum("i,ij->j", rows[0], matrix)[None])
    return np.asarray(rows @ matrix)


def chosen(rows: Sparse, places: NDArray[np.intp]) -> Sparse:
    """Give some of the rows, in the order of their places."""
    lengths = np.diff(rows.starts)[places]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + np.repeat(rows.starts[places], lengths)
    return Sparse(starts, rows.columns[within], rows.values[within])

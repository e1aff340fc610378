"""Rows as Parquet, flat columns for analysis; pyarrow is the extra `parquet`.

The same rows give the same bytes with the same version of pyarrow: nothing in a file says when it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from karl.errors import KarlError
from karl.export.forms import parquet as columns_of
from karl.learning.row import Row

#: Rows of one group: what memory holds of a file.
_GROUP = 1000


def needed() -> None:
    """Raises KarlError where pyarrow is not there."""
    _arrow()


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write rows; gives how many."""
    pa, pq = _arrow()
    written = 0
    with pq.ParquetWriter(path, _schema(pa), compression="zstd") as writer:
        left = iter(rows)
        while made := [columns_of(row) for row in islice(left, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(made, schema=_schema(pa)))
            written += len(made)
    return written


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of a file as columns."""
    _, pq = _arrow()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_GROUP):
            yield from batch.to_pylist()


def _schema(pa: Any) -> Any:
    texts = ("trajectory", "session", "project", "agent")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in ("turn", "step", "time_ms")),
            *((name, pa.string()) for name in ("tool", "target", "previous")),
            *((name, pa.bool_()) for name in ("failed", "corrected")),
            *((name, pa.float64()) for name in ("reward", "advantage")),
            ("synthetic", pa.bool_()),
            ("weight", pa.float64()),
            *((name, pa.string()) for name in ("answer", "messages", "tools")),
        ]
    )


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise KarlError(
            "Parquet needs pyarrow, the extra `parquet`: pip install 'karl-ledger[parquet]'"
        ) from None
    return pa, pq

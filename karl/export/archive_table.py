"""All rows in one Parquet file, for analysis: an archive, without parts and weights, also of what failed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from karl.errors import NotFound
from karl.export import parquet
from karl.export.archive import Report
from karl.export.clean import Cleaner
from karl.export.forms import row_of
from karl.export.gather import Gatherer
from karl.export.options import DataSetOptions
from karl.export.output import whole_file
from karl.export.selection import Progress, Selection, without
from karl.export.spill import Spill
from karl.views.lineage import Lineage
from producers.redact import Redactor


def export_table(
    views: Path,
    ledger: Path,
    how: DataSetOptions,
    output: Path,
    progress: Progress,
    *,
    force: bool,
    with_held_out: bool,
) -> Report:
    """Write the rows of what is chosen. Raises NotFound when nothing is, Refused for what is there."""
    cleaner = Cleaner(Redactor())
    with Lineage(views) as opened, whole_file(output, force=force) as file:
        held_out = frozenset[str]() if with_held_out else opened.held_out()
        selection = Selection(opened, ledger, how.choice, cleaner, without(held_out))
        with Spill(output.with_name(f".{output.name}.rows.partial")) as spill:
            gathered = Gatherer(how, selection, cleaner, None).gather(spill, progress)
            if not len(spill):
                raise NotFound("no step fits; `karl sessions` lists what there is")
            parquet.write(Path(file.name), (row_of(spill.read(at)) for at in range(len(spill))))
        size = Path(file.name).stat().st_size
    counts = gathered.counts
    return Report(
        "parquet",
        str(output),
        sessions=counts["sessions"],
        trajectories=counts["trajectories"],
        documents=counts["rows found"],
        calls=counts["calls"],
        bytes=size,
        files=1,
        left_out={reason: number for reason, number in gathered.left_out.items() if number},
        redactions=dict(cleaner.counts),
    )


def archived(how: DataSetOptions) -> DataSetOptions:
    """Give the options of such a file: all steps, nothing weighted."""
    return msgspec.structs.replace(how, format="parquet", weights="none", mask=False)

"""docs/metrics.md, made from the table: what is told, by whom, and what it means."""

from __future__ import annotations

from karl.metrics.metric import Metric
from karl.metrics.table import METRICS, told_by

#: The processes in the order of the line, with the words that start them.
PROCESSES = {
    "ship": "karl ship",
    "sessions": "karl worker sessions",
    "ledger": "karl worker ledger",
    "views": "karl worker views",
    "follow": "karl worker follow",
    "jobs": "karl worker jobs",
    "up": "karl up",
}

_ABOUT = """\
Every process of the line tells how it does at `http://127.0.0.1:PORT/metrics`, in the text format of
Prometheus or as OpenMetrics. It is off until `KARL_METRICS_PORT` names a port;
[operations.md](operations.md#metrics) shows how to scrape it, and `deploy/prometheus/` has alerts and a
dashboard.

- Counters begin at 0 with their process and never fall while it lives; histograms have buckets in seconds.
- Labels are of bounded sets: partitions, rules of redaction, causes. No session, path or text is ever one.
- `karl_lag_entries`, `karl_pending_entries` and `karl_dead_letters_waiting` are told by the worker that holds
  the partition: add them up over all workers. `karl_lag_records` is told by the writer and by its standby,
  each for the whole line: take the larger.
- What waits in Redis is asked for when somebody looks, at most every three seconds, in one round trip. A
  server that does not answer leaves those figures out, and `karl_redis_up` is 0.
- Memory, processor time, open files and the start of each process are there as `process_*`.
"""


def page() -> str:
    """Give the page."""
    parts = ["# Metrics\n", "<!-- Made by `make docs` from the code; edit that instead. -->\n", _ABOUT]
    parts.append(_section("Every process", [row for row in METRICS if not row.of]))
    shared = [row for row in METRICS if len(row.of) > 1]
    parts.append(_section("Several", shared, whose=True))
    for process, command in PROCESSES.items():
        parts.append(_section(f"`{command}`", [row for row in told_by(process) if row.of == {process}]))
    return "\n".join(parts)


def _section(title: str, rows: list[Metric], *, whose: bool = False) -> str:
    head = (
        "| metric | type | labels | meaning |"
        if not whose
        else "| metric | type | labels | told by | meaning |"
    )
    lines = [f"## {title}\n", head, "|---" * head.count(" | ") + "|---|"]
    for row in rows:
        cells = [f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels) or "-"]
        cells += [", ".join(name for name in PROCESSES if name in row.of)] if whose else []
        lines.append(f"| {' | '.join([*cells, row.meaning])} |")
    return "\n".join([*lines, ""])

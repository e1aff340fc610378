"""Event files as an orchestration gateway writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Log:
    """Writes envelopes to a folder's files; `seq` counts on from what it is set to."""

    def __init__(self, folder: Path, day: str = "2026-06-03") -> None:
        self.folder = folder
        self.day = day
        self.seq = 0
        self.clock = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        return self.folder / f"events-{self.day}.jsonl"

    def line(self, kind: str, flow: str | None = "nightly", step: int | None = None, **fields: Any) -> bytes:
        """Make one line. `at` is its second of the day, `seq` its number, null for none."""
        self.seq += 1
        self.clock = at = fields.pop("at", self.clock + 1)
        made: dict[str, Any] = {"seq": fields.pop("seq", self.seq)}
        made["ts"] = f"{self.day}T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z"
        made |= {"type": kind, "flow_id": flow, "step_idx": step, "payload": fields}
        return json.dumps({key: value for key, value in made.items() if value is not None}).encode() + b"\n"

    def write(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def start(self, flow: str = "nightly", **fields: Any) -> None:
        self.write(self.line("flow:start", flow, trigger_kind="cron", **fields))

    def step(self, number: int, flow: str = "nightly", *, kind: str = "captain_ask", **end: Any) -> None:
        self.write(self.line("step:start", flow, number, step_kind=kind))
        self.write(self.line("step:complete", flow, number, step_kind=kind, **({"ok": True} | end)))

    def complete(self, flow: str = "nightly", **fields: Any) -> None:
        self.write(self.line("flow:complete", flow, **({"first_error": None} | fields)))

    def flow(self, flow: str = "nightly", steps: int = 2) -> None:
        self.start(flow)
        for number in range(steps):
            self.step(number, flow)
        self.complete(flow)

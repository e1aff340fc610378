"""docs/export.md shows what the commands in it print; UPDATE_GOLDEN=1 writes it anew."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

from tests.cli.running import karl
from tests.conftest import ROOT
from tests.export.telling import folded, recorded

PAGE = ROOT / "docs" / "export.md"
EVENTS = ROOT / "tests" / "golden" / "export" / "events.jsonl"
WIDTH = 120
_EXAMPLE = re.compile(r"(<!-- karl (?P<command>[^>:]*) -->\n```json\n).*?(```\n)", re.DOTALL)
#: The first row of a data set, or its manifest.
_OF_A_SET = re.compile(
    r"(<!-- karl (?P<command>[^>:]*): (?P<file>[\w.]+) -->\n```json\n).*?(```\n)", re.DOTALL
)


def pretty(value: Any, indent: int = 0) -> str:
    """JSON in which what fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or indent + len(flat) <= WIDTH:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"{inner}{pretty(item, indent + 2)}" for item in value) + f"\n{inner[2:]}]"
    parts = (f"{inner}{json.dumps(key)}: {pretty(item, indent + 2)}" for key, item in value.items())
    return "{\n" + ",\n".join(parts) + f"\n{inner[2:]}}}"


def test_the_examples_are_what_the_commands_print(tmp_path: Path) -> None:
    data = recorded(tmp_path, folded(EVENTS.read_bytes().splitlines()))

    def printed(match: re.Match[str]) -> str:
        result = karl(data, *shlex.split(match["command"]))
        assert result.exit_code == 0, result.output
        return f"{match[1]}{pretty(json.loads(result.stdout))}\n{match[3]}"

    def of_a_set(match: re.Match[str]) -> str:
        folder = tmp_path / "set"
        words = [str(folder) if word == "DIR" else word for word in shlex.split(match["command"])]
        result = karl(data, *words)
        assert result.exit_code == 0, result.output + repr(result.exception)
        text = (folder / match["file"]).read_text()
        first = json.loads(text if match["file"] == "manifest.json" else text.splitlines()[0])
        if "ledger" in first:
            first["ledger"]["head"] = "…"  # each ledger has its own
        return f"{match[1]}{pretty(first)}\n{match[4]}"

    page = PAGE.read_text()
    assert len(_EXAMPLE.findall(page)) == 4
    assert len(_OF_A_SET.findall(page)) == 2
    made = _OF_A_SET.sub(of_a_set, _EXAMPLE.sub(printed, page))
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(made)
    assert PAGE.read_text() == made

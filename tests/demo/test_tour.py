"""The README's tour: each command is run on the demo's data, and prints what the page says.

Times, sizes and ids differ from run to run and are not compared; an id that a later command names is
taken from what the commands before it printed. `UPDATE_GOLDEN=1` writes what is printed now into the page.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from karl.demo.report import DemoReport
from tests.cli.running import KARL
from tests.conftest import ROOT

PAGE = ROOT / "README.md"
ID = re.compile(
    r"traj_[0-9a-f]{8,16}|ev[0-9a-f]{22}|[0-9a-f]{64}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}(?:-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?|\b[0-9a-f]{8}\b"
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
AMOUNT = re.compile(r"\bnow\b|[+-]?\d[\d,.:]*(?: (?:ms|s|m|h|d|min|bytes|k|M)\b)?")
WHERE, NODE = "/home/dev", "vm"


class Step(NamedTuple):
    """A command of the tour, and what the page says it prints."""

    command: str
    printed: str


def steps(text: str) -> Iterator[Step]:
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield Step(command, printed)


def masked(printed: str) -> list[str]:
    found = []
    for line in printed.splitlines():
        same = AMOUNT.sub("0", MOMENT.sub("TIME", ID.sub("ID", line)))
        found.append(" ".join(re.sub(r"[ ─]+", " ", same).split()))
    return found


class Tour:
    """The commands one after the other, in the folder of the demo's data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: dict[str, str] = {}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        self._environ = {
            **clean, "PATH": f"{KARL.parent}:{os.environ['PATH']}", "KARL_DATA_DIR": str(folder / "data")
        }  # fmt: skip

    def run(self, step: Step) -> Step:
        """Run a command of the page with the ids of this run; gives it as the page would have to say it."""
        command = ID.sub(lambda found: self._of_now(found[0]), step.command)
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=self._folder.parent, env=self._environ,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        printed = "".join(
            f"{line.rstrip()}\n" for line in self._elsewhere(done.stdout + done.stderr).splitlines()
        )
        for old, new in zip(ID.findall(step.printed), ID.findall(printed), strict=False):
            if len(old) == len(new):
                self._ids.setdefault(old, new)
        return Step(command, printed)

    def _elsewhere(self, printed: str) -> str:
        """Put another folder and machine in the place of the test's; what stands in columns stays there."""
        here = str(self._folder.parent)
        printed = re.sub(rf"( on |shop +){re.escape(socket.gethostname())}\b", rf"\1{NODE}", printed)
        padding = " " * (len(here) - len(WHERE))
        columns = re.sub(re.escape(here) + r"(\S*)(?=  )", lambda found: WHERE + found[1] + padding, printed)
        return columns.replace(here, WHERE)

    def _of_now(self, name: str) -> str:
        for old, new in self._ids.items():
            if old.startswith(name):
                return new[: len(name)]
        return name


def test_the_tour_prints_what_the_page_says(report: DemoReport, folder: Path) -> None:
    assert report.ok
    text, tour = PAGE.read_text(), Tour(folder)
    told = list(steps(text))
    assert len(told) >= 6
    now = [tour.run(step) for step in told]
    assert [step for step in now if step.printed.startswith("karl:")] == []
    if os.environ.get("UPDATE_GOLDEN") == "1":
        for old, new in zip(told, now, strict=True):
            text = text.replace(f"$ {old.command}\n{old.printed}", f"$ {new.command}\n{new.printed}", 1)
        PAGE.write_text(text)
        pytest.skip("the page was written")
    for old, new in zip(told, now, strict=True):
        assert masked(new.printed) == masked(old.printed), f"`{new.command}` prints something else"

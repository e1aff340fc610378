"""Machines for a test: network namespaces with a switch between them, as seen by whoever tries the line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.machines.switch import address

ROOT = Path(__file__).resolve().parents[2]


class NoNamespaces(Exception):
    """Raised where this machine lets us make no network; the message says why."""


class Network:
    """Machines by name, each with an address of its own; closing it leaves nothing behind."""

    def __init__(self, nodes: Sequence[str], seed: int = 1) -> None:
        self.nodes = tuple(nodes)
        if sys.platform != "linux":
            raise NoNamespaces("network namespaces are Linux's")
        self._lab = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.machines.lab", str(seed), *nodes],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            self._told()
        except OSError as error:
            self.close()
            raise NoNamespaces(f"no network namespaces here: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def address(self, node: str) -> str:
        """Give a machine's IP address."""
        return address(self.nodes.index(node))

    def start(self, name: str, node: str, words: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
        """Start a program on a machine; gives its process id."""
        asked = {"name": name, "node": node, "words": list(words), "environ": dict(environ), "log": str(log)}
        return int(self._ask("start", **asked))

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        self._ask("signal", name=name, number=int(number))

    def codes(self) -> dict[str, int | None]:
        """Give each program's exit code, null while it runs."""
        told: dict[str, int | None] = self._ask("codes")
        return told

    def counted(self) -> dict[str, int]:
        """Give how many packets were carried and lost."""
        told: dict[str, int] = self._ask("counted")
        return told

    def way(self, source: str, target: str, **rules: Any) -> None:
        """Set how packets fare from one machine to another: `cut`, `loss`, `delay_s`, `rate`."""
        self._ask("way", source=source, target=target, **rules)

    def between(self, one: str, other: str, **rules: Any) -> None:
        """Set that in both directions."""
        self.way(one, other, **rules)
        self.way(other, one, **rules)

    def cut(self, one: str, others: Iterable[str] = ()) -> None:
        """Cut a machine off from others; from all of them when none is named."""
        for other in others or self.nodes:
            if other != one:
                self.between(one, other, cut=True)

    def everywhere(self, **rules: Any) -> None:
        """Set the rules of every way."""
        for source, target in permutations(self.nodes, 2):
            self.way(source, target, **rules)

    def heal(self) -> None:
        """Let every packet through again."""
        self._ask("heal")

    def close(self) -> None:
        """End every program and the network."""
        for pipe in (self._lab.stdin, self._lab.stdout):
            if pipe and not pipe.closed:
                pipe.close()
        try:
            self._lab.wait(30)
        except subprocess.TimeoutExpired:
            self._lab.kill()  # the programs die with it
            self._lab.wait()

    def kill(self) -> None:
        """Let the process that holds the machines die."""
        self._lab.kill()
        self.close()

    def _ask(self, what: str, **more: Any) -> Any:
        assert self._lab.stdin
        self._lab.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        self._lab.stdin.flush()
        return self._told()

    def _told(self) -> Any:
        assert self._lab.stdout
        line = self._lab.stdout.readline()
        told = json.loads(line or b'{"error": "the lab ended"}')
        if "error" in told:
            raise OSError(told["error"])
        return told["ok"]

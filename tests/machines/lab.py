"""The process that holds the machines: their network, and every program that runs on them.

    python -m tests.machines.lab SEED NODE...

It takes one JSON object a line and answers each with one. When its input closes, or it dies, the programs
die with it, and the namespaces go with the last of them: nothing is left on the machine.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from tests.machines.switch import CLONE_NEWNET, Node, Switch, Way, become_root, call

_PR_SET_PDEATHSIG = 1
_ENDING_S = 10.0


class Lab:
    """Nodes, their programs, and the switch between them."""

    def __init__(self, seed: int, names: list[str]) -> None:
        become_root()
        call(
            "unshare", CLONE_NEWNET
        )  # nobody but root of the whole machine could come back to the one we are in
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._names = names
        self._switch = Switch([Node(at, self._home) for at in range(len(names))], random.Random(seed))
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._waiting = selectors.DefaultSelector()
        for at, node in enumerate(self._switch.nodes):
            self._waiting.register(node.device, selectors.EVENT_READ, at)
        self._waiting.register(0, selectors.EVENT_READ, None)
        self._heard = b""

    def run(self) -> None:
        """Carry packets and obey, until the input closes."""
        try:
            while True:
                for key, _ in self._waiting.select(self._switch.deliver()):
                    if key.data is not None:
                        self._switch.take(key.data)
                    elif not self._listen():
                        return
        finally:
            for program in self._programs.values():
                program.kill()
            for program in self._programs.values():
                program.wait(_ENDING_S)

    def _listen(self) -> bool:
        heard = os.read(0, 65_536)
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            try:
                told = {"ok": getattr(self, f"do_{asked.pop('do')}")(**asked)}
            except (OSError, LookupError, ValueError) as error:
                told = {"error": repr(error)}
            os.write(1, json.dumps(told).encode() + b"\n")
        return bool(heard)

    def do_start(self, name: str, node: str, words: list[str], environ: dict[str, str], log: str) -> int:
        """Start a program on a node, what it says going to a file; gives its process id."""
        if name in self._programs and self._programs[name].poll() is None:
            raise ValueError(f"{name} runs already")
        parent = os.getpid()

        def die_with_us() -> None:
            call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        call("setns", self._switch.nodes[self._names.index(node)].namespace, CLONE_NEWNET)
        try:
            with Path(log).open("ab") as said:
                self._programs[name] = subprocess.Popen(
                    words, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                    preexec_fn=die_with_us,  # noqa: PLW1509 - this process has one thread
                )  # fmt: skip
        finally:
            call("setns", self._home, CLONE_NEWNET)
        return self._programs[name].pid

    def do_signal(self, name: str, number: int) -> None:
        """Send a signal to a program."""
        self._programs[name].send_signal(number)

    def do_codes(self) -> dict[str, int | None]:
        """Give the exit code of each program; null while it runs."""
        return {name: program.poll() for name, program in self._programs.items()}

    def do_way(self, source: str, target: str, **rules: Any) -> None:
        """Set the rules of one way."""
        self._switch.ways[self._names.index(source), self._names.index(target)] = Way(**rules)

    def do_heal(self) -> None:
        """Let every packet through again."""
        self._switch.ways.clear()

    def do_counted(self) -> dict[str, int]:
        """Give the number of packets by what became of them."""
        return dict(self._switch.counted)


def main(arguments: list[str]) -> NoReturn:
    """Build the machines and run; the first line says whether that went well."""
    seed, *names = arguments
    try:
        lab = Lab(int(seed), names)
    except OSError as error:
        os.write(1, json.dumps({"error": str(error)}).encode() + b"\n")
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever holds our input decides
    os.write(1, b'{"ok": "ready"}\n')
    lab.run()
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

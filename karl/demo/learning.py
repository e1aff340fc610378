"""From a ledger to an adapter, with the commands that a user would type, in a folder of its own.

    python -m karl.demo.learning train     import, hold out, export, train, judge, generate: `make train-demo`
    python -m karl.demo.learning lift      the same, with the whole evaluation: `make eval-lift`

The sessions are those of --sessions, else those that KARL_TEST_DATA names, else made up (karl.demo.made_up).
Every command is printed as it is run; what runs beside it ends with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from karl.demo import made_up
from karl.demo.line import Line
from karl.demo.tools import clean_environ
from karl.jobs import listing
from karl.process import leaving_in_order
from karl.settings import read_settings
from workers.line import on_jobs

NODE = "trainer"
#: Made-up sessions, where there are no others.
_MADE_UP = 120
#: Seconds between two looks for the worker, for it to come, and to end.
_LOOK_S, _START_S, _STOP_S = 0.2, 240.0, 60.0
_REAL = "fixtures.tar.xz"
#: The formats of `karl import` by the folder of real sessions that has them.
_FORMATS = {"claude-code": "claude", "codex": "codex", "copilot": "copilot"}


class Plan(NamedTuple):
    """How much is done. `seeds` adapters are trained in each arm, `items` next actions judged."""

    iters: int
    seeds: int
    items: int


TRAIN = Plan(iters=40, seeds=1, items=40)
LIFT = Plan(iters=40, seeds=5, items=70)


class Session:
    """A folder with a ledger, a running line, and a terminal in which commands are typed."""

    def __init__(self, folder: Path, models: Path, stack: ExitStack) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(models)
        self._variables = {
            "KARL_DATA_DIR": str(folder / "data"),
            "KARL_NODE": NODE,
            "KARL_GPU_NODE": NODE,
            "KARL_IDLE_TIMEOUT_S": "5",
        }
        self._environ = {**clean_environ(os.environ), **self._variables}
        self.line = stack.enter_context(Line(os.environ, self._variables, folder / "line.log"))
        stack.callback(self._end)
        self._worker: subprocess.Popen[bytes] | None = None

    def karl(self, *words: str, may_fail: bool = False) -> int:
        """Type a command, and see what it says; where it fails and should not, all ends with its status."""
        print(f"\n$ karl {' '.join(words)}", flush=True)  # noqa: T201 - this is a terminal's program
        command = [sys.executable, "-P", "-m", "karl.cli", *words]
        status = subprocess.run(command, check=False, env=self._environ).returncode
        if status and not may_fail:
            sys.exit(status)
        return status

    def work(self) -> None:
        """Start the worker of the training node; it ends with us."""
        print("\n$ karl worker jobs train &", flush=True)  # noqa: T201 - as above
        log = (self.folder / "worker.log").open("wb")
        self._worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "karl.cli", "worker", "jobs", "train"],
            env=self._environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        settings = read_settings(self._variables)
        until = time.monotonic() + _START_S
        with on_jobs(settings, "karl-demo") as redis:
            while not listing.workers(redis, "train"):
                if self._worker.poll() is not None or time.monotonic() > until:
                    sys.exit(f"the worker did not start: {self.folder / 'worker.log'} says why")
                time.sleep(_LOOK_S)

    def _end(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            self._worker.terminate()
            try:
                self._worker.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                self._worker.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Play it from beginning to end."""
    asked = _parser().parse_args(arguments)
    plan = LIFT if asked.what == "lift" else TRAIN
    plan = plan._replace(
        iters=asked.iters or plan.iters, seeds=asked.seeds or plan.seeds, items=asked.items or plan.items
    )
    started = time.monotonic()
    folder, models = asked.folder.absolute(), asked.models.absolute()
    if (folder / "data").exists():
        sys.exit(f"{folder} holds an earlier run; remove it, or name another --folder")
    for one in (folder, models):
        one.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(leaving_in_order())
        session = Session(folder, models, stack)
        _play(session, _sessions(asked.sessions, session.folder), plan, whole=asked.what == "lift")
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes; all of it is in {folder}")  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="karl.demo.learning", description=__doc__)
    parser.add_argument("what", choices=("train", "lift"))
    parser.add_argument("--sessions", type=Path, help="Folder of Claude Code's transcripts.")
    parser.add_argument("--folder", type=Path, default=Path(".demo/learning"), help="Where it is kept.")
    parser.add_argument(
        "--models", type=Path, default=Path(".demo/models"), help="Where base models are kept."
    )
    parser.add_argument("--iters", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--items", type=int)
    return parser


def _sessions(given: Path | None, folder: Path) -> list[tuple[str, Path]]:
    """Find sessions; gives formats of `karl import` with their folders."""
    if given is not None:
        return [("claude", given)]
    archive = Path(os.environ.get("KARL_TEST_DATA") or "../shared/data") / _REAL
    if archive.is_file():
        into = folder / "sessions"
        if not into.exists():
            with tarfile.open(archive) as packed:
                packed.extractall(into, filter="data")
        return [(_FORMATS[path.name], path) for path in sorted(into.glob("*/*")) if path.name in _FORMATS]
    made_up.write(folder / "made-up", _MADE_UP)
    return [("claude", folder / "made-up")]


def _play(session: Session, sessions: list[tuple[str, Path]], plan: Plan, *, whole: bool) -> None:
    karl = session.karl
    if not (session.folder / "data" / "models" / "smollm2").exists():
        karl("models", "fetch", "smollm2")
    for form, path in sessions:
        karl("import", form, str(path), may_fail=True)  # a damaged file is said so, and passed over
    karl("holdout", "reserve", "--share", "0.25", "--reason", "what adapters are judged with")
    data = str(session.folder / "data-set")
    how = ("--detail", "brief", "--model", "smollm2", "--max-tokens", "256")
    karl("export", "--format", "chatml", *how, "--output", data)
    session.work()
    karl("sft-preflight")
    recipe = ("--iters", str(plan.iters), "--max-tokens", "256")
    judged = ("--seeds", str(plan.seeds), "--items", str(plan.items), "--wait")
    if whole:
        karl("sft-eval", data, *recipe, *judged, "--label", "demo")
        karl("sft-eval", "--recompute", "latest")
    else:
        often = ("--every", str(plan.iters), "--valid-rows", "32")  # to validate takes as long as to train
        karl("sft-launch", data, *recipe, *often, "--label", "demo", "--wait")
        karl("adapters", "try", "demo", "The parser drops the last entry of a long list. Repair it.")
        # One seed: no result, and it says so.
        karl("sft-eval", "demo", "--data", data, "--arms", "advantage", *judged)
    karl("adapters", "list")
    karl("adapters", "promote", "demo", may_fail=True)  # only a lift earns it


if __name__ == "__main__":
    main()

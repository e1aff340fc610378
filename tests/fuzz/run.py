"""`make fuzz`: every target of `atheris_targets`, one after the other, for as many seconds as are wanted.

Exit code 1 when one of them found something: the input lies in the folder that is named, and
`python -m tests.fuzz.atheris_targets TARGET FILE` runs it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

#: As in `atheris_targets`, which can be imported only where atheris is.
TARGETS = (
    "envelope",
    "fold",
    "hooks",
    "claude",
    "codex",
    "copilot",
    "atif",
    "gateway",
    "http",
    "frame",
    "older",
)
#: What a line begins with that names the next target.
MARK = "== target "
_ROOT = Path(__file__).resolve().parent.parent.parent
#: MiB that a target may take, and bytes of an input.
_MEMORY_MIB, _INPUT_MAX = 2048, 65536


def missing() -> str | None:
    """Say why nothing can be fuzzed here; null when it can."""
    if importlib.util.find_spec("atheris") is None:
        return "atheris is not installed: it has wheels for Linux on x86-64 and Python up to 3.13"
    return None


def run(
    targets: Sequence[str], *, seconds: float, folder: Path, seed: int = 0
) -> Iterator[tuple[str, int, str]]:
    """Run targets; gives for each its name, the number of inputs, and what it said when it found something."""
    options = (
        f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-rss_limit_mb={_MEMORY_MIB}", "-timeout=20",
        f"-max_len={_INPUT_MAX}", f"-artifact_prefix={folder}/TARGET-", "-print_final_stats=1",
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.atheris_targets", ",".join(targets), *options],
        cwd=_ROOT,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        name, said = "", ""
        for line in process.stdout:
            text = line.decode("utf-8", "replace")
            if text.startswith(MARK):
                if name:
                    yield _outcome(name, said, folder)
                name, said = text.removeprefix(MARK).strip(), ""
            said += text
        yield _outcome(name, said, folder)


def _outcome(name: str, said: str, folder: Path) -> tuple[str, int, str]:
    number = re.search(r"number_of_executed_units: (\d+)", said)
    found = list(folder.glob(f"{name}-*"))
    return name, int(number[1]) if number else 0, said[-4000:] if found or not number else ""


def main() -> None:
    """Parse, run, tell."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = parser.parse_args()
    if reason := missing():
        print(reason)
        return
    folder = Path(tempfile.mkdtemp(prefix="karl-fuzz-found-"))
    found = False
    for name, number, trouble in run(
        given.targets or TARGETS, seconds=given.seconds, folder=folder, seed=given.seed
    ):
        print(f"{name:10} {number:9,} inputs  {'FOUND SOMETHING' if trouble else 'nothing'}", flush=True)
        if trouble:
            found = True
            print(trouble)
    if not found:
        folder.rmdir()
        return
    sys.exit(f"what was found lies in {folder}")


if __name__ == "__main__":
    main()

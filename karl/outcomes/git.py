"""The git program, run so that nothing that a repository, a user or a machine has set is heeded.

Git runs what its configuration names: hooks, filters, diff programs, helpers of remotes. Here it is told
not to.

Invariants:
- Git's environment is made here; nothing of `GIT_*` that is set outside reaches it.
- Every question ends: within its time limit, or as an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence

from karl.errors import KarlError

#: Seconds that one question may take.
TIMEOUT_S = 120.0
_PIECE = 1 << 16
#: Over what a repository, a user or a machine has set.
_SAFE = (
    "--no-pager", "--no-replace-objects", "--literal-pathspecs", "--no-optional-locks",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.attributesFile=/dev/null",
    "-c", "core.commitGraph=false", "-c", "core.quotePath=false", "-c", "protocol.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip


class GitFailed(KarlError):
    """Raised when git is not there, does not end, or says that something is wrong."""


class Git:
    """The program, found on the path. Raises GitFailed where there is none."""

    def __init__(self) -> None:
        found = shutil.which("git")
        if found is None:
            raise GitFailed("there is no git program here; install git")
        self._command = (found, *_SAFE)

    def run(self, arguments: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run git to its end. Raises GitFailed when it takes too long and, with `check`, when it fails."""
        try:
            told = subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git did not answer within {TIMEOUT_S:.0f} s: {_shown(arguments)}") from None
        if check and told.returncode:
            raise _failed(arguments, told.stderr)
        return told

    def pieces(self, arguments: Sequence[str], given: bytes, end: bytes) -> Iterator[bytes]:
        """Run git, and give what it says piece by piece, without holding all of it. Raises GitFailed."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
            stdin.write(given)
            stdin.seek(0)
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
            )
            out = process.stdout
            assert out is not None
            late = threading.Timer(TIMEOUT_S, process.kill)
            late.start()
            try:
                yield from _pieces(iter(lambda: out.read(_PIECE), b""), end)
                code = process.wait()
            finally:
                late.cancel()
                process.kill()
                out.close()
                process.wait()
            if code:
                stderr.seek(0)
                raise _failed(arguments, stderr.read(4096) or b"it was ended: it took too long")

    def open(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a git that answers line by line (`answer_of`); whoever opens it ends it."""
        return subprocess.Popen(
            [*self._command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )


def answer_of(process: subprocess.Popen[bytes], what: bytes) -> bytes:
    """Ask an open git one thing, and give the line that it answers. Raises GitFailed where none comes."""
    late = threading.Timer(TIMEOUT_S, process.kill)
    late.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(what + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    finally:
        late.cancel()
    if not line:
        raise GitFailed("git cat-file ended, or did not answer in time")
    return line


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TEMPLATE_DIR": "",
    }


def _pieces(blocks: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    kept: list[bytes] = []
    for block in blocks:
        first, *others = block.split(end)
        kept.append(first)
        for other in others:
            yield b"".join(kept)
            kept = [other]
    if any(kept):
        yield b"".join(kept)


def _failed(arguments: Sequence[str], stderr: bytes) -> GitFailed:
    reason = said_last(stderr)
    missing = any(word in reason for word in ("missing", "bad object", "unable to read"))
    hint = (
        "; objects are missing: is it a partial clone? `git fetch --refetch` there brings them"
        if missing
        else ""
    )
    return GitFailed(f"git failed ({_shown(arguments)}): {reason}{hint}")


def said_last(stderr: bytes) -> str:
    """Give the last line of what git complained, cut."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _shown(arguments: Sequence[str]) -> str:
    return " ".join(one for one in arguments if not one.startswith("--git-dir="))[:120]

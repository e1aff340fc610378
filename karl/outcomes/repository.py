"""A git repository, read without trusting it.

Git runs a repository's own configuration: hooks, filters, diff programs, helpers of remotes. So git is not
run in the repository, but for two questions that run nothing of it (which refs there are, and what kind of
repository it is). Everything else is asked in an empty repository of our own that borrows its objects.

Invariants:
- Nothing is written into the repository, and no program that it names is run.
- Git's environment is made here; nothing of `GIT_*` that is set outside reaches it.
- Every question ends: within its time limit, or as an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from karl.errors import KarlError

#: Seconds that one question may take.
TIMEOUT_S = 120.0
#: Refs whose commits are looked at.
TIPS_MAX = 2000
#: Bytes of a file above which it is not read.
READ_MAX = 4 * 1024 * 1024
_TIPS = ("refs/heads", "refs/remotes")
_PIECE = 1 << 16
#: Smaller numbers are no time for git.
_OLDEST_S = 100_000_000


class NoRepository(KarlError):
    """Raised for a folder that is no git repository, or one whose history can not be read."""


class GitFailed(KarlError):
    """Raised when git is not there, does not end, or says that something is wrong."""


class Found(NamedTuple):
    """A file in a commit: the hash of its content, and its text, null for what is large or no text."""

    blob: str
    text: str | None


class Repository:
    """A repository's history, open for reading. `head` is its current commit, `tips` all of its branches'."""

    def __init__(self, path: Path) -> None:
        self._git = _program()
        self._open: dict[str, subprocess.Popen[bytes]] = {}
        self.path, self._common, kind = self._look(path)
        self.head, self.tips = self._refs(path)
        self._folder = Path(tempfile.mkdtemp(prefix="karl-git-"))
        try:
            self._borrow(kind)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what was started, and remove what was made, to read it."""
        for process in self._open.values():
            process.kill()
            process.communicate()
        self._open.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def touched_s(self) -> float:
        """Give the Unix time at which somebody last moved HEAD here, or fetched; 0 where git kept none."""
        times = [0.0]
        for name in ("logs/HEAD", "FETCH_HEAD"):
            with contextlib.suppress(OSError):
                times.append((self._common / name).stat().st_mtime)
        return max(times)

    def log(self, since_s: int) -> Iterator[bytes]:
        """Give the log of all tips since a time in pieces between NULs: what `history.read_log` reads."""
        arguments = (
            "log", "-z", "--raw", "--no-abbrev", "-M", "-l400", "--date-order", _since(since_s),
            "--format=%x01%H %ct %at %P%n%B", "--stdin",
        )  # fmt: skip
        return self._split(arguments, "\n".join(self.tips).encode() + b"\n", b"\0")

    def first_parents(self, since_s: int) -> list[str]:
        """List the commits that HEAD was at, by first parents, the newest first."""
        told = self._ask("rev-list", "--first-parent", _since(since_s), self.head)
        return told.decode("ascii").split()

    def patches(self, commits: Iterable[str]) -> Iterator[bytes]:
        """Give the commits' patches line by line, each under its name: what `history.read_patches` reads."""
        arguments = (
            "diff-tree",
            "--stdin",
            "-p",
            "-U0",
            "-M",
            "-l400",
            "-r",
            "--root",
            "--no-color",
            "--no-prefix",
        )
        return self._split(
            (*arguments, "--no-ext-diff", "--no-textconv"),
            "".join(f"{one}\n" for one in commits).encode(),
            b"\n",
        )

    def paths(self) -> Iterator[str]:
        """Give the path of every file in HEAD."""
        arguments = ("ls-tree", "-r", "-z", "--name-only", self.head)
        return (path.decode("utf-8", "surrogateescape") for path in self._split(arguments, b"", b"\0"))

    def file(self, commit: str, path: str) -> Found | None:
        """Give a file as it is in a commit; null where it is not there, or has a line end in its name."""
        if "\n" in path:
            return None
        told = self._ask_one("--batch-check", os.fsencode(f"{commit}:{path}")).split()
        if len(told) != 3 or told[1] != b"blob" or not told[2].isdigit():
            return None
        name = told[0].decode("ascii")
        return Found(name, None if int(told[2]) > READ_MAX else self._text(name))

    def _text(self, blob: str) -> str | None:
        """Give the text of a blob; null for what is no text."""
        head = self._ask_one("--batch", blob.encode("ascii")).split()
        out = self._open["--batch"].stdout
        data = out.read(int(head[2]) + 1)[:-1] if out and len(head) == 3 else b"\0"
        return None if b"\0" in data else data.decode("utf-8", "surrogateescape")

    # --- asking git ---

    def _look(self, path: Path) -> tuple[Path, Path, str]:
        """Give the repository's top (or git) folder, the folder of its objects, and its kind of hashes."""
        if not path.is_dir():
            raise NoRepository(f"{path} is no folder; name the folder of a git repository")
        ours = ("-c", "safe.directory=*", "-C", str(path))  # nothing of it is run, whoever owns it
        told = self._run(
            [*ours, "rev-parse", "--path-format=absolute", "--git-common-dir", "--is-shallow-repository",
             "--show-object-format", "--is-bare-repository"],
            check=False,
        )  # fmt: skip
        if told.returncode:
            reason = _said(told.stderr)
            if "not a git repository" in reason:
                raise NoRepository(f"{path} is no git repository; name a folder inside of one")
            raise NoRepository(f"git can not read {path}: {reason}")
        common, shallow, kind, bare = os.fsdecode(told.stdout).split("\n")[:4]
        if shallow == "true":
            raise NoRepository(
                f"{path} is a shallow clone: its history is cut; `git fetch --unshallow` brings the rest"
            )
        top = Path(common)
        self.is_bare = bare == "true"
        if not self.is_bare:
            shown = self._run([*ours, "rev-parse", "--show-toplevel"], check=False)
            top = Path(os.fsdecode(shown.stdout).rstrip("\n")) if not shown.returncode else top.parent
        return top, Path(common), kind

    def _refs(self, path: Path) -> tuple[str, list[str]]:
        ours = ("-c", "safe.directory=*", "-C", str(path))  # nothing of it is run, whoever owns it
        head = self._run([*ours, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"], check=False)
        if head.returncode:
            raise NoRepository(f"{path} has no commit yet")
        told = self._run(
            [*ours, "for-each-ref", f"--count={TIPS_MAX}", "--sort=-committerdate",
             "--format=%(objecttype) %(objectname)", *_TIPS]
        )  # fmt: skip
        name = head.stdout.decode("ascii").strip()
        tips = [
            line.split()[1] for line in told.stdout.decode("ascii").splitlines() if line.startswith("commit ")
        ]
        return name, list(dict.fromkeys([name, *tips]))

    def _borrow(self, kind: str) -> None:
        """Make the empty repository that has the other's objects."""
        self._run(["init", "--quiet", "--bare", f"--object-format={kind}", str(self._folder)])
        objects = os.fsencode(self._common / "objects")
        quoted = objects.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        (self._folder / "objects" / "info" / "alternates").write_bytes(b'"' + quoted + b'"\n')

    def _ask_one(self, how: str, what: bytes) -> bytes:
        """Ask a `git cat-file` that stays open for one object; gives the line that it answers."""
        if how not in self._open:
            self._open[how] = subprocess.Popen(
                [self._git, *_SAFE, f"--git-dir={self._folder}", "cat-file", how],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        process = self._open[how]
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

    def _ask(self, *arguments: str) -> bytes:
        return self._run([f"--git-dir={self._folder}", *arguments]).stdout

    def _run(self, arguments: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        try:
            told = subprocess.run(
                [self._git, *_SAFE, *arguments],
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

    def _split(self, arguments: Sequence[str], given: bytes, end: bytes) -> Iterator[bytes]:
        """Run git, and give what it says piece by piece, without holding all of it."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
            stdin.write(given)
            stdin.seek(0)
            process = subprocess.Popen(
                [self._git, *_SAFE, f"--git-dir={self._folder}", *arguments],
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


#: Over what a repository, a user or a machine has set.
_SAFE = (
    "--no-pager", "--no-replace-objects", "--literal-pathspecs", "--no-optional-locks",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.attributesFile=/dev/null",
    "-c", "core.commitGraph=false", "-c", "core.quotePath=false", "-c", "protocol.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip


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


def _program() -> str:
    found = shutil.which("git")
    if found is None:
        raise GitFailed("there is no git program here; install git")
    return found


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
    reason = _said(stderr)
    missing = any(word in reason for word in ("missing", "bad object", "unable to read"))
    hint = (
        "; objects are missing: is it a partial clone? `git fetch --refetch` there brings them"
        if missing
        else ""
    )
    return GitFailed(f"git failed ({_shown(arguments)}): {reason}{hint}")


def _said(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _shown(arguments: Sequence[str]) -> str:
    return " ".join(arguments)[:120]


def _since(time_s: int) -> str:
    return f"--since={max(time_s, _OLDEST_S)}"

"""A git repository, read without trusting it.

Git is not run in the repository, whose own configuration it would follow, but for two questions that run
nothing of it (which refs there are, and what kind of repository it is). Everything else is asked in an empty
repository of our own that borrows its objects.

Invariants:
- Nothing is written into the repository, and no program that it names is run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import NamedTuple, Self

from karl.errors import KarlError
from karl.outcomes.git import Git, answer_of, said_last

#: Refs whose commits are looked at.
TIPS_MAX = 2000
#: Bytes of a file above which it is not read.
READ_MAX = 4 * 1024 * 1024
_TIPS = ("refs/heads", "refs/remotes")
#: Smaller numbers are no time for git.
_OLDEST_S = 100_000_000


class NoRepository(KarlError):
    """Raised for a folder that is no git repository, or one whose history can not be read."""


class Found(NamedTuple):
    """A file in a commit: the hash of its content, and its text, null for what is large or no text."""

    blob: str
    text: str | None


class Repository:
    """A repository's history, open for reading. `head` is its current commit, `tips` all of its branches'."""

    def __init__(self, path: Path) -> None:
        self._git = Git()
        self._open: dict[str, Popen[bytes]] = {}
        self._there = ("-c", "safe.directory=*", "-C", str(path))  # nothing of it is run, whoever owns it
        self.path, self._common, kind = self._look(path)
        self.head, self.tips = self._refs(path)
        self._folder = Path(tempfile.mkdtemp(prefix="karl-git-"))
        self._inside = f"--git-dir={self._folder}"
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
        return self._pieces(arguments, "\n".join(self.tips).encode() + b"\n", b"\0")

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
        return self._pieces(
            (*arguments, "--no-ext-diff", "--no-textconv"),
            "".join(f"{one}\n" for one in commits).encode(),
            b"\n",
        )

    def paths(self) -> Iterator[str]:
        """Give the path of every file in HEAD."""
        arguments = ("ls-tree", "-r", "-z", "--name-only", self.head)
        return (path.decode("utf-8", "surrogateescape") for path in self._pieces(arguments, b"", b"\0"))

    def file(self, commit: str, path: str) -> Found | None:
        """Give a file as it is in a commit; null where it is not there, or has a line end in its name."""
        if "\n" in path:
            return None
        told = self._ask_one("--batch-check", os.fsencode(f"{commit}:{path}")).split()
        if len(told) != 3 or told[1] != b"blob" or not told[2].isdigit():
            return None
        name = told[0].decode("ascii")
        return Found(name, None if int(told[2]) > READ_MAX else self._text(name))

    def size_of(self, blob: str) -> int:
        """Give the bytes of a blob; -1 for what is none, or is not here (another repository's commit)."""
        told = self._ask_one("--batch-check", blob.encode("ascii")).split()
        return int(told[2]) if len(told) == 3 and told[1] == b"blob" else -1

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
        told = self._git.run(
            [*self._there, "rev-parse", "--path-format=absolute", "--git-common-dir",
             "--is-shallow-repository", "--show-object-format", "--is-bare-repository"],
            check=False,
        )  # fmt: skip
        if told.returncode:
            reason = said_last(told.stderr)
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
            shown = self._git.run([*self._there, "rev-parse", "--show-toplevel"], check=False)
            top = Path(os.fsdecode(shown.stdout).rstrip("\n")) if not shown.returncode else top.parent
        return top, Path(common), kind

    def _refs(self, path: Path) -> tuple[str, list[str]]:
        head = self._git.run([*self._there, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"], check=False)
        if head.returncode:
            raise NoRepository(f"{path} has no commit yet")
        told = self._git.run(
            [*self._there, "for-each-ref", f"--count={TIPS_MAX}", "--sort=-committerdate",
             "--format=%(objecttype) %(objectname)", *_TIPS]
        )  # fmt: skip
        name = head.stdout.decode("ascii").strip()
        tips = [
            line.split()[1] for line in told.stdout.decode("ascii").splitlines() if line.startswith("commit ")
        ]
        return name, list(dict.fromkeys([name, *tips]))

    def _borrow(self, kind: str) -> None:
        """Make the empty repository that has the other's objects."""
        self._git.run(["init", "--quiet", "--bare", f"--object-format={kind}", str(self._folder)])
        objects = os.fsencode(self._common / "objects")
        quoted = objects.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        (self._folder / "objects" / "info" / "alternates").write_bytes(b'"' + quoted + b'"\n')

    def _ask_one(self, how: str, what: bytes) -> bytes:
        """Ask a `git cat-file` that stays open for one object; gives the line that it answers."""
        if how not in self._open:
            self._open[how] = self._git.open([self._inside, "cat-file", how])
        return answer_of(self._open[how], what)

    def _ask(self, *arguments: str) -> bytes:
        return self._git.run([self._inside, *arguments]).stdout

    def _pieces(self, arguments: Sequence[str], given: bytes, end: bytes) -> Iterator[bytes]:
        return self._git.pieces([self._inside, *arguments], given, end)


def _since(time_s: int) -> str:
    return f"--since={max(time_s, _OLDEST_S)}"

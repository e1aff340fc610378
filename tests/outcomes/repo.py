"""Real git repositories for the tests, made commit by commit at times of our choosing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from karl.outcomes.examine import Examination
from karl.outcomes.judge import DAY_S, Finding
from karl.outcomes.repository import Repository
from karl.outcomes.work import Work, work_of
from tests.export.telling import body
from tests.session.making import START_MS, Script

#: When the turns of a Script begin, Unix time (s), and the folder in which they work.
START_S = START_MS // 1000
WHERE = "/w/shop"


class Repo:
    """A repository on disk. Times are seconds after the start of the turns."""

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self.path = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))

    def git(self, *arguments: str, at: float = 0) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        moment = f"{int(START_S + at)} +0000"
        told = subprocess.run(
            ["git", "-c", "commit.gpgsign=false", "-c", "init.templateDir=", "-C", str(self.path), *arguments],
            env={
                **kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@test", "GIT_COMMITTER_NAME": "a",
                "GIT_COMMITTER_EMAIL": "a@test", "GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment,
            },
            capture_output=True,
            timeout=30,
            check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr.decode()
        log = self.path / ".git" / "logs" / "HEAD"
        if log.exists():
            os.utime(log, (START_S + at, START_S + at))
        return told.stdout.decode().strip()

    def write(self, **files: str) -> None:
        """Write files; `__` in a name stands for a folder, `_py` at its end for the suffix."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, at: float, message: str = "work", **files: str) -> str:
        """Commit everything, after writing these files; gives the hash."""
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, at=at)
        return self.git("rev-parse", "HEAD", at=at)


def wrote(
    script: Script, path: str, lines: list[str], *, call: str = "c1", old: list[str] | None = None
) -> None:
    """Say that the turn put lines into a file, as an editor's answer tells it."""
    given = {"file_path": path, "old_string": "\n".join(old or ["x"]), "new_string": "\n".join(lines)}
    hunk = {
        "oldStart": 1, "oldLines": len(old or []), "newStart": 1, "newLines": len(lines),
        "lines": [*(f"-{line}" for line in old or []), *(f"+{line}" for line in lines)],
    }  # fmt: skip
    script.pre(call, "Edit", given)
    script.post(call, "Edit", {"filePath": path, "structuredPatch": [hunk]}, given)


def committed(script: Script, short: str, *, call: str = "c9") -> None:
    """Say that the turn committed, and what git told it."""
    given = {"command": "git add -A && git commit -m work"}
    script.pre(call, "Bash", given)
    told = f"[main {short}] work\n 1 file changed, 3 insertions(+)"
    script.post(call, "Bash", {"stdout": told, "stderr": "", "interrupted": False}, given)


def work(script: Script) -> Work:
    return work_of(body(script), START_MS)


def found(
    repo: Repo, one: Work, *, days: int = 7, now: float = 100 * DAY_S, node: str = "", project: str = "shop"
) -> Finding | None:
    """Look one turn up, as a scan does; null where it changed no file of the repository."""
    with Repository(repo.path) as repository:
        looking = Examination(
            repository, one.started_s, project=project, node=node, now_s=START_S + now, days=days
        )
        findings = looking.findings([one])
    return findings[0] if findings else None

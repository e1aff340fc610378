"""The scripted agent's tools: they really read, write, search and run, and answer in Claude Code's shapes.

A tool takes the folder that the agent works in and its input, gives its `tool_response`, and raises
ToolFailed with the text that Claude Code would hand to its failure hook.
"""

from __future__ import annotations

import difflib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Milliseconds that a command has when its input names no `timeout`.
BASH_TIMEOUT_MS = 120_000

#: Variables that would make a command in the scratch repository depend on where we are started from.
_FOREIGN = ("KARL_", "PYTEST_", "COV_", "GIT_")


class ToolFailed(Exception):
    """Raised when a tool could not do what it was asked; the text is what the agent is told."""


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Give an environment without settings of ours or of a test run around us."""
    return {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}


def read(_workdir: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Read a text file."""
    path = Path(given["file_path"])
    text = _text_of(path)
    lines = text.count("\n") + (not text.endswith("\n"))
    return {
        "type": "text",
        "file": {
            "filePath": str(path),
            "content": text,
            "numLines": lines,
            "startLine": 1,
            "totalLines": lines,
        },
    }


def write(_workdir: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Write a whole file."""
    path = Path(given["file_path"])
    before = path.read_text("utf-8") if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(given["content"], "utf-8")
    return {
        "type": "create" if before is None else "update",
        "filePath": str(path),
        "content": given["content"],
        "structuredPatch": [] if before is None else list(_patch(before, given["content"])),
        "originalFile": before,
        "userModified": False,
    }


def edit(_workdir: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Put one text in the place of another that stands in the file exactly once."""
    path, old, new = Path(given["file_path"]), given["old_string"], given["new_string"]
    everywhere = bool(given.get("replace_all"))
    before = _text_of(path)
    count = before.count(old)
    if count == 0:
        raise ToolFailed(f"String to replace not found in file.\nString: {old}")
    if count > 1 and not everywhere:
        raise ToolFailed(f"Found {count} matches of the string to replace, but replace_all is false.")
    after = before.replace(old, new)
    path.write_text(after, "utf-8")
    return {
        "filePath": str(path),
        "oldString": old,
        "newString": new,
        "originalFile": before,
        "structuredPatch": list(_patch(before, after)),
        "userModified": False,
        "replaceAll": everywhere,
    }


def bash(workdir: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Run a command line; an exit code other than 0 is a failure that begins with it."""
    limit_s = given.get("timeout", BASH_TIMEOUT_MS) / 1000
    process = subprocess.Popen(
        ["/bin/sh", "-c", given["command"]],
        cwd=workdir,
        env=_bash_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # it ended in this very moment
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise ToolFailed(f"Exit code 143\nCommand timed out after {limit_s:g}s\n{_text(out)}") from None
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        said = "\n".join(part for part in (_text(out), _text(err)) if part)
        raise ToolFailed(f"Exit code {process.returncode}\n{said}")
    return {
        "stdout": _text(out),
        "stderr": _text(err),
        "interrupted": False,
        "isImage": False,
        "noOutputExpected": False,
    }


def grep(workdir: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Search the files below a folder for a regular expression."""
    root = Path(given.get("path") or workdir)
    try:
        pattern = re.compile(given["pattern"])
    except re.error as error:
        raise ToolFailed(f"regex parse error: {error}") from None
    hits = [
        (str(path.relative_to(root)), number, line)
        for path in sorted(root.rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    if given.get("output_mode") == "content":
        content = "\n".join(f"{name}:{number}:{line}" for name, number, line in hits)
        return {
            "mode": "content",
            "numFiles": 0,
            "filenames": [],
            "content": content,
            "numLines": len(hits),
        }
    names = list(dict.fromkeys(name for name, _, _ in hits))
    return {"mode": "files_with_matches", "filenames": names, "numFiles": len(names)}


#: The tools by the names under which hooks see them; Agent is the agent's own affair.
TOOLS: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "Read": read,
    "Write": write,
    "Edit": edit,
    "Bash": bash,
    "Grep": grep,
}


def _bash_environ() -> dict[str, str]:
    """Let `python` in a command line be the one that runs us, and leave no caches behind.

    A cached module would also hide an edit of the same second that leaves the file's size as it was.
    """
    environ = clean_environ(os.environ)
    here = str(Path(sys.executable).parent)
    return {
        **environ,
        "PATH": os.pathsep.join([here, environ.get("PATH", os.defpath)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ToolFailed("File does not exist.") from None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\n")


def _patch(before: str, after: str) -> Iterator[dict[str, Any]]:
    """Give the hunks of a change, as the structuredPatch of an Edit has them."""
    diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    hunk: dict[str, Any] | None = None
    for line in diff:
        if line.startswith("@@"):
            if hunk:
                yield hunk
            hunk = {**_hunk_head(line), "lines": []}
        elif hunk:
            hunk["lines"].append(line)
    if hunk:
        yield hunk


def _hunk_head(line: str) -> dict[str, int]:
    numbers = re.findall(r"[-+](\d+)(?:,(\d+))?", line)
    (old, old_lines), (new, new_lines) = numbers[:2]
    return {
        "oldStart": int(old),
        "oldLines": int(old_lines or 1),
        "newStart": int(new),
        "newLines": int(new_lines or 1),
    }

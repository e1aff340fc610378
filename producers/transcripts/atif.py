"""ATIF, the Agent Trajectory Interchange Format (1.0 to 1.8), in which agents' runs are passed on.

A file holds one trajectory as JSON, an array of them, or one a line. Subagents' trajectories that are
embedded are told in their session, before the result of the call that asked for them.

Source: the format's specification (Harbor, RFC 0001).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from karl.errors import Refused, Unreadable
from producers.envelope import RAW_MAX, parse
from producers.pieces import BETWEEN
from producers.transcripts.atif_steps import Trajectory
from producers.transcripts.lines import read_lines
from producers.transcripts.recognise import require, sessions_in
from producers.transcripts.told import Broken, Skipped, Told

_BROKEN_MAX = 64 * 1024
#: Bytes of a first line by which a file of one trajectory a line is known.
_FIRST = 64 * 1024


class Atif:
    """The format of trajectories that are passed on."""

    agent = "atif"

    def default(self) -> Path:
        """Give the working folder: no agent keeps its own sessions so."""
        return Path.cwd()

    def find(self, path: Path) -> list[Path]:
        """List the files of trajectories in a file or folder; other JSON is passed over."""
        return sessions_in([path], "atif", ("*.json", "*.jsonl"), every=False)

    def read(self, path: Path) -> Iterator[Told | Broken | Skipped]:
        """Give what a file's trajectories tell; each is in memory whole. Raises OSError, Refused."""
        require(path, "atif")
        for number, found in read_lines(path, dict) if _is_lines(path) else _document(path):
            if not isinstance(found, dict):
                yield found
            elif isinstance(found.get("steps"), list):
                yield from Trajectory(found, number).read()
            else:
                yield Broken(repr(found)[:_BROKEN_MAX].encode("utf-8", "replace"), number, "it has no steps")


def _is_lines(path: Path) -> bool:
    """Say whether a file has an object on its first line, and not one, or an array, over many."""
    with path.open("rb") as file:
        first = file.readline(_FIRST).strip(b"\x00\xef\xbb\xbf \t\r\n")
    return first.startswith(b"{") and len(first) > 1 and (first.endswith(b"}") or len(first) > _FIRST // 2)


def _document(path: Path) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    """Read a file that is one JSON document: an object, or an array of them."""
    if path.stat().st_size > RAW_MAX:
        raise Refused(f"it is larger than {RAW_MAX >> 20} MiB; put one trajectory on a line (JSON Lines)")
    data = path.read_bytes().strip(b"\x00\xef\xbb\xbf \t\r\n")
    try:
        if data.startswith(b"["):
            for found in parse(b'{"all":%b}' % data)["all"]:
                yield 1, found if isinstance(found, dict) else Broken(b"", 1, "it is no trajectory")
        else:
            yield 1, parse(data.strip(BETWEEN))
    except Unreadable as error:
        yield 1, Broken(data[:_BROKEN_MAX], 1, error.reason)

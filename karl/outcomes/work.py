"""Work: what one turn wrote, as far as its calls tell, so that it can be found in a repository. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import msgspec

from karl.errors import Unreadable
from karl.outcomes.history import telling
from karl.schema.event import Payload, decode_event, decode_payload
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import ToolCall
from karl.session.edits import FileDiff, file_diffs
from karl.session.moments import RESULTS, moment
from karl.session.vocabulary import parse_object

#: What git says when it has made a commit: `[main 1a2b3c4] Say what was done`.
_MADE = re.compile(r"^\[[^\]\n]{0,200}?\b([0-9a-f]{7,64})\] ", re.MULTILINE)
#: A text that a shell command carries along, up to the word that ends it.
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_]\w{0,40})\1[^\n]*\n(.*?)\n[ \t]*\2[ \t]*(?=\n|$)", re.DOTALL)
_DRIVE = re.compile(r"([A-Za-z]):[\\/]")
_PRINTED_MAX = 200
_ANSWER_MAX = 200_000
_DEPTH_MAX = 6
_SAID = ("stdout", "output", "content", "text", "stderr")


class Piece(msgspec.Struct):
    """What became of one file: the telling lines that came in and stayed until the turn's end, counted.

    `whole` says that the file was written as a whole, so that lines which had been there are among them.
    """

    lines: Counter[str] = msgspec.field(default_factory=Counter)
    whole: bool = False

    @classmethod
    def of(cls, text: str) -> Piece:
        """Give a file's telling lines."""
        return cls(Counter(line for each in text.split("\n") if (line := telling(each))))


class Work(msgspec.Struct, frozen=True):
    """What a turn wrote. Paths are absolute, as on the agent's machine. Times are Unix time (s).

    `commits` are the beginnings of the hashes that git told the turn when it committed.
    """

    trajectory: str
    session: str
    agent: str
    node: str
    cwd: str | None
    started_s: int
    ended_s: int
    files: dict[str, Piece]
    commits: tuple[str, ...]


def work_of(body: TrajectoryBody, started_ms: int) -> Work:
    """Read what a trajectory wrote; give it the body with all its facts."""
    given, answers = _told(body)
    files: dict[str, Piece] = {}
    printed: list[str] = []
    cwd = body.trajectory.context.cwd
    for call in body.trajectory.trajectory.events:
        key = call.call_id or ""
        if call.success is not False:
            _take(files, call, given.get(key, call.key_params), answers.get(key), cwd)
        if any(act.does == "commit" for act in call.acts or ()) or "git" in str(
            call.key_params.get("command")
        ):
            printed += _MADE.findall(_text_of(answers.get(key)))
    return Work(
        trajectory=body.id,
        session=body.session,
        agent=body.agent,
        node=body.node,
        cwd=_absolute(cwd, None),
        started_s=started_ms // 1000,
        ended_s=max(body.time_ms, started_ms) // 1000,
        files=files,
        commits=tuple(dict.fromkeys(printed[:_PRINTED_MAX])),
    )


def _told(body: TrajectoryBody) -> tuple[dict[str, object], dict[str, object]]:
    """Give what calls were given and what came back, by the call's id."""
    given: dict[str, object] = {}
    answers: dict[str, object] = {}
    for raw in body.events:
        try:
            event = decode_event(bytes(raw))
            payload: Payload = decode_payload(event)
        except Unreadable:
            continue
        if not isinstance(payload.tool_use_id, str):
            continue
        if payload.tool_input is not None:
            given.setdefault(payload.tool_use_id, payload.tool_input)
        if moment(event.kind) in RESULTS:
            answers.setdefault(payload.tool_use_id, payload.tool_response or payload.error)
    return given, answers


def _take(files: dict[str, Piece], call: ToolCall, given: object, answer: object, cwd: str | None) -> None:
    """Put what a call changed to what the turn changed before."""
    diffs = file_diffs(call.original_name or call.tool_name, given, answer)
    for diff in diffs:
        _change(files, diff, cwd)
    told = {_absolute(diff.path, cwd) for diff in diffs}
    for act in call.acts or ():
        path = _absolute(act.path, cwd)
        if act.does == "delete" and act.ok is not False and path:
            files.pop(path, None)
        elif act.does == "edit" and act.ok is not False and path and path not in told:
            piece = files.setdefault(path, Piece())
            piece.lines.update(_carried(given))


def _change(files: dict[str, Piece], diff: FileDiff, cwd: str | None) -> None:
    was, _, moved = diff.path.partition(" → ")
    path = _absolute(was, cwd)
    if path is None:
        return
    if diff.change == "deleted":
        files.pop(path, None)
        return
    piece = files.setdefault(path, Piece())
    if diff.change in ("written", "created"):
        files[path] = piece = Piece(whole=diff.change == "written")
    for hunk in diff.hunks:
        gone = [telling(line[1:]) for line in hunk.lines if line.startswith("-")]
        come = [telling(line[1:]) for line in hunk.lines if line.startswith("+")]
        piece.lines.subtract(text for text in gone if piece.lines.get(text, 0) > 0)
        piece.lines.update(text for text in come if text)
    piece.lines = +piece.lines
    if moved and (there := _absolute(moved, cwd)):
        files[there] = files.pop(path)


def _carried(given: object) -> Iterator[str]:
    """Give the telling lines of the texts that a shell command writes."""
    command = given.get("command") if isinstance(given, dict) else given
    if isinstance(command, str) and "<<" in command:
        for found in _HEREDOC.finditer(command):
            yield from (text for line in found[3].split("\n") if (text := telling(line)))


def _absolute(path: str | None, cwd: str | None) -> str | None:
    r"""Give a path from the root, without `..`; null where nobody knows the folder.

    Of Windows, `D:\a\b` is `/d/a/b`, as its shells of git call it.
    """
    if not path:
        return None
    if cwd and _DRIVE.match(cwd):
        path = path.replace("\\", "/")
    joined = PurePosixPath(_posix(cwd) if cwd else "", _posix(path))
    if not joined.is_absolute():
        return None
    parts: list[str] = []
    for part in joined.parts[1:]:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
    return "/" + "/".join(parts)


def _posix(path: str) -> str:
    drive = _DRIVE.match(path)
    return f"/{drive[1].lower()}/{path[3:]}".replace("\\", "/") if drive else path


def _text_of(answer: object, depth: int = 0) -> str:
    """Give the text of what came back, in whichever member it stands."""
    if isinstance(answer, str):
        found = parse_object(answer) if answer.lstrip()[:1] == "{" else None
        return answer[:_ANSWER_MAX] if found is None or depth else _text_of(found, depth + 1)
    if depth > _DEPTH_MAX or not isinstance(answer, dict | list):
        return ""
    members = [answer.get(name) for name in _SAID] if isinstance(answer, dict) else answer
    return "\n".join(text for member in members if (text := _text_of(member, depth + 1)))

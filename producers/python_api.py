"""KARL from Python: an agent that has no hooks says by four calls what happened.

    from karl import init_session_buffer, append_tool_event, flush_session, annotate_previous

    init_session_buffer("s-1", prompt_text="Make the tests pass", cwd="/home/me/project")
    append_tool_event("s-1", "Bash", {"command": "pytest"}, success=False, exit_code=1, duration_ms=900)
    flush_session("s-1")
    annotate_previous("s-1", correction_detected=True)

Each call leaves its event in the spool before it returns, as the hook does; nothing waits in memory, so a
killed process loses nothing. Threads and processes may share a session.

Invariants:
- Recording never breaks the caller: a full disk, a missing folder or wrong settings give False, and one
  warning in the log `karl`. Only misuse raises, and at the first call: TypeError and ValueError, for
  arguments of a wrong type and for a session id that no event can have.
- Values of `tool_input` and `outcome_signals` are never misuse: what is not JSON is told as text.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from karl.errors import KarlError, SettingsError

#: The kind of agent that these events come from.
AGENT = "python"
_SESSION_MAX = 256  # as in the envelope, which would refuse a longer one
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Levels of a value that are told, and bits of a number: Python prints no longer ones.
_DEPTH_MAX, _BITS_MAX = 60, 1024
_SETTINGS = ("KARL_DATA_DIR", "KARL_SPOOL_DIR", "KARL_DISABLE", "HOME")

_log = logging.getLogger("karl")


def init_session_buffer(  # noqa: PLR0917 - callers know this order
    session_id: str,
    skill_name: str | None = None,
    skill_domain: str | None = None,
    prompt_text: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    git_repo: str | None = None,
) -> bool:
    """Begin a turn of a session: what the agent was asked, by whom, and where it works.

    A turn of the session that is still open ends here. `cwd` names the project by the git repository around
    it; where it is not given, `git_repo` does, by its folder or the last part of its address. True when
    recorded.
    """
    _check_texts(skill_name=skill_name, skill_domain=skill_domain, prompt_text=prompt_text, git_repo=git_repo)
    place = os.fspath(cwd) if cwd is not None else None
    _check_texts(cwd=place)
    told = {"cwd": place, "git_repo": _repository(git_repo)}
    if skill_name is not None:
        expansion = {"command_name": skill_name, "skill_domain": skill_domain, "prompt": prompt_text, **told}
        if not _leave(session_id, "UserPromptExpansion", expansion):
            return False
    return _leave(session_id, "UserPromptSubmit", {"prompt": prompt_text, **told})


def append_tool_event(  # noqa: PLR0917
    session_id: str,
    tool_name: str,
    tool_input: Any = None,
    success: bool | None = None,
    exit_code: int | None = None,
    duration_ms: float | None = None,
) -> bool:
    """Record one call of a tool that has ended. True when recorded.

    `success` None says that nobody knows, unless the exit code does. A `success` that is given counts,
    whatever the exit code is. `duration_ms` is in milliseconds.
    """
    _check_texts(tool_name=tool_name)
    if tool_name is None or not tool_name:
        raise ValueError("tool_name must not be empty")
    _check(success=(success, bool), exit_code=(exit_code, int), duration_ms=(duration_ms, (int, float)))
    payload: dict[str, Any] = {
        "tool_name": tool_name,
        "tool_input": {} if tool_input is None else tool_input,
        "tool_use_id": f"py_{os.urandom(12).hex()}",
        "duration_ms": duration_ms,
    }
    if success is False:
        payload["error"] = "failed" if exit_code is None else f"Exit code {_text(exit_code)}"
        return _leave(session_id, "PostToolUseFailure", payload)
    return _leave(session_id, "PostToolUse", {**payload, "tool_response": _response(success, exit_code)})


def flush_session(session_id: str, outcome_signals: Mapping[str, Any] | None = None) -> bool:
    """End the session's turn; it is built, scored and written to the ledger by the line's workers.

    Of `outcome_signals` the flags correction_detected, redo_detected, build_success and session_continued
    become part of the trajectory; the others are kept in its events. True when recorded.
    """
    if outcome_signals is not None and not isinstance(outcome_signals, Mapping):
        raise TypeError(f"outcome_signals must be a mapping, not {type(outcome_signals).__name__}")
    return _leave(session_id, "Stop", {"outcome_signals": outcome_signals})


def annotate_previous(
    session_id: str,
    correction_detected: bool | None = None,
    redo_detected: bool | None = None,
    build_success: bool | None = None,
    session_continued: bool | None = None,
) -> bool:
    """Say how the session's last closed turn turned out, once that is known.

    True when recorded; False also when nothing was said.
    """
    flags = {
        "correction_detected": correction_detected,
        "redo_detected": redo_detected,
        "build_success": build_success,
        "session_continued": session_continued,
    }
    _check(**{name: (value, bool) for name, value in flags.items()})
    if all(value is None for value in flags.values()):
        _check_session(session_id)
        return False
    return _leave(session_id, "Annotation", flags)


def _response(success: bool | None, exit_code: int | None) -> dict[str, Any]:
    """Tell a call's end in the words of a tool's response."""
    response: dict[str, Any] = {"success": success}
    if exit_code is not None:
        response["exit_code"] = exit_code
    if success and exit_code:
        response["returnCodeInterpretation"] = "no error, says the caller"
    return response


def _repository(git_repo: str | None) -> str | None:
    """Give a repository's folder, or of an address its last part."""
    if git_repo is None or git_repo.startswith("/"):
        return git_repo
    return re.split(r"[/:\\]", git_repo.rstrip("/\\"))[-1].removesuffix(".git") or None


def _check_texts(**texts: object) -> None:
    _check(**{name: (value, str) for name, value in texts.items()})


def _check(**values: tuple[object, type | tuple[type, ...]]) -> None:
    """Raise TypeError for a value that is neither None nor of its type; a bool is no number."""
    for name, (value, kind) in values.items():
        if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            continue
        wanted = "a number" if isinstance(kind, tuple) else kind.__name__
        raise TypeError(f"{name} must be {wanted} or None, not {type(value).__name__}")


def _check_session(session_id: object) -> None:
    if not isinstance(session_id, str):
        raise TypeError(f"session_id must be str, not {type(session_id).__name__}")
    if not 0 < len(session_id) <= _SESSION_MAX or _CONTROL.search(session_id):
        raise ValueError(f"session_id must have 1 to {_SESSION_MAX} characters and no control characters")


def _leave(session_id: str, kind: str, payload: dict[str, Any]) -> bool:
    """Put one event into the spool; what is None was not said."""
    _check_session(session_id)
    said = {name: value for name, value in payload.items() if value is not None}
    whole = {"session_id": session_id, "hook_event_name": kind, "timestamp": time.time(), **said}
    data = _encoded(whole)
    try:
        folder = _folder(tuple(os.environ.get(name) for name in _SETTINGS))
        return folder is not None and _left(folder, data)
    except KarlError as error:
        _warn(str(error))
    except OSError as error:  # a folder that is relative to one that is gone
        _warn(f"the data folder can not be found: {error.strerror}")
    except ImportError:  # Python is ending, or a signal came while KARL's own modules were being loaded
        _warn("the interpreter loads no modules at this moment")
    return False


def _left(folder: Path, data: bytes) -> bool:
    from producers.spool_writer import leave  # noqa: PLC0415 - `import karl` stays cheap

    try:
        try:
            return leave(folder, AGENT, data)
        except FileNotFoundError:  # nobody has recorded here yet
            _prepare(folder)
            return leave(folder, AGENT, data)
    except OSError as error:
        _warn(f"{folder} can not be written to: {error.strerror}")
    except KarlError as error:
        _warn(str(error))
    return False


@lru_cache(maxsize=8)
def _folder(_environ: tuple[str | None, ...]) -> Path | None:
    """Give the spool, by the settings of this environment; None where recording is switched off."""
    from karl.settings import read_settings  # noqa: PLC0415

    try:
        settings = read_settings(os.environ)
    except RuntimeError as error:  # no home folder
        raise SettingsError(f"{error}; set KARL_DATA_DIR") from error
    return None if settings.disable else settings.spool


def _prepare(folder: Path) -> None:
    from producers.spool import Spool  # noqa: PLC0415

    Spool(folder).prepare()


@lru_cache(maxsize=64)
def _warn(trouble: str) -> None:
    """Say each trouble once."""
    _log.warning("not recorded: %s", trouble)


def _encoded(payload: dict[str, Any]) -> bytes:
    try:
        return json.dumps(payload).encode()
    except Exception:  # noqa: BLE001 - no JSON, a circle, too deep, changed meanwhile, a stranger's own code
        return json.dumps(_plain(payload, frozenset())).encode()


def _plain(value: object, around: frozenset[int]) -> Any:
    """Make JSON of anything: strangers become text; `around` are the ids of what this value lies in."""
    return _safely(lambda: _told(value, around), value)


def _told(value: object, around: frozenset[int]) -> Any:
    if type(value) is int and value.bit_length() > _BITS_MAX:
        return "<int>"
    if value is None or type(value) in {str, bool, int, float}:
        return value
    if id(value) in around or len(around) > _DEPTH_MAX:
        return f"<{type(value).__name__}>"
    around |= {id(value)}
    if isinstance(value, Mapping):
        return {_text(name): _plain(inner, around) for name, inner in list(value.items())}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner, around) for inner in list(value)]
    return value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else _text(value)


def _text(value: object) -> str:
    return str(_safely(lambda: str(value), value))


def _safely(tell: Callable[[], Any], value: object) -> Any:
    """Tell a value; one whose own code breaks by its type."""
    try:
        return tell()
    except Exception:  # noqa: BLE001 - a stranger's code raises what it likes, and recording goes on
        return f"<{type(value).__name__}>"

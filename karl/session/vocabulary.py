"""One vocabulary for what agents call their tools, what they pass to them, and how a call ended.

Tool names are Claude Code's; another agent's name for the same thing is mapped to it, letter case
included, and the name that the agent used stays beside it. What follows is pure and never raises:
values come from other programs and may be anything that JSON, or a careless logger, can hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

#: Longest string kept of one parameter; longer ones keep head and tail.
STRING_MAX = 2000
#: Longest string kept of a parameter that holds file text: the raw event stays beside it.
BULK_MAX = 400
#: Most parameters kept of one call.
KEYS_MAX = 12

UNKNOWN = "unknown"

_SAME_AS: dict[str, tuple[str, ...]] = {
    "Bash": (
        "bash",
        "shell",
        "Shell",
        "exec",
        "Execute",
        "exec_command",
        "shell_command",
        "run_shell_command",
        "local_shell",
        "local_shell_call",
        "container.exec",
        "unified_exec",
        "execute_command",
        "execute_bash",
        "executeBash",
        "run_terminal_cmd",
        "run_terminal_command",
        "run_in_terminal",
        "runInTerminal",
        "run_command",
        "launch-process",
        "developer__shell",
        "powershell",
        "PowerShell",
    ),
    "Edit": (
        "edit",
        "MultiEdit",
        "multiedit",
        "multi_edit",
        "apply_patch",
        "ApplyPatch",
        "apply_diff",
        "patch",
        "replace",
        "edit_file",
        "editFile",
        "search_replace",
        "search_and_replace",
        "str_replace",
        "str-replace-editor",
        "replace_in_file",
        "replace_string_in_file",
        "multi_replace_string_in_file",
        "replace_file_content",
        "multi_replace_file_content",
        "insert_edit_into_file",
        "insert_content",
    ),
    "Read": (
        "read",
        "read_file",
        "readFile",
        "ReadFile",
        "read_many_files",
        "ReadManyFiles",
        "cat_file",
        "view",
        "view_file",
        "fs_read",
    ),
    "Write": (
        "write",
        "write_file",
        "writeFile",
        "WriteFile",
        "write_to_file",
        "create",
        "Create",
        "create_file",
        "createFile",
        "save-file",
        "fs_write",
    ),
    "Glob": (
        "glob",
        "list_files",
        "list_directory",
        "list_dir",
        "listDirectory",
        "ReadFolder",
        "LS",
        "ls",
        "find_files",
        "FindFiles",
        "find_by_name",
        "file_search",
        "glob_file_search",
    ),
    "Grep": (
        "grep",
        "search_files",
        "grep_search",
        "ripgrep",
        "rg",
        "search_file_content",
        "SearchText",
    ),
    "NotebookEdit": ("notebook_edit", "edit_notebook", "edit_notebook_file"),
    "WebSearch": ("web_search", "websearch", "web_search_call", "google_web_search", "GoogleSearch"),
    "WebFetch": ("web_fetch", "webfetch", "fetch_webpage", "fetch_url", "FetchUrl"),
    "TodoWrite": ("todowrite", "todo_write", "write_todos", "update_plan", "manage_todo_list"),
    "Task": ("task", "spawn_agent", "new_task", "runSubagent", "delegate_to_agent"),
    "Skill": ("skill", "use_skill", "activate_skill"),
    "AskUserQuestion": ("ask_user", "ask_followup_question", "request_user_input"),
    "ExitPlanMode": ("exit_plan_mode",),
}
#: Editors of one name and many commands: what they do stands in their `command` parameter.
_EDITORS = frozenset({"str_replace_editor", "str_replace_based_edit_tool"})
_EDITOR_COMMANDS = {
    "view": "Read",
    "create": "Write",
    "str_replace": "Edit",
    "insert": "Edit",
    "undo_edit": "Edit",
}
_CANONICAL = {name: canonical for canonical, names in _SAME_AS.items() for name in names}

#: When a call has more parameters than are kept, these stay, the first ones first.
_PREFERRED = (
    "file_path",
    "path",
    "notebook_path",
    "command",
    "cmd",
    "pattern",
    "query",
    "url",
    "description",
    "subagent_type",
    "prompt",
    "skill",
    "filePath",
    "target_file",
    "absolute_path",
    "file",
    "paths",
    "glob",
    "type",
    "input",
    "patch",
    "args",
    "cwd",
    "workdir",
    "offset",
    "limit",
)
_RANK = {key: rank for rank, key in enumerate(_PREFERRED)}

_BULK = frozenset(
    {
        "content",
        "contents",
        "old_string",
        "new_string",
        "oldString",
        "newString",
        "old_str",
        "new_str",
        "edits",
        "file_text",
        "insert_text",
        "new_source",
        "fileContent",
        "code_edit",
        "replacements",
        "todos",
    }
)

_KEY_MAX = 200
_DEPTH_MAX = 32
#: Whole numbers beyond this do not survive every JSON reader; they are kept as floats.
_INT_MAX = 2**63 - 1


def canonical(name: object, params: object = None) -> tuple[str, str | None]:
    """Give the one name of a tool, and the agent's own name when that is another.

    Unknown names, and MCP tools (`mcp__server__tool`), stay as they are; an empty or missing one
    is `unknown`. `params`, when given, tell what an editor with several commands was used for.
    """
    if type(name) is not str or not name or name.isspace():
        return UNKNOWN, None
    known = _CANONICAL.get(name)
    if known is not None:
        return known, name
    if name in _EDITORS and isinstance(params, dict):
        command = params.get("command")
        done = _EDITOR_COMMANDS.get(command) if isinstance(command, str) else None
        return (done, name) if done else (name, None)
    return (name, None) if name.isascii() else (clean_text(name), None)


def key_params(value: object, *, string_max: int = STRING_MAX, keys_max: int = KEYS_MAX) -> dict[str, Any]:
    """Keep what matters of a call's input: at most `keys_max` flat values, each safe in JSON.

    Strings over `string_max` characters keep head and tail; file text is held to BULK_MAX. Nested
    values become their JSON, held likewise. A string that holds a JSON object counts as that
    object; any other input that is no object is kept under `input`. Doing it twice changes nothing.
    """
    params = value if type(value) is dict else _as_params(value)
    if len(params) > keys_max:
        params = _choose(params, keys_max)
    kept: dict[str, Any] = {}
    bulk_max = min(BULK_MAX, string_max)
    for key, item in params.items():
        name = key
        if type(key) is not str or len(key) > _KEY_MAX or not key.isascii():
            name = cut(clean_text(str(key)), _KEY_MAX)
        if type(item) is str and len(item) <= bulk_max and item.isascii():
            kept[name] = item  # as most are
        else:
            kept[name] = _flat(item, bulk_max if key in _BULK else string_max)
    return kept


def success_of(mapping: Mapping[str, Any]) -> bool | None:
    """Say whether a call succeeded: `success`, else not `is_error`, else `exit_code` 0, else null.

    Booleans, numbers and the words true, false, 1 and 0 count; anything else says nothing.
    """
    said = truth(mapping.get("success"))
    if said is not None:
        return said
    failed = truth(mapping.get("is_error"))
    if failed is not None:
        return not failed
    code = whole(mapping.get("exit_code"))
    return None if code is None else code == 0


def truth(value: object) -> bool | None:
    """Read a flag that may be a boolean, a number or a word; null when it says neither."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, float):
        return None if math.isnan(value) else value != 0
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return None


def whole(value: object) -> int | None:
    """Read a whole number that may be a float or a string of digits; null when it is none.

    Numbers beyond 63 bits are null: whatever wrote them did not count or measure.
    """
    if type(value) is int:  # as most are
        return value if -_INT_MAX <= value <= _INT_MAX else None
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if -_INT_MAX <= value <= _INT_MAX else None


def cut(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters, keeping two thirds of them at its head."""
    if len(text) <= limit:
        return text
    marker = f"…[cut {len(text) - limit} chars]…"
    room = limit - len(marker)
    if room <= 0:
        return text[:limit]
    tail = room // 3
    return text[: room - tail] + marker + text[len(text) - tail :]


def clean_text(text: str) -> str:
    """Replace halves of surrogate pairs, which no UTF-8 can hold, by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def json_safe(value: object, depth: int = _DEPTH_MAX) -> Any:
    """Copy a value into what JSON can hold and msgspec reads back as it was.

    NaN and the infinities become null, whole numbers beyond 63 bits floats, what is nested deeper
    than 32 levels and what is no JSON at all a short text that says so.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if depth <= 0:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {clean_text(str(key)): json_safe(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item, depth - 1) for item in value]
    return f"[{type(value).__name__}]"


def _number(value: float) -> float | int | None:
    if isinstance(value, int):
        if -_INT_MAX <= value <= _INT_MAX:
            return value
        try:
            return float(value)
        except OverflowError:
            return None
    return value if math.isfinite(value) else None


def _flat(value: object, limit: int) -> Any:
    if type(value) is str:
        if len(value) > limit:
            value = cut(value, limit)
        return value if value.isascii() else clean_text(value)
    safe = json_safe(value)
    if isinstance(safe, (dict, list)):
        return cut(msgspec.json.encode(safe).decode(), limit)
    return cut(safe, limit) if isinstance(safe, str) else safe


def _as_params(value: object) -> dict[Any, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        parsed = parse_object(value)
        if parsed is not None:
            return parsed
    return {"input": value}


def parse_object(text: str) -> dict[str, Any] | None:
    """Read a string that holds one JSON object; null when it does not."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):  # a number of 5,000 digits is a ValueError too
        return None
    return parsed if isinstance(parsed, dict) else None


def _choose(params: dict[Any, Any], keys_max: int) -> dict[Any, Any]:
    """Keep the keys that matter most, in the order in which they came."""
    places = {key: place for place, key in enumerate(params)}
    ranked = sorted(places, key=lambda key: (_RANK.get(key, len(_RANK)), places[key]))
    chosen = set(ranked[:keys_max])
    return {key: item for key, item in params.items() if key in chosen}

"""What a call of a tool that is no shell did: editors, patches, searches, and the tools of MCP servers.

A tool whose name is not known is read by the verb in its name, and counts only when it names a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from karl.acts.aci import OPEN_FILE
from karl.acts.outputs import parts_of
from karl.acts.patches import patched
from karl.acts.steps import AS_CALL, Step
from karl.schema.act import Doing


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Names under which agents tell a file, a folder, the old and the new text; the first that is there counts.
PATHS = _names(
    """
    file_path filePath path notebook_path target_file absolute_path TargetFile file filename fileName
    relative_path relativePath AbsolutePath uri target_notebook abs_path filepath source file_name
    pathInProject
    """
)
_FOLDERS = _names(
    """
    path directory dir dir_path DirectoryPath SearchDirectory target_directory folder include_pattern
    searchPath relative_workspace_path root pathInProject
    """
)
_PLACES = (*_FOLDERS, *PATHS)
_TARGETS = _names("destination dest new_path newPath target to")
_OLD = _names("old_string oldString old_str old_text oldText search")
_WHOLE = _names("content contents file_text fileContent code_edit")
_NEW = (*_names("new_string newString new_str new_text newText new_source insert_text replace"), *_WHOLE)
_PATCHES = ("input", "patch", "diff", "command", "patch_text", "patchText")
_PATCHED = frozenset(_PATCHES)
_SEVERAL = ("edits", "replacements")

KNOWN: dict[str, Doing] = {
    "Read": "read",
    "Edit": "edit",
    "Write": "edit",
    "NotebookEdit": "edit",
    "NotebookRead": "read",
    "Grep": "search",
    "Glob": "search",
}
_LISTING = frozenset({"list_files", "list_directory", "list_dir", "listDirectory", "ReadFolder", "LS", "ls"})
_EDITORS: dict[str, Doing] = {
    **dict.fromkeys(("view", "read"), "read"),
    **dict.fromkeys(("create", "str_replace", "insert", "undo_edit", "write", "edit"), "edit"),
    "delete": "delete",
}
_ACI: dict[str, Doing] = {
    **dict.fromkeys(_names("open open_file goto goto_line scroll_down scroll_up filemap"), "read"),
    **dict.fromkeys(_names("create create_file edit insert append edit_file"), "edit"),
    **dict.fromkeys(_names("search_dir search_file find_file"), "search"),
}
#: Parameters that only an editor with an open window has.
_LINES_OF_WINDOW = frozenset({"replacement_text", "line_number"})
_VERBS: dict[str, Doing] = {
    **dict.fromkeys(("read", "view", "open", "cat", "fetch", "get", "show", "load"), "read"),
    **dict.fromkeys(("search", "find", "grep", "glob", "query", "lookup"), "search"),
    **dict.fromkeys(("list", "ls", "tree", "browse"), "list"),
    **dict.fromkeys(
        _names("write edit create insert replace append modify patch update save rename apply put"), "edit"
    ),
    **dict.fromkeys(("delete", "remove", "unlink"), "delete"),
    "move": "edit",
    "copy": "edit",
}  # fmt: skip
#: Of these words in a tool's name, the name is about files.
_OF_FILES = frozenset(
    _names(
        """
        file files directory dir folder text lines line symbol notebook content contents path code buffer
        multiple filesystem document
        """
    )
)
#: Characters of a tool's name that are read.
_NAME_MAX = 200
_NAME_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


def tool_steps(tool: str, original: str | None, params: object) -> list[Step]:
    """Give the steps of a call: `tool` is its canonical name, `original` the agent's own if another."""
    if isinstance(params, str):
        params = {"input": params}
    if not isinstance(params, dict) or not isinstance(tool, str):
        return []
    name = original or tool
    if not _PATCHED.isdisjoint(params) and (patches := _patches(tool, name, params)):
        return patches
    if name in ("str_replace_editor", "str_replace_based_edit_tool"):
        return _edited(_EDITORS.get(str(params.get("command")), "other"), params, name)
    if name in _ACI and (
        not _LINES_OF_WINDOW.isdisjoint(params) or (name == "edit" and not _names_file(params))
    ):
        return _aci(name, params)
    does = KNOWN.get(tool)
    if does is not None:
        return _by_kind("list" if name in _LISTING else does, params, name)
    if name in _ACI:
        return _aci(name, params)
    return _by_name(name, params)


def _names_file(params: dict[str, Any]) -> bool:
    """Say whether a call names a file, itself or in one of its parts."""
    return any(_text(each, PATHS) for each in (params, *_parts(params)))


def _by_kind(does: Doing, params: dict[str, Any], name: str) -> list[Step]:
    if does in ("search", "list"):
        return [Step(does, _text(params, _PLACES) or ".", AS_CALL, program=name)]
    if does == "read":
        return [Step("read", path, AS_CALL, program=name) for path in _several_paths(params)]
    return _edited(does, params, name)


def _several_paths(params: dict[str, Any]) -> list[str]:
    several = params.get("paths", params.get("files", params.get("file_paths")))
    if isinstance(several, list):
        found = [
            each if isinstance(each, str) else _text(each, PATHS)
            for each in several[:16]
            if isinstance(each, (str, dict))
        ]
        if any(found):
            return [each for each in found if each]
    path = _text(params, PATHS)
    return [path] if path else []


def _edited(does: Doing, params: dict[str, Any], name: str) -> list[Step]:
    if does == "other":
        return []
    path = _text(params, PATHS)
    if does in ("read", "delete"):
        return [Step(does, path, AS_CALL, program=name)] if path else []
    whole = _text(params, _WHOLE)
    if not whole and params.get("content") == "" and path:
        return [Step("edit", path, AS_CALL, program="touch")]  # an empty file is made, or a file emptied
    parts = _parts(params)
    if parts[0] is params:
        return [_edit_of_one(path or None, _text(params, _OLD), _text(params, _NEW), whole, name)]
    by_file: dict[str, list[tuple[str, str]]] = {}
    for each in parts:
        made = by_file.setdefault(_text(each, PATHS) or path or "", [])
        made.append((_text(each, _OLD), _text(each, _NEW)))
    return [
        _edit(file or None, made, whole if len(by_file) == 1 else None, name)
        for file, made in list(by_file.items())[:16]
    ]


def _edit_of_one(path: str | None, old: str, new: str, whole: str | None, name: str) -> Step:
    step = Step("edit", path, AS_CALL, program=name, added=_lines(new), removed=_lines(old))
    step.body = whole or None
    if old:
        step.old, step.new = old, new
    return step


def _edit(path: str | None, made: list[tuple[str, str]], whole: str | None, name: str) -> Step:
    """Make an edit of one file, of which each part took an old text out and put a new one in."""
    step = Step("edit", path, AS_CALL, program=name, body=whole or None)
    for old, new in made:
        step.added += _lines(new)
        step.removed += _lines(old)
    olds = [old for old, _ in made]
    if "" not in olds:
        step.old, step.new = "\n".join(olds), "\n".join([new for _, new in made])
    return step


def _parts(params: dict[str, Any]) -> list[dict[str, Any]]:
    for key in _SEVERAL:
        several = params.get(key)
        if isinstance(several, str) and several.startswith("["):
            several = parts_of(several)
        if isinstance(several, list) and several:
            return [each for each in several[:200] if isinstance(each, dict)] or [params]
    return [params]


def _patches(tool: str, name: str, params: dict[str, Any]) -> list[Step]:
    if tool != "Edit" and "patch" not in name.lower():
        return []
    for key in _PATCHES:
        text = params.get(key)
        if isinstance(text, list) and text and all(isinstance(each, str) for each in text):
            text = text[-1]
        if isinstance(text, str) and ("*** " in text or "+++ " in text) and (files := patched(text)):
            return list(_of_patch(files, name))
    return []


def _of_patch(files: list[Any], name: str) -> Iterator[Step]:
    for each in files[:16]:
        if each.became == "deleted" or each.moved_to:
            yield Step("delete", each.path, AS_CALL, program=name)
        if each.became != "deleted":
            yield Step(
                "edit",
                each.moved_to or each.path,
                AS_CALL,
                program=name,
                added=each.added,
                removed=each.removed,
                old=each.old,
                new=each.new,
            )


def _aci(name: str, params: dict[str, Any]) -> list[Step]:
    does = _ACI[name]
    path = _text(params, PATHS) or (_text(params, ("dir", "directory")) if does == "search" else "")
    if does == "search":
        path = path or ("." if name != "search_file" else OPEN_FILE)
    new = _text(params, ("replacement_text", "text", "content", "replace"))
    start, last = params.get("start_line"), params.get("end_line")
    removed = (
        last - start + 1
        if isinstance(start, int) and isinstance(last, int) and 0 <= last - start < 100_000
        else 0
    )
    if does != "edit":
        return [Step(does, path or OPEN_FILE, AS_CALL, program=name)]
    return [Step("edit", path or OPEN_FILE, AS_CALL, program=name, added=_lines(new), removed=removed)]


def _by_name(name: str, params: dict[str, Any]) -> list[Step]:
    """Read a tool that nobody knows by the words of its name, when it names a file."""
    words, does, about_files = _said_by(name[:_NAME_MAX])
    if does is None:
        return []
    if does == "vcs":
        return _git(words)
    if not about_files and len(words) > 1:
        return []
    if words[:1] == ("move",) and (source := _text(params, PATHS)) and (target := _text(params, _TARGETS)):
        return [Step("delete", source, AS_CALL, program=name), Step("edit", target, AS_CALL, program=name)]
    if does in ("search", "list"):
        where = _text(params, _PLACES)
        return [Step(does, where, AS_CALL, program=name)] if where or about_files else []
    if "directory" in words or "dir" in words:
        return []
    if does == "read":
        return [Step("read", path, AS_CALL, program=name) for path in _several_paths(params)]
    return _edited(does, params, name) if _text(params, PATHS) else []


@lru_cache(maxsize=1024)  # a session has a dozen tools, and each is called again and again
def _said_by(name: str) -> tuple[tuple[str, ...], Doing | None, bool]:
    """Give the words of a tool's name, what they say that it does, and whether it is about files."""
    last = name.rsplit("__", 1)[-1] if name.startswith("mcp__") else name
    low = name.lower()
    words = tuple(word.lower() for word in _NAME_PARTS.findall(last)[:8])
    if "git" in words or (name.startswith("mcp__") and "git" in low.split("__")[1]):
        return words, "vcs", False
    does = next((_VERBS[word] for word in words if word in _VERBS), None)
    return words, does, not _OF_FILES.isdisjoint(words) or "file" in low


def _git(words: tuple[str, ...]) -> list[Step]:
    verb = next(
        (
            word
            for word in words
            if word
            in (
                "commit",
                "push",
                "checkout",
                "reset",
                "status",
                "diff",
                "log",
                "show",
                "add",
                "branch",
                "stash",
            )
        ),
        None,
    )
    if verb is None:
        return []
    does: Doing = "commit" if verb == "commit" else "push" if verb == "push" else "vcs"
    return [Step(does, None, AS_CALL, program=f"git {verb}")]


def _text(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        found = fields.get(name)
        if found and isinstance(found, str):
            return found
    return ""


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0

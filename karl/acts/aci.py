"""SWE-agent's own commands, as words of its shell: a window on an open file, searches, edits by line.

Where a command is about the file that is open, the path is OPEN_FILE: the reader remembers which that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec

from karl.acts.steps import Step

#: Stands for the file that was opened last.
OPEN_FILE = "\x04"
#: Names that no other program of a shell has, or that mean this in an agent's shell.
ACI = frozenset(
    """
    open_file goto scroll_down scroll_up create search_dir search_file find_file filemap edit insert append
    undo_edit str_replace_editor str_replace_based_edit_tool
    """.split()  # noqa: SIM905 - as it is typed
)
_EDIT = re.compile(r"\s*(edit|insert|append|replace)\s+(?:(\d+):(\d+)|(\d+))?[ \t]*\n?", re.IGNORECASE)
_BLOCK_END = re.compile(r"\n?end_of_(?:edit|insert|append)\s*$")
_BEGIN = re.compile(r"^[ \t]*(edit|insert|append|replace)\b([^\n]*)\n", re.MULTILINE)
_END = re.compile(r"^[ \t]*end_of_(?:edit|insert|append)[ \t]*$", re.MULTILINE)
_PLACES = re.compile(r"\s*(\d{1,7})[:\s]\s*(\d{1,7})")
_HAS_BLOCK = re.compile(r"\s*(?:edit\s+\d+:\d+|insert\s+\d+|append)\b")
#: Programs by which a shell is known to be SWE-agent's: it keeps its folder from call to call.
WINDOWED = frozenset(
    {
        "open",
        "open_file",
        "goto",
        "goto_line",
        "scroll_up",
        "scroll_down",
        "search_dir",
        "search_file",
        "find_file",
    }
)
#: Those that change which file is open.
OPENING = frozenset({"open", "open_file", "create"})
#: Editors that are called through a shell.
EDITORS = frozenset({"str_replace_editor", "str_replace_based_edit_tool", "create"})
#: Tools that may be told as the command that they are.
_COMMANDED = WINDOWED | ACI
_STATE = re.compile(
    r"^(?:\[File: (.{1,400}?) \(\d+ lines total\)\]|\(Current directory: ([^)\n]{1,400})\))", re.MULTILINE
)
_NOT_OPENED = re.compile(r"^(?:File .{1,400} not found|Error: |Usage: open|No file open)", re.MULTILINE)
_OPEN = re.compile(r"\s*open\s+(\"[^\"\n]+\"|'[^'\n]+'|[^\s;&|]+)(?:\s+\d+)?\s*$")


def aci_parts(text: str) -> tuple[str, Step, str] | None:
    """Take a text apart at an edit whose new text follows on its lines; null where there is none.

    Gives the commands before it, the edit, and the commands behind it. A text that begins with an edit may
    lack the line that ends it.
    """
    if "end_of_" in text and (begin := _BEGIN.search(text)) and (end := _END.search(text, begin.end())):
        step = _block(begin[1], begin[2], text[begin.end() : end.start()])
        return text[: begin.start()], step, text[end.end() :]
    block = aci_block(text)
    return ("", block, "") if block else None


def _block(name: str, places: str, body: str) -> Step:
    lines = _PLACES.match(places)
    removed = int(lines[2]) - int(lines[1]) + 1 if lines else 0
    added = body.count("\n") if body.strip() else 0
    return Step(
        "edit", OPEN_FILE, 0, program=name.lower(), added=added, removed=max(0, min(removed, 100_000))
    )


def aci_block(text: str) -> Step | None:
    """Read an edit whose new text follows on its lines: its text is no shell's. Null for anything else."""
    if not _HAS_BLOCK.match(text):
        return None
    found = _EDIT.match(text)
    if found is None:
        return None
    body = _BLOCK_END.sub("", text[found.end() :])
    removed = int(found[3]) - int(found[2]) + 1 if found[3] else 0
    added = body.count("\n") + 1 if body.strip() else 0
    return Step(
        "edit", OPEN_FILE, 0, program=found[1].lower(), added=added, removed=max(0, min(removed, 100_000))
    )


def opened(text: str) -> str | None:
    """Give the file that SWE-agent's `open` shows, when a command is that and nothing else."""
    found = _OPEN.match(text) if "open" in text[:12] else None
    return found[1].strip("'\"") if found and not found[1].startswith(("-", "http")) else None


def aci_steps(words: list[str], end: int, place: Callable[[str], str]) -> Iterator[Step]:
    """Give the steps of one of these commands, taken apart into words."""
    name, args = words[0], words[1:]
    first = next((arg for arg in args if not arg.startswith("-")), None)
    if name in ("str_replace_editor", "str_replace_based_edit_tool"):
        yield from _editor(args, end, place)
    elif name in ("goto", "scroll_down", "scroll_up"):
        yield Step("read", OPEN_FILE, end, program=name)
    elif name in ("open_file", "filemap"):
        if first:
            yield Step("read", place(first), end, program=name)
    elif name == "create":
        if first:
            yield Step("edit", place(first), end, program=name)
    elif name in ("search_dir", "find_file", "search_file"):
        where = args[1] if len(args) > 1 else OPEN_FILE if name == "search_file" else "."
        yield Step("search", where if where == OPEN_FILE else place(where), end, program=name)
    elif args or name == "undo_edit":
        yield Step("edit", OPEN_FILE, end, program=name)


def _editor(args: list[str], end: int, place: Callable[[str], str]) -> Iterator[Step]:
    words = [arg for arg in args[:2] if not arg.startswith("-")]
    if len(words) < 2:
        return
    verb, path = words
    if verb == "view":
        yield Step("read", place(path), end, program="str_replace_editor")
    elif verb in ("create", "str_replace", "insert", "undo_edit"):
        texts = {flag: value for flag, value in pairwise(args) if flag.startswith("--")}
        new = texts.get("--new_str", texts.get("--file_text", ""))
        old = texts.get("--old_str", "")
        yield Step(
            "edit",
            place(path),
            end,
            program="str_replace_editor",
            added=new.count("\n") + bool(new),
            removed=old.count("\n") + bool(old),
        )


def window_said(text: str) -> tuple[str | None, str | None]:
    """Give the file and the folder that SWE-agent's shell says it is at, each null where it says nothing."""
    path = folder = None
    if "[File: " in text or "(Current directory: " in text:
        for found in _STATE.finditer(text):
            path, folder = found[1] or path, found[2] or folder
    return path, folder


def window_command(tool: str, params: object) -> str | None:
    """Give the command of a tool that is told as one: `edit` with `10:12 ...`. Null for any other call."""
    if tool not in _COMMANDED or not isinstance(params, dict) or len(params) != 1:
        return None
    ((name, text),) = params.items()
    if name not in ("command", "input", "args", "arguments", "action") or not isinstance(text, str):
        return None
    if "*** Begin Patch" in text:
        return None
    return text if text.lstrip().startswith(tool) else f"{tool} {text}"


def not_opened(text: str) -> bool:
    """Say whether an answer to `open` tells that no file was opened."""
    return _NOT_OPENED.search(text[:400]) is not None


def shown_as(step: Step, text: str) -> Step:
    """Give a step as the window tells it: of the file that it shows, which may have been there before."""
    if step.program not in OPENING:
        return step
    is_old = step.program == "create" and "already exists" in text
    return msgspec.structs.replace(step, path=OPEN_FILE, does="read" if is_old else step.does)

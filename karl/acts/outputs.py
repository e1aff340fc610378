"""What a call was given to run, and what it printed, whatever shape an agent tells them in. Pure."""

from __future__ import annotations

import re
import shlex

import msgspec

_COMMANDS = (
    "command",
    "cmd",
    "script",
    "code",
    "input",
    "commandLine",
    "CommandLine",
    "bash_command",
    "shell_command",
)
_SCRIPT_FLAGS = frozenset({"-c", "-lc", "-ic", "-lic"})
_SHELLS = frozenset({"Bash", "bash", "shell", "terminal", "execute_ipython_cell"})
#: Tools of MCP servers that run a command.
_TERMINALS = ("__execute_terminal_command", "__execute_command", "__run_command", "__run_terminal_cmd")
_OUTPUTS = ("output", "aggregated_output", "content", "llmContent", "result", "text", "message", "task")
#: Names of a call's own folder; the first that is there counts.
_WORKDIR = ("workdir", "cwd", "working_directory", "workingDirectory", "directory")
_WORKDIRS = frozenset(_WORKDIR)
#: Characters of an output that are looked at: its head and its tail.
_HEAD_MAX, _TAIL_MAX = 4_000, 16_000
_DEPTH_MAX = 4


_EXIT = re.compile(
    r"(?:^|\n)(?:<returncode>(\d{1,3})</returncode>"
    r"|\(?(?:Command|Process) exited with (?:exit )?code:? (\d{1,3})\b"
    r"|\[exit code: (\d{1,3})\]|\(exit code (\d{1,3})\))"
)
_REFUSED = re.compile(
    r"No replacement was performed|Your proposed edit has introduced new syntax error|Invalid `\w+` parameter"
    r"|The path .{1,400} does not exist|String to replace not found|old_string not found"
    r"|File .{1,300} not found"
    r"|Your edit was not applied|must be unique|^Usage: edit|Failed to find (?:expected lines|context)"
    r"|Could not find the exact text|could not be found in the file|No file open|^(?:Error|error): ",
    re.MULTILINE,
)
_DONE = re.compile(
    r"File updated|has been edited(?: successfully)?|has been updated|[Ff]ile created successfully"
    r"|Successfully (?:wrote|replaced|edited|created|applied)|^Success\. Updated the following files"
    r"|^\[File: .{1,300} lines total\)\]",
    re.MULTILINE,
)
_NOTHING_FOUND = re.compile(
    r"\s*(?:No (?:matches|files|results) found|Found 0 |\(no results\))", re.IGNORECASE
)
#: Said of a call that a person, or a rule of theirs, did not let run.
_DENIED = re.compile(
    r"The user doesn't want to (?:proceed with|take) this|The (?:user|agent) (?:rejected|declined|denied)"
    r"|Permission to use .{1,200} has been denied|User (?:rejected|declined|denied)"
)


def exit_said(text: str) -> int | None:
    """Give the exit code that an output tells in its own words, the last one; null where it tells none."""
    if "exit" not in text and "<returncode>" not in text:
        return None
    code = None
    for found in _EXIT.finditer(text):
        code = next(int(group) for group in found.groups() if group)
    return code


def is_refused(text: str) -> bool:
    """Say whether an output tells that nobody let the call run."""
    return _DENIED.match(text) is not None


def found_nothing(output: object) -> bool:
    """Say whether a search's answer tells that nothing was found."""
    if isinstance(output, dict) and output.get("numFiles") == 0:
        return not output.get("numLines") and not output.get("content")
    return _NOTHING_FOUND.match(output_text(output)) is not None


def edit_said(text: str) -> bool | None:
    """Say whether an editor's answer tells of an edit made or refused; null where it does neither."""
    head = text[:_HEAD_MAX]
    if _REFUSED.search(head):
        return False
    return True if _DONE.search(head) else None


def said_error(text: str, body: str) -> bool:
    """Say whether an output has an error that stands in a script's text: the script itself gave up."""
    lines = text[:_HEAD_MAX].split("\n", 40)
    return any(line[:5].lower() == "error" and line[:14] in body for line in lines)


def command_of(tool: str, params: object) -> str | None:
    """Give the command that a call of a shell runs; null for any other call."""
    if tool not in _SHELLS and not (tool.startswith("mcp__") and tool.endswith(_TERMINALS)):
        return None
    if isinstance(params, str):
        return params
    if not isinstance(params, dict):
        return None
    for key in _COMMANDS:
        if (found := params.get(key)) is not None:
            return command_text(found)
    return None


def command_text(command: object) -> str | None:
    """Give a command as one text; of `bash -lc TEXT` in a list, the text. Null for what is no command."""
    if isinstance(command, str):
        if not command.startswith('["'):
            return command
        words = parts_of(command)  # a record keeps lists as texts
        if words is None:
            return command
        command = words
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        return None
    if len(command) == 3 and command[1] in _SCRIPT_FLAGS:
        return str(command[2])
    return shlex.join(command)


def parts_of(text: str) -> list[object] | None:
    """Read a list that stands in a text as JSON; null where none does."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def workdir_of(params: object) -> str | None:
    """Give the folder that a call names for itself."""
    if not isinstance(params, dict) or _WORKDIRS.isdisjoint(params):
        return None
    for key in _WORKDIR:
        found = params.get(key)
        if isinstance(found, str) and found:
            return found
    return None


def output_text(output: object, depth: int = _DEPTH_MAX) -> str:
    """Give the text of an output, head and tail: a text, an object of a shell, or a list of blocks."""
    if isinstance(output, str):
        return _head_and_tail(output)
    if depth <= 0:
        return ""
    if isinstance(output, dict):
        out, err = output.get("stdout"), output.get("stderr")
        if isinstance(out, str) and not err:
            return _head_and_tail(out)
        if isinstance(out, str) or isinstance(err, str):
            return "\n".join(_head_and_tail(each) for each in (out, err) if isinstance(each, str) and each)
        for key in _OUTPUTS:
            if (found := output.get(key)) and (text := output_text(found, depth - 1)):
                return text
        return ""
    if isinstance(output, list):
        return "\n".join(filter(None, (output_text(each, depth - 1) for each in output[:16])))
    return ""


def _head_and_tail(text: str) -> str:
    return text if len(text) <= _HEAD_MAX + _TAIL_MAX else f"{text[:_HEAD_MAX]}\n{text[-_TAIL_MAX:]}"

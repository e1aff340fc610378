"""What a source file defines, by name: Python by its syntax, others by how such lines begin. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

#: Characters of a Python file above which it is not parsed.
PARSED_MAX = 400_000

_JS = re.compile(
    r"^\s*(?:export\s+|default\s+|async\s+|abstract\s+|declare\s+)*(function\*?|class|interface|enum)\s+([A-Za-z_$][\w$]*)"
)
_GO = re.compile(r"^(func|type)\s+(?:\([^()]{1,80}\)\s*)?([A-Za-z_]\w*)")
_RUST = re.compile(
    r"^\s*(?:pub(?:\([^()]{1,40}\))?\s+|async\s+|unsafe\s+|const\s+)*(fn|struct|enum|trait)\s+([A-Za-z_]\w*)"
)
_CLASSES = re.compile(
    r"^\s*(?:public\s+|private\s+|protected\s+|internal\s+|static\s+|abstract\s+|final\s+|sealed\s+|open\s+|data\s+|export\s+)*"
    r"(class|interface|enum|struct|record|trait|object|protocol|fun|func)\s+([A-Za-z_]\w*)"
)
_RUBY = re.compile(r"^\s*(class|module|def)\s+([A-Za-z_][\w.:]*[?!]?)")
_PHP = re.compile(
    r"^\s*(?:public\s+|private\s+|protected\s+|static\s+|abstract\s+|final\s+)*(function|class|interface|trait)\s+([A-Za-z_]\w*)"
)
_SHELL = re.compile(r"^(?:(function)\s+)?([A-Za-z_][\w-]*)\s*\(\)\s*\{?\s*$")
_HEADING = re.compile(r"^#{1,4}()\s+(\S.{0,78}?)\s*#*$")
_BY_SUFFIX = {
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue", ".svelte"), _JS),
    **dict.fromkeys((".java", ".kt", ".swift", ".cs", ".scala", ".c", ".h", ".cc", ".cpp", ".hpp"), _CLASSES),
    **dict.fromkeys((".sh", ".bash", ".zsh"), _SHELL),
    **dict.fromkeys((".md", ".markdown"), _HEADING),
    ".go": _GO, ".rs": _RUST, ".rb": _RUBY, ".php": _PHP,
}  # fmt: skip
_WORDS = {"function*": "function", "func": "function", "fn": "function", "fun": "function", "def": "function"}


class Definition(NamedTuple):
    """What is defined: its kind (function, method, class); for Python all of it, and all but its name."""

    kind: str
    whole: str = ""
    inside: str = ""


def is_python(path: str) -> bool:
    """Say whether a file is read by its syntax tree."""
    return path.endswith((".py", ".pyi"))


def of_python(text: str | None) -> dict[str, Definition] | None:
    """Give what a module and its classes define, by dotted name; null where it can not be parsed.

    A name that is defined more than once is left out.
    """
    if text is None:
        return {}
    if len(text) > PARSED_MAX:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not Python of this version, or not meant to be parsed
    try:
        found = list(_definitions(tree.body, ""))
    except RecursionError:
        return None
    counts = Counter(name for name, _ in found)
    return {name: one for name, one in found if counts[name] == 1}


def _definitions(body: Iterable[ast.stmt], prefix: str) -> Iterable[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield f"{prefix}{node.name}", Definition("class")
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = ast.dump(node.args) + "".join(map(ast.dump, node.body))
            kind = "method" if prefix else "function"
            yield f"{prefix}{node.name}", Definition(kind, ast.dump(node), inside)


def begins_definition(path: str, line: str) -> bool:
    """Say whether a line begins a function or a class that others stand in, in a language that is known."""
    if is_python(path):
        return line.startswith(("def ", "async def ", "class "))
    return not path.endswith((".md", ".markdown")) and bool(in_lines(path, [line]))


def in_lines(path: str, lines: Iterable[str]) -> dict[str, str]:
    """Give what lines of a file define, by name, with what it is; nothing for an unknown language."""
    pattern = _BY_SUFFIX.get("." + path.rpartition(".")[2].lower())
    if pattern is None:
        return {}
    matches = [match for line in lines if len(line) <= 300 and (match := pattern.match(line))]
    kind = "section" if pattern is _HEADING else "function"
    matches = [match for match in matches if match[2].isprintable() and "`" not in match[2]]
    return {match[2]: _WORDS.get(match[1], match[1]) if match[1] else kind for match in matches}

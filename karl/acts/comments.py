"""Whether an edit changes comments alone: such an edit is documentation, whatever file it is in. Pure.

Invariants:
- Comments that programs read (`#!`, `# type:`, `//go:`, `#include`) are code.
- A line counts as a comment only where its own text says so: what stands inside of a long string or between
  two far signs is taken for code.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: Characters of a text that are looked at.
_TEXT_MAX = 20_000
_HASH, _SLASHES, _DASHES, _SEMICOLON, _PERCENT = ("#",), ("//",), ("--",), (";",), ("%",)


def _endings(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SIGNS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        _endings("py pyi pyx sh bash zsh rb yaml yml toml pl pm r R ex exs jl nim tcl mk tf cmake"), _HASH
    ),
    **dict.fromkeys(
        _endings(
            "js jsx ts tsx mjs cjs mts cts java kt kts go rs c h cc cpp cxx hpp cs swift php scala dart"
        ),
        _SLASHES,
    ),
    **dict.fromkeys(_endings("sql lua hs elm adb ads vhd"), _DASHES),
    **dict.fromkeys(_endings("clj cljs el lisp scm"), _SEMICOLON),
    **dict.fromkeys(_endings("erl hrl tex m"), _PERCENT),
}
#: What stands behind a sign and is read by a program.
_READ = re.compile(
    r"(?:#|//|--)\s*(?:!|type:|noqa|pragma|pylint|mypy|ruff|nosec|fmt:|isort:|go:|@ts-|eslint|prettier|biome|nolint"
    r"|shellcheck|rubocop|coding[:=]|-\*-|sorbet|typed:|frozen_string_literal|\+build)"
)


def only_comments(path: str, old: str, new: str) -> bool:
    """Say whether two texts of a file differ, and in comments alone."""
    signs = _SIGNS.get(path.rsplit("/", 1)[-1].rpartition(".")[2])
    if signs is None or len(old) + len(new) > _TEXT_MAX:
        return False
    sign = signs[0]
    marks = (sign, "/*", "* ") if sign == "//" else (sign, '"""')
    if not any(map(f"{old}\n{new}".__contains__, marks)):
        return False
    if old.split() == new.split():
        return False
    return _code(old, sign) == _code(new, sign)


def _is_text(line: str) -> bool:
    return len(line) >= 6 and line.startswith('"""') and line.endswith('"""')


def _code(text: str, sign: str) -> list[str]:
    """Give a text's lines without their comments, and without those that are nothing else."""
    lines: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if not bare or _is_comment(bare, sign) or _is_text(bare):
            continue
        whole = line.rstrip() if lines else bare  # an edit may begin within its first line
        lines.append(_cut(whole, sign) if sign in bare else whole)
    return lines


def _is_comment(line: str, sign: str) -> bool:
    if line.startswith(sign):
        return not _READ.match(line)
    if sign != "//":
        return False
    if line.startswith("/*"):
        return "*/" not in line[:-2]
    return line.startswith(("* ", "*/")) or line == "*"


def _cut(line: str, sign: str) -> str:
    """Cut the comment behind a line's code, where it does not stand in a string."""
    for found in _behind(sign).finditer(line):
        before = line[: found.start()]
        if (
            before.count('"') % 2 == 0
            and before.count("'") % 2 == 0
            and not _READ.match(line[found.end() - len(sign) :])
        ):
            return before.rstrip()
    return line


@lru_cache(maxsize=16)
def _behind(sign: str) -> re.Pattern[str]:
    return re.compile(r"\s" + re.escape(sign))

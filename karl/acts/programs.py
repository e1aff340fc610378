"""Programs by the table: which commands check something, and what the targets of make and its like check."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from karl.acts.table import (
    BUILDS_BARE,
    CHANGES,
    JVM,
    NOT_BUILT,
    ROWS,
    SAYS_ONLY,
    SAYS_ONLY_OF,
    TARGETS,
    VALUED,
    WORDS_OF,
)
from karl.schema.act import Check

_NAME_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_RUNTIMES = re.compile(r"(?:python|pypy)(?:\d(?:\.\d{1,2})?)?(?:\.exe)?w?$")
#: A project's own runner of tests: run_tests.sh, runtests.py, bin/test, test.sh, check.sh.
_RUNNER = re.compile(
    r"(?:run[-_]?)?(?:all[-_]?|unit[-_]?|the[-_]?|quick[-_]?|ci[-_]?)?tests?(?:[-_]?(?:runner|all|suite))?(?:\.(?:sh|bash|py|pl|rb|js|mjs|cmd|bat|ps1))?$|runtests?(?:\.\w+)?$|check(?:\.sh)?$"
)


#: Words of a command that are looked at for flags by which it runs nothing.
_ARGS_MAX = 64
#: Flags that leave out what their value names.
_LEAVES_OUT = {"gradle": "-x", "gradlew": "-x", "make": "-o", "gmake": "-o"}
#: What is put in the place of a program, or of the shell, that a target runs: one that does nothing.
_IDLE = re.compile(r"\w+=(?:\S*/)?(?:true|false|echo|:|exit 0)$")


class Known(NamedTuple):
    """What the table says of a command: what it checks, and its name."""

    check: Check
    name: str


class _Row(NamedTuple):
    words: tuple[frozenset[str], ...]
    flags: frozenset[str]
    known: Known


def _rows() -> dict[str, list[_Row]]:
    table: dict[str, list[_Row]] = {}
    for check, rows in ROWS.items():
        for row in rows.split(","):
            program, *rest = row.split()
            words = tuple(frozenset(word.split("|")) for word in rest if not word.startswith("-"))
            flags = frozenset(word for word in rest if word.startswith("-"))
            name = " ".join([program, *(word.partition("|")[0] for word in rest)])
            table.setdefault(program, []).append(_Row(words, flags, Known(check, name)))
    for found in table.values():
        found.sort(key=lambda row: (len(row.words), len(row.flags)), reverse=True)
    return table


_TABLE = _rows()


def is_python(program: str) -> bool:
    """Say whether a program is a Python interpreter."""
    return _RUNTIMES.match(program) is not None


def known(program: str, args: list[str]) -> Known | None:
    """Say what a command checks; null when it is no check that is known, or only asks for help."""
    rows, targets = _TABLE.get(program), TARGETS.get(program)
    if rows is None and targets is None:
        return None
    says = SAYS_ONLY_OF.get(program, frozenset())
    for arg in args[:_ARGS_MAX]:
        if arg in SAYS_ONLY or arg in says or arg.startswith("-exec="):
            return None
    words = words_of(program, args)
    if rows is not None and (found := _of_rows(rows, words, args)):
        return found
    if targets is None or any(map(_IDLE.match, args)):
        return None
    found = _of_targets(program, words, targets)
    left_out = _LEAVES_OUT.get(program)
    if found is not None and left_out in args[:-1] and args[args.index(left_out) + 1] in words:
        return None
    return found


def _of_rows(rows: list[_Row], words: list[str], args: list[str]) -> Known | None:
    for row in rows:
        if row.flags and not row.flags.issubset(args):
            continue
        if len(row.words) <= len(words) and all(
            word in wanted for word, wanted in zip(words, row.words, strict=False)
        ):
            return row.known
    return None


def _of_targets(program: str, words: list[str], between: tuple[tuple[str, ...], ...]) -> Known | None:
    for lead in between:
        if tuple(words[: len(lead)]) == lead:
            names = words[len(lead) :]
            break
    else:
        return None
    if not names and not lead and program in BUILDS_BARE:
        return Known("build", program)
    several = program in JVM or program in ("make", "gmake", "just", "rake", "task")
    found = [
        Known(check, f"{program} {name}")
        for name in (names[:8] if several else names[:1])
        if (check := of_target(name, jvm=program in JVM)) and len(name) < 80
    ]
    return next((each for each in found if each.check == "test"), found[0] if found else None)


@lru_cache(maxsize=1024)
def of_target(name: str, *, jvm: bool = False) -> Check | None:
    """Say what a target of make, or a script of package.json, checks, by the words in its name."""
    if "=" in name or len(name) > 80:
        return None
    name = name.rsplit(":", 1)[-1] if jvm else name
    parts = [part.lower() for part in _NAME_PARTS.findall(name)]
    if not parts or not CHANGES.isdisjoint(parts):
        return "build" if jvm and name in ("install", "deploy") else None
    kinds = {
        WORDS_OF[part] for part in parts if part in WORDS_OF and (len(parts) > 1 or part not in NOT_BUILT)
    }
    for kind in ("types", "lint", "test", "build"):
        if kind in kinds:
            return _unless_a_change(kind, parts)
    return None


def _unless_a_change(kind: Check, parts: list[str]) -> Check | None:
    """Formatting checks only where its name says so."""
    if kind == "lint" and not {"fmt", "format", "prettier", "style"}.isdisjoint(parts):
        return kind if "check" in parts or "lint" in parts else None
    return kind


def valued_of(program: str) -> frozenset[str]:
    """Give a program's flags that take the next word as their value."""
    return VALUED.get(program, frozenset())


def words_of(program: str, args: list[str]) -> list[str]:
    """Give the words of a command that are no flags and no flags' values, up to `--`."""
    valued = VALUED.get(program, frozenset())
    words: list[str] = []
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg == "--":
            break
        elif arg in valued:
            skip = True
        elif not arg.startswith(("-", "+")) or program == "earthly":
            words.append(arg)
    return words


def is_runner(path: str) -> bool:
    """Say whether a script's name is that of a project's own runner of its tests."""
    name = path.rsplit("/", 1)[-1]
    return "/" in path and _RUNNER.match(name) is not None

r"""Rules as data: a TOML file of a user or a project says which patterns vote for which skill.

[[rule]]
skill = "pdf"
pattern = '\bmerge\b.*\bpdfs?\b'      # RE2, case ignored; or `patterns`, a list
words = ["fill in the form"]           # as they stand, as whole words
weight = 2                             # 1 when not given
project = "invoices"                   # in a user's file: for prompts of this project alone
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from karl.errors import Unreadable
from karl.routing import rules as voting
from karl.schema.routing import Origin, Rule
from karl.skills.files import read_text
from karl.skills.told import Problem

#: Bytes of a file of rules, and rules in one.
FILE_MAX, RULES_MAX = 16 << 20, 100_000
_FIELDS = ("skill", "pattern", "patterns", "words", "weight", "project")


class Read(NamedTuple):
    """The rules of a file, and what was wrong with others."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_rules(path: Path, *, origin: Origin, project: str = "") -> Read:
    """Read a file of rules; with a `project` they count for that project alone, whatever the file says.

    A rule that is none is a problem that names the file and the rule; the others stay.
    """
    try:
        text = read_text(path, FILE_MAX)
        if text.is_cut:
            return Read((), (Problem(str(path), f"it has more than {FILE_MAX:,} bytes", lost=True),))
        given = tomllib.loads(text.text)
    except (Unreadable, tomllib.TOMLDecodeError, RecursionError) as error:
        return Read((), (Problem(str(path), f"no rule can be read: {error}", lost=True),))
    unknown = sorted(set(given) - {"rule"})
    problems = [
        Problem(str(path), f"{name} is nothing that is known; rules are [[rule]]", True) for name in unknown
    ]
    return _rules(given.get("rule", []), str(path), problems, origin, project)


def rules_of(rows: Any, where: str, *, origin: Origin, project: str = "") -> Read:
    """Read rules from rows as a file has them."""
    return _rules(rows, where, [], origin, project)


def _rules(rows: Any, where: str, problems: list[Problem], origin: Origin, project: str) -> Read:
    if not isinstance(rows, list):
        return Read((), (*problems, Problem(where, "`rule` is no list; write [[rule]]", lost=True)))
    if len(rows) > RULES_MAX:
        problems.append(Problem(where, f"{len(rows):,} rules; the first {RULES_MAX:,} count", lost=True))
    found: dict[Rule, None] = {}
    for number, row in enumerate(rows[:RULES_MAX], 1):
        name = f"rule {number}"
        if isinstance(row, Mapping) and isinstance(row.get("skill"), str):
            name += f" ({row['skill'][:80]})"
        for one in _row(row, origin, project):
            if isinstance(one, Rule):
                found[one] = None
            else:
                problems.append(Problem(where, f"{name}: {one}", lost=True))
    return Read(tuple(found), tuple(problems))


def _row(row: Any, origin: Origin, project: str) -> Iterator[Rule | str]:
    """Give the rules of one row, and a text for each thing that is wrong with it."""
    if not isinstance(row, Mapping):
        yield "it is no table"
        return
    for name in row:
        if name not in _FIELDS:
            yield f"{name} is no field of a rule; there are {', '.join(_FIELDS)}"
    skill, own, weight = row.get("skill", ""), row.get("project", ""), row.get("weight", 1.0)
    if why := _misfit(skill, own, weight):
        yield why
        return
    patterns = [*_texts(row, "pattern"), *_texts(row, "patterns")]
    words = [word for word in _texts(row, "words") if any(letter.isalnum() for letter in word)]
    if not patterns and not words:
        yield "it has neither `pattern` nor `words`"
    for pattern in [*patterns, *map(voting.phrase, words)]:
        if why := voting.problem(pattern):
            yield f"{pattern[:80]!r}: {why}"
        else:
            yield Rule(skill.strip(), pattern, project or own, float(weight), origin)


def _misfit(skill: Any, project: Any, weight: Any) -> str:
    """Say which field of a rule is not what it should be; an empty text when all are."""
    if not isinstance(skill, str) or not skill.strip():
        return "`skill` names no skill"
    if not isinstance(project, str):
        return "`project` is no text"
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        return "`weight` is no number"
    return voting.weight_problem(weight)


def _texts(row: Mapping[str, Any], name: str) -> list[str]:
    value = row.get(name, [])
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]

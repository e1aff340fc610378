"""Descriptions as exemplars: what a skill says of itself, cut so that prompts can be compared with it.

A description is one long sentence of several wishes ("Use when A, B or C"), a prompt is one of them. So the
whole counts, with and without the skill's name, and so does each of its clauses. All of a description
together counts as much as two prompts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from karl.routing.router import Exemplar

#: What the whole description, the whole with the name before it, and all of its clauses count.
WHOLE, NAMED, CLAUSES = 0.5, 0.5, 1.0
#: Characters below which a clause says nothing alone, and clauses of a description that are looked at.
_SHORTEST, _CLAUSES_MAX = 9, 24
_ENDS = re.compile(r"(?<=[.!?;:])\s+|\n+|, (?:or )?|\bor when\b| [\u2014\u2013] ")
_OPENING = re.compile(r"^(?:use this skill |use )?when\s+", re.IGNORECASE)


def spelled(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    """Give the rows that a router is trained with: descriptions and names cut, all others as they are.

    A name is a row of its own only where the skill has no description. The order is that of the exemplars.
    """
    names = {one.skill: one.text.strip() for one in exemplars if one.kind == "name"}
    described = {one.skill for one in exemplars if one.kind == "description" and one.text.strip()}
    rows: list[Exemplar] = []
    for one in exemplars:
        if not one.text.strip():
            continue
        if one.kind == "description":
            rows += _cut(one, names.get(one.skill, ""))
        elif one.kind == "name" and one.skill not in described:
            rows.append(one._replace(weight=one.weight * (WHOLE + NAMED + CLAUSES)))
        elif one.kind != "name":
            rows.append(one)
    return rows


def words_of(name: str) -> str:
    """Give a skill's name as words: `pdf-tools:split_pages` is `pdf tools split pages`."""
    return " ".join(re.findall(r"\w+", name.replace("_", " ")))


def clauses(text: str) -> list[str]:
    """Cut a description where one wish ends and another begins; each once, the whole never alone."""
    parts = (_OPENING.sub("", part.strip()).strip() for part in _ENDS.split(text))
    return list(dict.fromkeys(part for part in parts if len(part) >= _SHORTEST))[:_CLAUSES_MAX]


def _cut(one: Exemplar, name: str) -> list[Exemplar]:
    whole = one.text.strip()
    named = f"{name or words_of(one.skill)}: {whole}"
    parts = clauses(whole) or [whole]
    rows = [(whole, WHOLE), (named, NAMED), *((part, CLAUSES / len(parts)) for part in parts)]
    return [one._replace(text=text, weight=one.weight * weight) for text, weight in rows]

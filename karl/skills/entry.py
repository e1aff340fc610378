"""What the fields above a skill's text say: an entry of the catalogue, and the rules that come with it.

Fields go by many names (`when_to_use`, `when-to-use`, `whenToUse`); lists are YAML lists, or texts with
commas or lines. What can not be read is a problem that is told, and the rest stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from karl.routing import rules as voting
from karl.routing.text import TEXT_MAX
from karl.schema.routing import Origin, Rule, SkillEntry
from karl.skills.told import Problem, Told

#: Characters that agents show of a description; more of it is kept, as an encoder reads more.
SHOWN_MAX = 1_536
#: Characters of a name.
NAME_MAX = 128
#: Examples and words of one skill.
EXAMPLES_MAX, WORDS_MAX = 100, 200
#: Characters of a trigger that is looked for as it is; a longer one tells when the skill is of use.
WORD_MAX = 100
#: What one of a skill's keywords is worth, beside its patterns and triggers.
KEYWORD_WEIGHT = 0.5

_CALLABLE = re.compile(r"[\w.:-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")
#: What stands in the name of a file that is no text.
_SURROGATES = re.compile("[\ud800-\udfff]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LIST = re.compile(r"[,;|\n]")
_YES, _NO = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})

_WHEN = ("when-to-use", "when", "use-when", "usage")
_EXAMPLES = ("examples", "example", "example-prompts", "prompts", "utterances")
_PATTERNS = ("patterns", "pattern", "regex", "regexes")
_TRIGGERS = ("triggers", "trigger", "trigger-phrases", "trigger-words")
_KEYWORDS = ("keywords", "keyword")
#: How the text of an example, or of a pattern, is called where it has fields of its own.
_TEXT_NAMES = ("prompt", "text", "user", "input", "query", "utterance", "pattern", "regex", "phrase", "value")


class Of(NamedTuple):
    """Where a skill stands: what tells of it, the project it is for, the plugin it came with."""

    origin: Origin
    project: str = ""
    plugin: str = ""


def entry(fields: Mapping[str, Any], body: str, *, otherwise: str, of: Of, digest: str, where: str) -> Told:
    """Read a skill from its fields and the text below them; never fails.

    `otherwise` names it where the fields do not, or where nobody could call it by the name that they give;
    `where` is the file that problems are told of.
    """
    given = _by_one_name(fields)
    problems = _Problems(where)
    written = clean(_text(given.get("name")), NAME_MAX)
    folder = clean(otherwise, NAME_MAX)
    short = _called(written, folder, problems)
    triggers, long_ones = _words(given, _TRIGGERS, problems)
    keywords, _ = _words(given, _KEYWORDS, problems)
    when = "\n".join([_text(_first(given, _WHEN)), *long_ones]).strip()
    skill = SkillEntry(
        name=f"{of.plugin}:{short}" if of.plugin and not short.startswith(f"{of.plugin}:") else short,
        description=_described(given, body, problems),
        when=_cut(when, "when_to_use", problems),
        examples=_examples(given, problems),
        project=of.project,
        plugin=of.plugin,
        model_invocable=not _flag(given, "disable-model-invocation", problems, otherwise=False),
        user_invocable=_flag(given, "user-invocable", problems, otherwise=True),
        digest=digest,
    )
    made = [
        *_sound(_patterns(given, skill, of.origin, problems), problems),
        *(_rule(skill, voting.phrase(words), 1.0, of.origin) for words in triggers),
        *(_rule(skill, voting.phrase(words), KEYWORD_WEIGHT, of.origin) for words in keywords),
        *_of_names(skill, (folder, written), of.origin),
    ]
    rules = dict.fromkeys(made)
    return Told(skill, tuple(rules), tuple(problems.all))


class _Problems:
    """What was wrong with one file, as it is read."""

    def __init__(self, where: str) -> None:
        self.all: list[Problem] = []
        self._where = where

    def append(self, why: str, *, lost: bool = False) -> None:
        self.all.append(Problem(self._where, why, lost))


def clean(text: str, limit: int) -> str:
    """Give a text on one line, without control characters, of at most `limit` characters."""
    return " ".join(_CONTROL.sub(" ", _SURROGATES.sub("\ufffd", text)).split())[:limit]


def _by_one_name(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give fields by the one spelling of their names; those under `metadata` count where no other is."""
    own = {_spelled(name): value for name, value in fields.items()}
    inner = own.get("metadata")
    if isinstance(inner, Mapping):
        return {**{_spelled(name): value for name, value in inner.items()}, **own}
    return own


def _spelled(name: object) -> str:
    return _CAMEL.sub("-", str(name).strip()).lower().replace("_", "-").replace(" ", "-")


def _called(written: str, folder: str, problems: _Problems) -> str:
    """Give the name by which the skill can be called."""
    if not written:
        return folder
    if not folder:
        return written
    if not _CALLABLE.fullmatch(written):
        if _spelled(written) != folder.lower():
            problems.append(f"nobody can call a skill {written!r}; it is called {folder} like its folder")
        return folder
    if written != folder:
        problems.append(f"it is called {written}, its folder {folder}; agents differ in which one they call")
    return written


def _text(value: Any) -> str:
    """Give a value as text: a list's items one a line, of a mapping nothing."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "\n".join(item.strip() for item in value if isinstance(item, str))
    return "" if value is None or isinstance(value, Mapping) else str(value)


def _first(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((given[name] for name in names if given.get(name)), None)


def _described(given: Mapping[str, Any], body: str, problems: _Problems) -> str:
    description = _text(given.get("description"))
    if not description:
        description = first_paragraph(body)
        told = "; its first paragraph is taken" if description else ", and no text to take one from"
        problems.append(f"there is no description{told}")
    elif len(description) > SHOWN_MAX:
        problems.append(
            f"the description has {len(description):,} characters; agents show {SHOWN_MAX:,} of them"
        )
    return _cut(description, "description", problems)


def _cut(text: str, what: str, problems: _Problems) -> str:
    if len(text) > TEXT_MAX:
        problems.append(f"{what} has {len(text):,} characters; the first {TEXT_MAX:,} are kept")
    return text[:TEXT_MAX]


def first_paragraph(body: str) -> str:
    """Give the first paragraph of a Markdown text that is no heading, comment, code or rule."""
    lines: list[str] = []
    is_code = is_comment = False
    for raw in body.split("\n"):
        line = raw.strip()
        if line.startswith(("```", "~~~")):
            is_code = not is_code
        is_comment = is_comment or line.startswith("<!--")
        passed = is_code or is_comment or line.startswith(("#", "```", "~~~", "---", "===", "!["))
        if "-->" in line:
            is_comment = False
        if line and not passed:
            lines.append(line)
        elif lines:
            break
    return clean(" ".join(lines), TEXT_MAX)


def _flag(given: Mapping[str, Any], name: str, problems: _Problems, *, otherwise: bool) -> bool:
    value = _text(given.get(name)).lower()
    if value in _YES or value in _NO:
        return value in _YES
    if value:
        problems.append(f"{name} is {value[:40]!r}, which is neither true nor false")
    return otherwise


def _listed(value: Any, split: re.Pattern[str]) -> Iterator[str]:
    """Give the texts of a list, or of a text that lists them."""
    if isinstance(value, Mapping):
        value = [_first(value, _TEXT_NAMES)] if _first(value, _TEXT_NAMES) else list(value.values())
    for item in split.split(value) if isinstance(value, str) else value if isinstance(value, list) else ():
        if isinstance(item, Mapping):
            yield from _listed([_first(item, _TEXT_NAMES)], split)
        elif isinstance(item, str) and (text := item.strip().removeprefix("- ").strip("\"'` ")):
            yield text


def _words(
    given: Mapping[str, Any], names: tuple[str, ...], problems: _Problems
) -> tuple[list[str], list[str]]:
    """Give what is looked for as whole words, and what is too long for that."""
    words = list(dict.fromkeys(_listed(_first(given, names), _LIST)))
    if len(words) > WORDS_MAX:
        problems.append(f"{names[0]} are {len(words):,}; the first {WORDS_MAX} count")
    words = [" ".join(word.split()) for word in words[:WORDS_MAX]]
    short = [word for word in words if len(word) <= WORD_MAX and any(letter.isalnum() for letter in word)]
    return short, [word for word in words if len(word) > WORD_MAX]


def _examples(given: Mapping[str, Any], problems: _Problems) -> tuple[str, ...]:
    examples = list(dict.fromkeys(_listed(_first(given, _EXAMPLES), re.compile("\n"))))
    if len(examples) > EXAMPLES_MAX:
        problems.append(f"examples are {len(examples):,}; the first {EXAMPLES_MAX} are kept")
    return tuple(example[:TEXT_MAX] for example in examples[:EXAMPLES_MAX])


def _patterns(
    given: Mapping[str, Any], skill: SkillEntry, origin: Origin, problems: _Problems
) -> Iterator[Rule]:
    value = _first(given, _PATTERNS)
    for item in [value] if isinstance(value, str | Mapping) else value if isinstance(value, list) else ():
        weight = 1.0
        if isinstance(item, Mapping):
            weight = _number(item.get("weight"), problems)
        text = _text(_first(item, _TEXT_NAMES) if isinstance(item, Mapping) else item)
        for pattern in text.split("\n"):
            if pattern.strip():
                yield _rule(skill, pattern.strip(), weight, origin)


def _number(value: Any, problems: _Problems) -> float:
    try:
        return float(value) if value is not None else 1.0
    except (TypeError, ValueError):
        problems.append(f"the weight {str(value)[:40]!r} is no number; 1 is taken")
        return 1.0


def _rule(skill: SkillEntry, pattern: str, weight: float, origin: Origin) -> Rule:
    return Rule(skill=skill.name, pattern=pattern, project=skill.project, weight=weight, origin=origin)


def _of_names(skill: SkillEntry, others: Iterable[str], origin: Origin) -> Iterator[Rule]:
    """Give the rules of a skill's name, and of its other names for less."""
    own = voting.of_name(skill.name, project=skill.project, origin=origin)
    yield from own
    for other in others:
        for rule in voting.of_name(other, project=skill.project, origin=origin):
            if all(rule.pattern != one.pattern for one in own):
                yield _rule(skill, rule.pattern, voting.SHORT_NAME_WEIGHT, origin)


def _sound(made: Iterable[Rule], problems: _Problems) -> Iterator[Rule]:
    """Leave out what is no rule, and tell of it."""
    for rule in made:
        if why := voting.problem(rule.pattern) or voting.weight_problem(rule.weight):
            problems.append(f"the pattern {rule.pattern[:80]!r} is no rule: {why}", lost=True)
        else:
            yield rule

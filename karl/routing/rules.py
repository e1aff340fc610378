"""Rules: patterns that vote for a skill where a prompt has them; most votes win, a tie gives no pick.

All patterns are looked for together: one pass over the prompt finds which of them could match, and only
these are tried. RE2 runs them, so a hostile prompt or pattern costs time in proportion to its length.

Invariants:
- The same rules, in any order, give the same pick.
- A pattern that is no pattern is a problem that is told; the other rules stay.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from karl.routing.text import TEXT_MAX
from karl.schema.routing import Origin, Rule

#: Characters of a pattern; a longer one is no rule that anybody wrote.
PATTERN_MAX = 1_000
#: The heaviest that one rule may be: no other could ever be heard beside a heavier one.
WEIGHT_MAX = 100.0
#: Votes that differ by less are a tie.
_TIE = 1e-9
#: Patterns that are looked for in one pass, and their bytes; more would not fit into RE2's memory.
_PASS_MAX, _PASS_BYTES_MAX = 2_000, 40_000
#: Bytes for one pattern compiled.
_PATTERN_MEMORY = 1 << 20

#: What a skill's own name is worth, the plugin's name before it included, and without that.
NAME_WEIGHT, SHORT_NAME_WEIGHT = 0.25, 0.125

#: What stands beside a word whose end is a letter that RE2's \b does not know.
_EDGE = (
    r"[\x{0}-\x{2F}\x{3A}-\x{40}\x{5B}-\x{60}\x{7B}-\x{BF}"
    r"\x{2000}-\x{206F}\x{3000}-\x{303F}\x{FF00}-\x{FF0F}]"
)
#: Scripts that put no space between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_SEPARATORS = re.compile(r"[\s_-]+")
#: ASCII that may mean something in a pattern.
_SPECIAL = re.compile(r"[!-/:-@\[-^`{-~]")


class BadRule(NamedTuple):
    """A rule that can not vote, and why."""

    rule: Rule
    why: str


class Rules:
    """Rules made ready to vote; pure, and safe to share between threads once made."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile patterns, each once however many rules have it."""
        by_pattern: dict[str, list[Rule]] = {}
        problems = []
        for rule in sorted(set(rules), key=_order):
            if why := weight_problem(rule.weight):
                problems.append(BadRule(rule, why))
            else:
                by_pattern.setdefault(rule.pattern, []).append(rule)
        for pattern in list(by_pattern):
            if why := problem(pattern):
                problems += [BadRule(rule, why) for rule in by_pattern.pop(pattern)]
        self.problems: tuple[BadRule, ...] = tuple(problems)
        self._passes = [made for some in _portions(by_pattern) for made in _passes(some)]

    def matching(self, text: str, project: str = "") -> list[Rule]:
        """Give the rules that vote on a prompt of a project, the heaviest first.

        A skill's pattern votes once, however many places tell of it.
        """
        data = text[:TEXT_MAX].encode("utf-8", "replace")
        found = [
            rule
            for each in self._passes
            for place in each.find(data)
            for rule in each.rules[place]
            if not rule.project or rule.project == project
        ]
        once: dict[tuple[str, str], Rule] = {}
        for rule in sorted(found, key=lambda rule: (-rule.weight, *_order(rule))):
            once.setdefault((rule.skill, rule.pattern), rule)
        return list(once.values())

    def votes(self, text: str, project: str = "") -> list[tuple[str, float]]:
        """Give each skill that has votes with their sum, the most first."""
        by_skill: dict[str, list[float]] = {}
        for rule in self.matching(text, project):
            by_skill.setdefault(rule.skill, []).append(rule.weight)
        # fsum: the same votes in another order are the same sum
        sums = [(skill, math.fsum(weights)) for skill, weights in by_skill.items()]
        return sorted(sums, key=lambda one: (-one[1], one[0]))

    def pick(self, text: str, project: str = "") -> str | None:
        """Give the skill with the most votes; none where nobody votes, or two have as many."""
        return winner(self.votes(text, project))


def winner(votes: Sequence[tuple[str, float]]) -> str | None:
    """Say who of `Rules.votes` wins; none for a tie."""
    if not votes or (len(votes) > 1 and votes[0][1] - votes[1][1] < _TIE):
        return None
    return votes[0][0]


def problem(pattern: str) -> str:
    """Say why a text is no pattern of a rule; an empty text when it is one."""
    import re2  # noqa: PLC0415 - commands that only name rules do without it

    if not pattern:
        return "the pattern is empty"
    if len(pattern) > PATTERN_MAX:
        return f"the pattern has {len(pattern):,} characters; {PATTERN_MAX:,} is the most"
    try:
        compiled = re2.compile(pattern.encode(), _options())
    except UnicodeEncodeError:
        return "the pattern is no text"
    except re2.error as error:
        return f"RE2 does not take the pattern: {_reason(error)}"
    if compiled.search(b"") and compiled.search(b"x"):
        return "the pattern matches every prompt"
    return ""


def weight_problem(weight: float) -> str:
    """Say why a number is no weight of a rule; an empty text when it is one."""
    if math.isfinite(weight) and 0 < weight <= WEIGHT_MAX:
        return ""
    return f"the weight is {weight:g}; it must be above 0 and at most {WEIGHT_MAX:g}"


def phrase(words: str) -> str:
    """Give the pattern of words that stand in a prompt as they are, in any case, as whole words."""
    return _whole(r"\s+".join(escaped(word) for word in words.split()), words.strip())


def escaped(text: str) -> str:
    """Give the pattern of a text without spaces that stands for itself."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def of_name(skill: str, *, project: str = "", origin: Origin = "user") -> tuple[Rule, ...]:
    """Give the rules that a skill's own name is: `/name`, `$name`, `the name skill`, `use name`.

    A name of several words counts wherever it stands. Of `plugin:name` the last part counts too, for less, so
    that the skill that is called just so wins.
    """
    names = {skill: NAME_WEIGHT}
    short = skill.rpartition(":")[2]
    if short and short != skill:
        names[short] = SHORT_NAME_WEIGHT
    return tuple(
        Rule(skill=skill, pattern=pattern, project=project, weight=weight, origin=origin)
        for name, weight in names.items()
        if (pattern := _named(name))
    )


def _named(name: str) -> str:
    words = [word for word in _SEPARATORS.split(name) if word]
    written = r"[\s_-]+".join(escaped(word) for word in words)
    if not written or not any(letter.isalnum() for letter in name):
        return ""
    if len(words) > 1 or ":" in name:
        return _whole(written, name)
    # One word may be anybody's: "test", "review". It is the skill's name where somebody uses it as one.
    quoted = f"[\"'`*]*{written}[\"'`*]*"
    ways = (
        rf"(?:^|[\s(\"'`])[/$]{_whole(written, name, before=False)}",
        rf"{_whole(quoted, name, after=False)}[\s-]+skill\b",
        rf"\bskill[\s:]+{_whole(quoted, name, before=False)}",
    )
    return "|".join(ways)


def _whole(written: str, text: str, *, before: bool = True, after: bool = True) -> str:
    """Give the pattern of a text that is part of no longer word, on the sides where that is asked for."""
    first = _edge(text[0], f"(?:^|{_EDGE})") if before and text else ""
    last = _edge(text[-1], f"(?:{_EDGE}|$)") if after and text else ""
    return f"{first}{written}{last}"


def _edge(letter: str, otherwise: str) -> str:
    if _UNSPACED.match(letter):
        return ""
    return r"\b" if letter.isascii() and (letter.isalnum() or letter == "_") else otherwise


class _Pass(NamedTuple):
    """Patterns that are looked for together, and the rules of each."""

    filter: Any
    rules: list[list[Rule]]

    def find(self, data: bytes) -> list[int]:
        return self.filter.Match(data) or []


def _portions(by_pattern: dict[str, list[Rule]]) -> Iterator[list[tuple[str, list[Rule]]]]:
    """Cut patterns into portions that fit into one pass each."""
    portion: list[tuple[str, list[Rule]]] = []
    size = 0
    for pattern, rules in by_pattern.items():
        length = len(pattern.encode())
        if portion and (len(portion) >= _PASS_MAX or size + length > _PASS_BYTES_MAX):
            yield portion
            portion, size = [], 0
        portion.append((pattern, rules))
        size += length
    if portion:
        yield portion


def _passes(patterns: list[tuple[str, list[Rule]]]) -> list[_Pass]:
    """Compile patterns into one pass, or into several where they are too large for one."""
    import re2  # noqa: PLC0415

    one = re2.Filter()
    for pattern, _ in patterns:
        one.Add(pattern.encode(), _options())
    try:
        one.Compile()
    except re2.error:
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        return [*_passes(patterns[:half]), *_passes(patterns[half:])]
    return [_Pass(one, [rules for _, rules in patterns])]


def _options() -> Any:
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    return options


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else str(error)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _order(rule: Rule) -> tuple[str, str, str, float, str]:
    return (rule.pattern, rule.skill, rule.project, rule.weight, rule.origin)

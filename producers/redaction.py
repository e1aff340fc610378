"""The rules of redaction, compiled: what of a text's bytes is a secret.

The rules are data (`redaction_rules.toml`) and run on RE2, so hostile text costs time in proportion to its
length. All their gates are looked for in one pass; only rules whose gates were found are tried.

Invariants:
- A text in which a rule could match passes the gates: they may err on that side only.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from producers.columns import cells
from producers.harmless import CHECKS, Match
from producers.key_blocks import key_blocks
from producers.readings import CODED, decoded, joined, unescaped

#: A JSON escape of a plain letter could hide a keyword from a gate.
HIDING_ESCAPE = r"\\u00[2-7]"
#: Escapes of a URL or of HTML that could hide what a gate looks for between words.
_HIDING_CODE = r"%(?:25)*(?:2[27F]|3[AD]|40)|&(?:amp;)*(?:quot|#)"
#: Base64 inside base64 that is read.
_CODED_DEPTH_MAX = 2
#: Characters below which nothing is decoded or scanned.
_CODED_MIN = 16
_REDACTED = b"[REDACTED:"
#: Names that are remembered, and bytes of one.
_NAMES_MAX, _NAME_MAX = 10_000, 64


class Rule(NamedTuple):
    """One kind of secret; `gate` matches (in any case) wherever `regex` may.

    Where the text does not match `needs` and `also` (in any case), nothing of it is such a secret. A rule
    that `is_scan` is gated by itself.
    """

    id: str
    regex: str
    gate: str
    checks: tuple[str, ...]
    needs: str = ""
    is_scan: bool = False
    also: str = ""


class Span(NamedTuple):
    """Bytes of a text that are a secret, and the rule that says so."""

    start: int
    end: int
    rule: int


def load_rules() -> dict[str, Any]:
    """Read the rules that ship with KARL."""
    text = importlib.resources.files("producers").joinpath("redaction_rules.toml").read_text("utf-8")
    return tomllib.loads(text)


class _Checks(NamedTuple):
    """Tests of a match: a regex for harmless values, whether name and path count, what code says."""

    values: Any
    looks_at_name: bool
    looks_at_path: bool
    others: tuple[Callable[[Match], bool], ...]


class Rules:
    """The rules for texts, each part compiled at first use."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self._known_checks: dict[tuple[str, ...], _Checks] = {}
        self._known_names: dict[bytes, bool] = {}

    @cached_property
    def all(self) -> tuple[Rule, ...]:
        """The rules in order of precedence."""
        return tuple(self._rule(row) for row in self.data["rule"])

    def could_be_in_raw(self, raw: bytes) -> bool:
        """Say whether a raw payload needs a closer look; a no is certain."""
        return self._raw_gate.search(raw) is not None or bool(self._scanning.Match(raw))

    def could_be_in(self, data: bytes) -> bool:
        """Say whether a text needs a closer look; a no is certain."""
        return bool(self._gates.Match(data)) or (len(data) >= _CODED_MIN and bool(self._scanning.Match(data)))

    def find(self, data: bytes, depth: int = 0) -> list[Span]:
        """Find the secrets of one text in every reading of it, the overlapping ones made one, in order."""
        found = self._matches(data)
        for way in unescaped(data):
            for start, end, rule in self._matches(way[0].data):
                for reading in way:
                    start, end = reading.origin(start, end)  # noqa: PLW2901 - step by step back to the text
                found.append(Span(start, end, rule))
        whole = joined(data)
        if whole is not None:
            found += [Span(*whole.origin(start, end), rule) for start, end, rule in self._matches(whole.data)]
        if depth < _CODED_DEPTH_MAX:
            found += self._coded(data, depth)
        return _merge([Span(start, _end_of_character(data, end), rule) for start, end, rule in found])

    def expand(self, pattern: str) -> str:
        """Put the fragments that a pattern names into it."""
        while "%" in pattern:
            before = pattern
            for name, fragment in self.data["fragments"].items():
                pattern = pattern.replace(f"%{name}%", fragment)
            if pattern == before:
                break
        return pattern

    def is_harmless(self, checks: tuple[str, ...], data: bytes, start: int, end: int, name: bytes) -> bool:
        """Say whether what a rule matched, given to a name, is no secret."""
        value = data[start:end]
        if value.startswith(_REDACTED) and self._harmless["placeholder"].fullmatch(value):
            return True
        values, looks_at_name, looks_at_path, others = self._checks(checks)
        if looks_at_name and self._is_harmless_name(name):
            return True
        if values is not None and values.fullmatch(value) is not None:
            return True
        if others:
            match = Match(value, name, data[max(0, start - 4) : start], data[end : end + 2])
            if any(check(match) for check in others):
                return True
        # Only of a name such as `pwd` a path is what is meant.
        is_place = looks_at_path and name.lower().startswith((b"pwd", b"cred"))
        return is_place and self._harmless["path"].fullmatch(value) is not None

    def _checks(self, checks: tuple[str, ...]) -> _Checks:
        known = self._known_checks.get(checks)
        if known is None:
            patterns = self.data["harmless"]
            of_value = [f"(?:{patterns[c]})" for c in checks if c in patterns and c not in {"name", "path"}]
            regex = compile_rule("|".join(of_value), ignore_case=True) if of_value else None
            others = tuple(CHECKS[check] for check in checks if check in CHECKS)
            known = self._known_checks[checks] = _Checks(regex, "name" in checks, "path" in checks, others)
        return known

    def _is_harmless_name(self, name: bytes) -> bool:
        """Judge a name; the same few come again and again."""
        known = self._known_names.get(name)
        if known is None:
            known = self._harmless["name"].fullmatch(name) is not None
            if len(self._known_names) < _NAMES_MAX and len(name) < _NAME_MAX:
                self._known_names[name] = known
        return known

    def _rule(self, row: Mapping[str, Any]) -> Rule:
        words = "|".join(_escape(word) for word in row.get("keywords", ()))
        gate = self.expand(row.get("gate", words))
        return Rule(
            row["id"],
            self.expand(row["regex"]),
            gate,
            tuple(row.get("checks", ())),
            row.get("needs", ""),
            row.get("scan", False),
            row.get("also", ""),
        )

    # What follows is compiled once.

    @cached_property
    def _raw_gate(self) -> Any:
        words = [*self._gated, self.expand(self.data["fields"]["gate"]), self.data["paths"]["gate"]]
        words += [HIDING_ESCAPE, _HIDING_CODE, *(f'"{name}"' for name in self.data["fields"]["dropped"])]
        return compile_rule("|".join(words), ignore_case=True)

    @cached_property
    def _gates(self) -> Any:
        return _set([*self._gated, _HIDING_CODE, *self._also], ignore_case=True)

    @cached_property
    def _scanning(self) -> Any:
        return _set(list(self._scans), ignore_case=False)

    @cached_property
    def _scans(self) -> dict[str, tuple[int, ...]]:
        """What is looked for by itself, as it would slow the gates, and the rules that it gates."""
        scans = {rule.gate: (number,) for number, rule in enumerate(self.all) if rule.is_scan}
        return {CODED: (), **scans}

    @cached_property
    def _gated(self) -> dict[str, tuple[int, ...]]:
        """The rules, by their gate."""
        found: dict[str, tuple[int, ...]] = {}
        for number, rule in enumerate(self.all):
            if not rule.is_scan:
                found[rule.gate] = (*found.get(rule.gate, ()), number)
        return found

    @cached_property
    def _also(self) -> list[str]:
        return list(dict.fromkeys(rule.also for rule in self.all if rule.also))

    @cached_property
    def _rules_of_gate(self) -> tuple[tuple[tuple[int, int | None], ...], ...]:
        """By a gate's number in the set: its rules, each with the number of the other gate that it needs."""
        after = {gate: len(self._gated) + 1 + number for number, gate in enumerate(self._also)}
        rows = tuple(
            tuple((rule, after.get(self.all[rule].also)) for rule in rules) for rules in self._gated.values()
        )
        return (*rows, (), *(() for _ in after))

    @cached_property
    def _regexes(self) -> tuple[tuple[Any, tuple[int, ...], tuple[int, ...]], ...]:
        """Each rule's regex with the numbers of its secret groups and of its name groups."""
        rows = []
        for rule in self.all:
            regex = compile_rule(rule.regex, ignore_case=False)
            groups = [(name.decode(), number) for name, number in regex.groupindex.items()]
            secrets = tuple(sorted(number for name, number in groups if not name.startswith("name"))) or (0,)
            names = tuple(sorted(number for name, number in groups if name.startswith("name")))
            rows.append((regex, secrets, names))
        return tuple(rows)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {rule.id: number for number, rule in reversed(list(enumerate(self.all)))}

    def _number(self, rule: str) -> int:
        """Give the number of the first rule with an id."""
        return self._numbers[rule]

    @cached_property
    def _needs(self) -> tuple[Any, ...]:
        return tuple(compile_rule(rule.needs, ignore_case=True) if rule.needs else None for rule in self.all)

    @cached_property
    def _harmless(self) -> dict[str, Any]:
        rows = self.data["harmless"].items()
        return {name: compile_rule(pattern, ignore_case=True) for name, pattern in rows}

    # The parts of a search.

    def _matches(self, data: bytes) -> list[Span]:
        """Find what the rules match in one reading of a text."""
        found = [Span(start, end, self._number("private-key")) for start, end in key_blocks(data)]
        candidates = self._candidates(data)
        near = self._number("secret-near")
        if near in candidates and b"\n" in data:
            found += (Span(start, end, near) for start, end in cells(data))
        for rule in candidates:
            needs = self._needs[rule]
            if needs is not None and needs.search(data) is None:
                continue
            regex, secrets, names = self._regexes[rule]
            checks = self.all[rule].checks
            for match in regex.finditer(data):
                start, end = _first_span(match, secrets)
                name = _first_group(match, names) if names else b""
                if start < end and not self.is_harmless(checks, data, start, end, name):
                    found.append(Span(start, end, rule))
        return found

    def _candidates(self, data: bytes) -> list[int]:
        """Give the rules that may match."""
        gates = set(self._gates.Match(data) or ())
        gated = (pair for gate in gates for pair in self._rules_of_gate[gate])
        found = [rule for rule, also in gated if also is None or also in gates]
        if len(data) >= _CODED_MIN:
            scans = list(self._scans.values())
            found += (rule for scan in self._scanning.Match(data) or () for rule in scans[scan])
        return found

    def _coded(self, data: bytes, depth: int) -> list[Span]:
        """Find base64 of a text that holds a secret."""
        found = []
        for start, end, plain in decoded(data):
            inner = self.find(plain, depth + 1) if self.could_be_in(plain) else ()
            if inner:
                found.append(Span(start, end, min(span.rule for span in inner)))
        return found


def _merge(spans: list[Span]) -> list[Span]:
    """Make overlapping spans one, with the id of the rule that stands first."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Span(last.start, max(last.end, span.end), min(last.rule, span.rule))
        else:
            merged.append(span)
    return merged


def _end_of_character(data: bytes, at: int) -> int:
    while at < len(data) and 0x80 <= data[at] < 0xC0:
        at += 1
    return at


def _first_span(match: Any, groups: tuple[int, ...]) -> tuple[int, int]:
    for number in groups:
        span: tuple[int, int] = match.span(number)
        if span[0] >= 0:
            return span
    whole: tuple[int, int] = match.span()
    return whole


def _first_group(match: Any, groups: tuple[int, ...]) -> bytes:
    return next((found for number in groups if (found := match.group(number)) is not None), b"")


def _set(patterns: list[str], *, ignore_case: bool) -> Any:
    """Compile patterns of which `Match` gives the numbers of those that are in a text, in one pass."""
    import re2  # noqa: PLC0415 - only who redacts needs it

    chosen = re2.Set.SearchSet(_options(ignore_case=ignore_case))
    for pattern in patterns:
        chosen.Add(pattern.encode())
    chosen.Compile()
    return chosen


def _options(*, ignore_case: bool) -> Any:
    import re2  # noqa: PLC0415

    options = re2.Options()
    # Bytes, not characters: RE2 then has no invalid input, and offsets are those of the encoded text.
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not ignore_case
    options.max_mem = 256 << 20
    options.log_errors = False
    return options


def compile_rule(pattern: str, *, ignore_case: bool = False) -> Any:
    """Compile an RE2 pattern to be used on bytes. Raises re2.error."""
    import re2  # noqa: PLC0415

    return re2.compile(pattern.encode(), _options(ignore_case=ignore_case))


def _escape(word: str) -> str:
    import re2  # noqa: PLC0415

    escaped: str = re2.escape(word)
    return escaped

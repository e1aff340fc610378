"""Take secrets out of what an agent's hook said, before anything leaves the agent's machine.

The rules are data (`redaction_rules.toml`) and run on RE2, so hostile text costs time in proportion to
its length. A secret becomes `[REDACTED:rule-id]`; of an assignment the name stays.

Invariants:
- A payload in which a rule could match is `suspicious`: the gate may err on that side only.
- Redacting twice gives what redacting once gave.
- Nothing is cut before it was redacted: half a secret is no match.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from producers.harmless import CHECKS, Match

#: Rounds after which a text that still changes is given up and hidden whole.
ROUNDS_MAX = 8
#: A JSON escape of a plain letter could hide a keyword from the gate.
HIDING_ESCAPE = r"\\u00[2-7]"
#: No secret is told apart from a word by fewer characters, its name included.
_TEXT_MIN = 6
_PROMPT_FIELDS = ("prompt", "command_args", "custom_instructions")
_OPEN_MARK = "<private>"
#: Names of fields that are remembered, and characters of one.
_LABELS_MAX, _LABEL_MAX = 10_000, 64


class Rule(NamedTuple):
    """One kind of secret; `gate` matches (in any case) wherever `regex` may."""

    id: str
    regex: str
    gate: str
    checks: tuple[str, ...]


class Span(NamedTuple):
    """Bytes of a text that are a secret, and the rule that says so."""

    start: int
    end: int
    rule: int


class Label(NamedTuple):
    """What the name of a field says of its value.

    `is_plain` says that the name itself holds no secret. A value that none of `checks` finds harmless is
    a secret, given to `word`; numbers only where `is_of_numbers`. Without checks it is as any other text.
    """

    is_plain: bool
    checks: tuple[str, ...] | None = None
    word: bytes = b""
    is_of_numbers: bool = False


def load_rules() -> dict[str, Any]:
    """Read the rules that ship with KARL."""
    text = importlib.resources.files("producers").joinpath("redaction_rules.toml").read_text("utf-8")
    return tomllib.loads(text)


def placeholder(rule: str) -> str:
    """Say what stands in a secret's place."""
    return f"[REDACTED:{rule}]"


class Redactor:
    """The rules, compiled at first use; one per process is enough."""

    def __init__(self, rules: Mapping[str, Any] | None = None) -> None:
        self._given = rules
        self._labels: dict[str, Label] = {}

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The rules as they were read."""
        return self._given or load_rules()

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules for texts, in order of precedence."""
        return tuple(self._rule(row) for row in self.data["rule"])

    def suspicious(self, raw: bytes) -> bool:
        """Say whether a raw payload could hold anything to redact, in one pass over its bytes."""
        return self._raw_gate.search(raw) is not None

    def text(self, text: str) -> tuple[str, dict[str, int]]:
        """Redact one text; gives it with the number of secrets by rule id."""
        if len(text) < _TEXT_MIN:
            return text, {}
        data = text.encode("utf-8", "surrogatepass")
        if self._gate.search(data) is None:
            return text, {}
        counts: Counter[str] = Counter()
        for _ in range(ROUNDS_MAX):
            spans = self._spans(data)
            if not spans:
                return (data.decode("utf-8", "surrogatepass") if counts else text), dict(counts)
            counts.update(self.rules[span.rule].id for span in spans)
            data = self._replaced(data, spans)
        return placeholder("unsettled"), {"unsettled": 1}

    def payload(self, payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        """Redact a payload of at most 64 levels: texts, keys, secret fields, fields that nobody needs."""
        counts: Counter[str] = Counter()
        fields = dict(payload)
        if fields.get("hook_event_name") == "ElicitationResult" and "content" in fields:
            fields["content"] = placeholder("elicitation")
            counts["elicitation"] += 1
        for name in _PROMPT_FIELDS:
            if isinstance(fields.get(name), str):
                fields[name] = _drop_private(fields[name], counts)
        return self._mapping(fields, counts), dict(counts)

    # What follows is compiled once.

    @cached_property
    def _gate(self) -> Any:
        return compile_rule("|".join(rule.gate for rule in self.rules), ignore_case=True)

    @cached_property
    def _raw_gate(self) -> Any:
        parts = [rule.gate for rule in self.rules]
        parts += [
            self._expand(self.data["fields"]["gate"]),
            self.data["paths"]["gate"],
            HIDING_ESCAPE,
        ]
        parts += [f'"{name}"' for name in self.data["fields"]["dropped"]]
        return compile_rule("|".join(parts), ignore_case=True)

    @cached_property
    def _set(self) -> Any:
        import re2  # noqa: PLC0415 - only who redacts needs it

        chosen = re2.Set.SearchSet(_options(ignore_case=False))
        for rule in self.rules:
            chosen.Add(rule.regex.encode())
        chosen.Compile()
        return chosen

    @cached_property
    def _regexes(self) -> tuple[tuple[Any, tuple[int, ...], tuple[int, ...]], ...]:
        """Each rule's regex with the numbers of its secret groups and of its name groups."""
        rows = []
        for rule in self.rules:
            regex = compile_rule(rule.regex, ignore_case=False)
            groups = [(name.decode(), number) for name, number in regex.groupindex.items()]
            secrets = tuple(sorted(number for name, number in groups if not name.startswith("name"))) or (0,)
            names = tuple(sorted(number for name, number in groups if name.startswith("name")))
            rows.append((regex, secrets, names))
        return tuple(rows)

    @cached_property
    def _harmless(self) -> dict[str, Any]:
        rows = self.data["harmless"].items()
        return {name: compile_rule(pattern, ignore_case=True) for name, pattern in rows}

    @cached_property
    def _secret_field(self) -> Any:
        return compile_rule(self._expand(self.data["fields"]["secret"]), ignore_case=True)

    @cached_property
    def _header_field(self) -> Any:
        return compile_rule(self.data["fields"]["header"], ignore_case=True)

    @cached_property
    def _dropped(self) -> frozenset[str]:
        return frozenset(self.data["fields"]["dropped"])

    def _expand(self, pattern: str) -> str:
        while "%" in pattern:
            before = pattern
            for name, fragment in self.data["fragments"].items():
                pattern = pattern.replace(f"%{name}%", fragment)
            if pattern == before:
                break
        return pattern

    def _rule(self, row: Mapping[str, Any]) -> Rule:
        words = "|".join(_escape(word) for word in row.get("keywords", ()))
        gate = self._expand(row.get("gate", words))
        return Rule(row["id"], self._expand(row["regex"]), gate, tuple(row.get("checks", ())))

    # Texts.

    def _spans(self, data: bytes) -> list[Span]:
        """Find the secrets of one text, the overlapping ones made one, in order."""
        found: list[Span] = []
        for rule in self._set.Match(data) or ():
            regex, secrets, names = self._regexes[rule]
            for match in regex.finditer(data):
                group = next((number for number in secrets if match.span(number) != (-1, -1)), 0)
                start, end = match.span(group)
                name = next((match.group(number) for number in names if match.span(number) != (-1, -1)), b"")
                if start < end and not self._is_harmless(self.rules[rule].checks, data, start, end, name):
                    found.append(Span(start, _end_of_character(data, end), rule))
        return _merge(found)

    def _is_harmless(self, checks: Iterable[str], data: bytes, start: int, end: int, name: bytes) -> bool:
        match = Match(data[start:end], name, data[max(0, start - 2) : start], data[end : end + 2])
        if self._harmless["placeholder"].fullmatch(match.value) and match.value.startswith(b"[REDACTED:"):
            return True
        return any(self._check(check, match) for check in checks)

    def _check(self, check: str, match: Match) -> bool:
        if check in CHECKS:
            return CHECKS[check](match)
        looked_at = match.name if check == "name" else match.value
        if check == "path" and not match.name.lower().startswith((b"pwd", b"cred")):
            return False
        return self._harmless[check].fullmatch(looked_at) is not None

    def _replaced(self, data: bytes, spans: Iterable[Span]) -> bytes:
        pieces, at = [], 0
        for span in spans:
            pieces += [data[at : span.start], placeholder(self.rules[span.rule].id).encode()]
            at = span.end
        return b"".join([*pieces, data[at:]])

    # Payloads.

    def _value(self, value: Any, counts: Counter[str]) -> Any:
        if isinstance(value, str):
            text, found = self.text(value)
            if found:
                counts.update(found)
            return text
        if isinstance(value, dict):
            return self._mapping(value, counts)
        if isinstance(value, list):
            return self._list(value, counts)
        return value

    def _mapping(self, fields: Mapping[str, Any], counts: Counter[str]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        named = fields.get("name", fields.get("key"))
        for name, value in fields.items():
            if name in self._dropped:
                counts["personal"] += 1
                continue
            label = named if name == "value" and isinstance(named, str) else name
            if not self._is_secret_field(label, value):
                value = self._value(value, counts)  # noqa: PLW2901 - only the redacted one may be seen from here
            if self._is_secret_field(label, value):
                counts["secret-field"] += 1
                value = placeholder("secret-field")  # noqa: PLW2901
            given[self._key(name, given, counts)] = value
        return given

    def _key(self, name: str, taken: Mapping[str, Any], counts: Counter[str]) -> str:
        key: str = name if self._label(name).is_plain else self._value(name, counts)
        while key in taken:
            key += "'"
        return key

    def _is_secret_field(self, name: str, value: Any) -> bool:
        """Say whether the value under a name is secret: `{"password": "..."}` as a tool's input has it."""
        label = self._label(name)
        if label.checks is None or isinstance(value, bool) or not isinstance(value, str | int):
            return False
        if isinstance(value, int) and not label.is_of_numbers:
            return False
        written = str(value)
        text = written.encode("utf-8", "surrogatepass")
        return len(written) >= 3 and not self._is_harmless(label.checks, text, 0, len(text), label.word)

    def _label(self, name: str) -> Label:
        """Judge the name of a field; the same few names come again and again."""
        known = self._labels.get(name)
        if known is None:
            known = self._judged(name)
            if len(self._labels) < _LABELS_MAX and len(name) < _LABEL_MAX:
                self._labels[name] = known
        return known

    def _judged(self, name: str) -> Label:
        data = name.encode("utf-8", "surrogatepass")
        is_plain = len(name) < _TEXT_MIN or self._gate.search(data) is None
        if self._header_field.fullmatch(data):
            return Label(is_plain, ("placeholder",), data, is_of_numbers=True)
        found = self._secret_field.fullmatch(data)
        if found is None:
            return Label(is_plain)
        checks = ("name", "reference", "placeholder", "type", "prose", "variable", "path")
        return Label(is_plain, checks, found.group(b"name"), is_of_numbers=b"pass" in data.lower())

    def _list(self, items: list[Any], counts: Counter[str]) -> list[Any]:
        if len(items) > 1 and all(isinstance(item, str) for item in items):
            return self._lines(self._arguments(items, counts), counts)
        return [self._value(item, counts) for item in items]

    def _arguments(self, words: list[str], counts: Counter[str]) -> list[str]:
        """Hide the word after `--password` in a command given as a list of words."""
        hidden = list(words)
        for at in range(1, len(words)):
            if words[at - 1].startswith("-") and "=" not in words[at - 1] and len(words[at - 1]) < 100:
                joined = f"{words[at - 1]} {words[at]}"
                if not words[at].startswith("[REDACTED:") and "secret-flag" in self.text(joined)[1]:
                    hidden[at] = placeholder("secret-flag")
                    counts["secret-flag"] += 1
        return hidden

    def _lines(self, lines: list[str], counts: Counter[str]) -> list[str]:
        """Redact the lines of a patch as one text: a key block spans many of them."""
        if any("\n" in line for line in lines):
            return [self._value(line, counts) for line in lines]
        text: str = self._value("\n".join(lines), counts)
        return text.split("\n")


def _drop_private(text: str, counts: Counter[str]) -> str:
    """Drop what a person marked in a prompt, to its end when the mark was never closed."""
    at = text.lower().rfind(_OPEN_MARK)
    if at < 0 or "</private>" in text[at:].lower():
        return text
    counts["private"] += 1
    return text[:at] + placeholder("private")


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

"""Take secrets out of what an agent's hook said, before anything leaves the agent's machine.

A secret becomes `[REDACTED:rule-id]`; of an assignment the name stays. What a secret is, the rules say
(`producers.redaction`); here they are applied to texts and to payloads.

Invariants:
- A payload in which a rule could match is `suspicious`: the gate may err on that side only.
- Redacting twice gives what redacting once gave.
- Nothing is cut before it was redacted: half a secret is no match.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from producers.harmless import looks_random
from producers.redaction import Rules, Span, compile_rule, load_rules

#: Rounds after which a text that still changes is given up and hidden whole.
ROUNDS_MAX = 8
#: No secret is told apart from a word by fewer characters, its name included.
_TEXT_MIN = 6
_PROMPT_FIELDS = ("prompt", "command_args", "custom_instructions")
_OPEN_MARK = "<private>"
#: Names of fields that are remembered, and characters of one; the same for texts: a session's id, its folder
#: and its tools come with each of its events.
_LABELS_MAX, _LABEL_MAX = 10_000, 64
_TEXTS_MAX, _TEXT_KEPT_MAX = 512, 96
#: Under which names the name of a `value` stands.
_NAMES = ("name", "key", "Name", "Key")
#: A name and a password, as `curl -u` takes them.
_PAIR = re.compile(r"[^\s:]{1,64}:[^\s:]{6,256}")


class Label(NamedTuple):
    """What the name of a field says of its value.

    `is_plain` says that the name itself holds no secret. A value that none of `checks` finds harmless is
    a secret, given to `word`; numbers only where `is_of_numbers`. Without checks it is as any other text.
    """

    is_plain: bool
    checks: tuple[str, ...] | None = None
    word: bytes = b""
    is_of_numbers: bool = False


def placeholder(rule: str) -> str:
    """Say what stands in a secret's place."""
    return f"[REDACTED:{rule}]"


class Redactor:
    """The rules, compiled at first use; one per process is enough."""

    def __init__(self, rules: Mapping[str, Any] | None = None) -> None:
        self._given = rules
        self._labels: dict[str, Label] = {}
        self._texts: dict[str, tuple[str, dict[str, int]]] = {}

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The rules as they were read."""
        return self._given or load_rules()

    @cached_property
    def rules(self) -> Rules:
        """The rules for texts."""
        return Rules(self.data)

    def suspicious(self, raw: bytes) -> bool:
        """Say whether a raw payload could hold anything to redact, in one pass over its bytes."""
        return self.rules.could_be_in_raw(raw)

    def text(self, text: str) -> tuple[str, dict[str, int]]:
        """Redact one text; gives it with the number of secrets by rule id."""
        if len(text) < _TEXT_MIN:
            return text, {}
        if len(text) > _TEXT_KEPT_MAX:
            return self._redacted(text)
        known = self._texts.get(text)
        if known is None:
            if len(self._texts) >= _TEXTS_MAX:
                self._texts.clear()
            known = self._texts[text] = self._redacted(text)
        return known[0], dict(known[1])

    def _redacted(self, text: str) -> tuple[str, dict[str, int]]:
        data = text.encode("utf-8", "surrogatepass")
        if not self.rules.could_be_in(data):
            return text, {}
        counts: Counter[str] = Counter()
        for _ in range(ROUNDS_MAX):
            spans = self.rules.find(data)
            if not spans:
                return (data.decode("utf-8", "surrogatepass") if counts else text), dict(counts)
            counts.update(self.rules.all[span.rule].id for span in spans)
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

    @cached_property
    def _secret_field(self) -> Any:
        return compile_rule(self.rules.expand(self.data["fields"]["secret"]), ignore_case=True)

    @cached_property
    def _header_field(self) -> Any:
        return compile_rule(self.data["fields"]["header"], ignore_case=True)

    @cached_property
    def _dropped(self) -> frozenset[str]:
        return frozenset(self.data["fields"]["dropped"])

    def _replaced(self, data: bytes, spans: Iterable[Span]) -> bytes:
        pieces, at = [], 0
        for span in spans:
            pieces += [data[at : span.start], placeholder(self.rules.all[span.rule].id).encode()]
            at = span.end
        return b"".join([*pieces, data[at:]])

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
        named = next((fields[name] for name in _NAMES if isinstance(fields.get(name), str)), None)
        hidden = _hidden_members(fields)
        for name, value in fields.items():
            if name in self._dropped:
                counts["personal"] += 1
                continue
            label = self._label(named if named is not None and name in {"value", "Value"} else name)
            if name in hidden:
                made: Any = _all_hidden(value, counts)
            elif label.checks is None:
                made = self._value(value, counts)
            else:
                made = self._labelled(label, value, counts)
            given[self._key(name, given, counts)] = made
        return given

    def _labelled(self, label: Label, value: Any, counts: Counter[str]) -> Any:
        """Redact a value under the name of a secret, or hide it, unless it is harmless once redacted."""
        if isinstance(value, list | dict):
            return self._hidden_within(self._value(value, counts), counts)
        made = value if self._is_secret_field(label, value) else self._value(value, counts)
        if not self._is_secret_field(label, made):
            return made
        counts["secret-field"] += 1
        return placeholder("secret-field")

    def _hidden_within(self, value: Any, counts: Counter[str]) -> Any:
        """Hide what looks random in a list or an object under the name of a secret."""
        if isinstance(value, list):
            return [self._hidden_within(item, counts) for item in value]
        if isinstance(value, dict):
            return {name: self._hidden_within(item, counts) for name, item in value.items()}
        if not isinstance(value, str) or not looks_random(value.encode("utf-8", "surrogatepass"), 10):
            return value
        counts["secret-field"] += 1
        return placeholder("secret-field")

    def _key(self, name: str, taken: Mapping[str, Any], counts: Counter[str]) -> str:
        key: str = name if self._label(name).is_plain else self._value(name, counts)
        while key in taken:
            key += "'"
        return key

    def _is_secret_field(self, label: Label, value: Any) -> bool:
        """Say whether the value under a name is secret: `{"password": "..."}` as a tool's input has it."""
        if label.checks is None or isinstance(value, bool) or not isinstance(value, str | int):
            return False
        if isinstance(value, int) and not label.is_of_numbers:
            return False
        written = str(value)
        text = written.encode("utf-8", "surrogatepass")
        return len(written) >= 3 and not self.rules.is_harmless(label.checks, text, 0, len(text), label.word)

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
        is_plain = self.text(name)[0] == name
        if self._header_field.fullmatch(data):
            return Label(is_plain, ("placeholder",), data, is_of_numbers=True)
        found = self._secret_field.fullmatch(data)
        if found is None:
            return Label(is_plain)
        checks = ("name", "weak", "reference", "placeholder", "type", "prose", "variable", "path")
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
                if words[at - 1] in {"-u", "--user"} and _PAIR.fullmatch(words[at]):
                    joined = f"--password {words[at]}"
                if not words[at].startswith("[REDACTED:") and " [REDACTED:" in self.text(joined)[0]:
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


def _hidden_members(fields: Mapping[str, Any]) -> frozenset[str]:
    """Name the members that are secret whatever they are called: a Kubernetes Secret's, a private key's."""
    if fields.get("kind") == "Secret":
        return frozenset({"data", "stringData"})
    return frozenset({"d", "k", "p", "q", "dp", "dq", "qi"}) if "kty" in fields else frozenset()


def _all_hidden(value: Any, counts: Counter[str]) -> Any:
    if isinstance(value, dict):
        return {name: _all_hidden(member, counts) for name, member in value.items()}
    if not isinstance(value, str) or len(value) < 3 or value.startswith("[REDACTED:"):
        return value
    counts["secret-field"] += 1
    return placeholder("secret-field")

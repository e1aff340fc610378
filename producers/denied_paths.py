"""Calls that touched a file of secrets: what was in the file is taken out whole, whatever it looks like.

Which paths are denied is data, in `redaction_rules.toml`. What stays of such a call says what was done:
the tool, the path, the ids, whether it worked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from producers.redact import placeholder
from producers.redaction import HIDING_ESCAPE, compile_rule

_HIDDEN = placeholder("path")
_EXIT_CODE = re.compile(r"Exit code -?[0-9]{1,10}")
#: What stands between the words of a command line; a colon is one, save after a drive letter's.
_BETWEEN_WORDS = re.compile(r"[\s;|&<>()\"'`=,{}@:]+")
_PATCHED_FILE = re.compile(
    r"^\*\*\* (?:Add|Update|Delete) File: (.+)$|^(?:---|\+\+\+) (?:[ab]/)?(\S+)", re.MULTILINE
)


class DeniedPaths:
    """The path rules, compiled at first use."""

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self._rules = rules["paths"]

    def suspicious(self, raw: bytes) -> bool:
        """Say whether raw bytes could name a denied path; a no is certain."""
        return self._gate.search(raw) is not None

    def payload(self, payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        """Hide what a call that names a denied path read or wrote; gives the number of such calls."""
        made, hidden = self._call(payload)
        calls = made.get("tool_calls")
        if isinstance(calls, list):
            pairs = [self._call(call) if isinstance(call, dict) else (call, False) for call in calls]
            made = {**made, "tool_calls": [call for call, _ in pairs]}
            hidden += sum(was for _, was in pairs)
        return made, ({"path": hidden} if hidden else {})

    def is_denied(self, path: str) -> bool:
        """Say whether a path, as a person or a shell would write it, names a file of secrets."""
        plain = path.strip().removeprefix("file://").replace("\\", "/").rstrip("/").encode("utf-8", "replace")
        if self._denied.search(plain) is None and self._exactly.search(plain) is None:
            return False
        return self._allowed.search(plain) is None

    @cached_property
    def _gate(self) -> Any:
        return compile_rule(f"{self._rules['gate']}|{HIDING_ESCAPE}", ignore_case=True)

    @cached_property
    def _denied(self) -> Any:
        return compile_rule(self._rules["denied"])

    @cached_property
    def _exactly(self) -> Any:
        return compile_rule(self._rules["denied_exactly"])

    @cached_property
    def _allowed(self) -> Any:
        return compile_rule(self._rules["allowed"])

    @cached_property
    def _writes(self) -> Any:
        return compile_rule(self._rules["writes"])

    @cached_property
    def _discards(self) -> Any:
        return compile_rule(self._rules["discards"])

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(self._rules["keys"])

    @cached_property
    def _commands(self) -> frozenset[str]:
        return frozenset(self._rules["commands"])

    @cached_property
    def _kept(self) -> frozenset[str]:
        return frozenset(self._rules["kept"]) | self._keys

    def _call(self, call: dict[str, Any]) -> tuple[dict[str, Any], int]:
        named = [path for path in self._paths(call) if self.is_denied(path)]
        if not named:
            return call, 0
        made = dict(call)
        if isinstance(call.get("tool_input"), dict):
            made["tool_input"] = {
                key: self._shown(key, value, named) for key, value in call["tool_input"].items()
            }
        elif "tool_input" in call:
            made["tool_input"] = _HIDDEN
        if "tool_response" in call:
            made["tool_response"] = self._answer(call["tool_response"])
        if isinstance(call.get("error"), str) and "tool_name" in call:
            made["error"] = _with_exit_code(call["error"])
        return made, 1

    def _paths(self, call: Mapping[str, Any]) -> Iterator[str]:
        """Give every path that the call's input or answer names, and every word of its commands."""
        given = call.get("tool_input")
        if isinstance(given, str):
            yield from _BETWEEN_WORDS.split(given)
        for fields in (given, call.get("tool_response")):
            if isinstance(fields, dict):
                yield from self._paths_of(fields)

    def _paths_of(self, fields: Mapping[str, Any]) -> Iterator[str]:
        for key, value in fields.items():
            if key in self._commands:
                for text in _texts(value):
                    if self.suspicious(text.encode("utf-8", "surrogatepass")):
                        yield from _BETWEEN_WORDS.split(text)
            elif key in self._keys:
                yield from _texts(value)
                if isinstance(value, dict):
                    yield from self._paths_of(value)
            elif isinstance(value, str) and ("*** " in value or "+++ " in value):
                yield from (match[1] or match[2] for match in _PATCHED_FILE.finditer(value))

    def _shown(self, key: str, value: Any, named: list[str]) -> Any:
        if key in self._commands:
            command = " ".join(_texts(value))
            return f"{_HIDDEN} {' '.join(dict.fromkeys(named))}" if self._may_write(command) else value
        if key in self._keys and _texts(value):
            return value
        return value if key in self._kept or not isinstance(value, str | list | dict) else _HIDDEN

    def _may_write(self, command: str) -> bool:
        data = self._discards.sub(b"", command.encode("utf-8", "replace"))
        return self._writes.search(data) is not None

    def _answer(self, answer: Any) -> Any:
        if not isinstance(answer, dict):
            return _HIDDEN
        return {
            key: value
            if not isinstance(value, str | list | dict) or (key in self._kept and isinstance(value, str))
            else _HIDDEN
            for key, value in answer.items()
        }


def _texts(value: Any) -> list[str]:
    """Give a text, or the texts of a list, as a list."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _with_exit_code(error: str) -> str:
    first = error.split("\n", 1)[0]
    return f"{first}\n{_HIDDEN}" if _EXIT_CODE.fullmatch(first.strip()) else _HIDDEN

"""What looks like a secret and is none: code that names one, types, flags of a help text, prose.

Each check looks at a match of a rule, its surroundings included, and errs on the side of secrecy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Match(NamedTuple):
    """What a check looks at: the secret, the name it is given to, and what stands around it."""

    value: bytes
    name: bytes
    before: bytes
    after: bytes


def _is_bare(value: bytes) -> bool:
    """Say whether a value is a word or a dotted name, as a variable in code would be."""
    return value.replace(b"_", b"").replace(b".", b"").replace(b"-", b"").replace(b"$", b"").isalpha()


def _is_code(match: Match) -> bool:
    return match.after[:1] in (b"(", b"[") or _is_bare(match.value)


def _is_argument(match: Match) -> bool:
    """`connect(password=secret, ...)` names a variable; `password=secret` on its own line a secret."""
    if match.after[:1] in (b"(", b"["):
        return True
    return _is_bare(match.value) and (match.after[:1] in (b",", b")") or b"." in match.value)


def _is_field(match: Match) -> bool:
    """`password: hunter` at the end of its line is a secret; `password: Hash,` is a type."""
    if match.after[:1] in (b"(", b"[", b"<"):
        return True
    if match.before[-1:] == b":":
        if b":" in match.value:  # `token.py:12:def` is a place in a file
            return True
        return len(match.value) < 6 or not any(byte in b"0123456789" for byte in match.value)
    if not _is_bare(match.value.rstrip(b".!?")):
        return False
    ends_line = match.after[:1] in (b"", b"\n", b"\r")
    return not ends_line or match.value[:1].isupper() or b"." in match.value


def _is_flag(match: Match) -> bool:
    """`--token TOKEN` is a help text, `--token --verbose` two flags."""
    return match.value.startswith(b"-") or (_is_bare(match.value) and match.value[:1].isupper())


def _is_prose(match: Match) -> bool:
    """A text about a secret has blanks in it; only pass phrases do, too."""
    if len(match.value.split()) < 2:
        return False
    text = match.value.lower()
    phrase = match.name.lower().lstrip(b"_-").startswith(b"pass")
    return not phrase or b"password" in text or b"must " in text


CHECKS: dict[str, Callable[[Match], bool]] = {
    "short": lambda match: len(match.value) < 3,
    "code": _is_code,
    "argument": _is_argument,
    "field": _is_field,
    "flag": _is_flag,
    "prose": _is_prose,
}

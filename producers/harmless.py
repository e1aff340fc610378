"""What looks like a secret and is none: code that names one, types, flags of a help text, prose.

Each check looks at a match of a rule, its surroundings included, and errs on the side of secrecy.
"""

from __future__ import annotations

import binascii
import itertools
import re
from collections.abc import Callable
from typing import NamedTuple

#: Digits as 0, capitals as A, small letters as a, all else as _.
_KINDS = bytes(
    48 if 48 <= byte < 58 else 65 if 65 <= byte < 91 else 97 if 97 <= byte < 123 else 95
    for byte in range(256)
)
_STRONG = re.compile(
    rb"pass[wpc]|[_-]pass|(?:store|key|smtp|db|user|ftp|ssh)pass|pwd|kennwort|contrase|senha|secret|token|psk|credential"
    rb"|(?:api|access|private|signing|encryption|master|auth|account|preshared)[_.-]?key",
    re.IGNORECASE,
)
_HEX = re.compile(rb"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)")
#: What stands between the name of a password and the password, besides what the rules for assignments know.
_SEPARATORS = (b"\t", b"| ", b"> ", b"[", b"<", b": ", b" is ")
#: A password may be two words; a token or a key is none.
_STRONG_WORD = re.compile(rb"pass|pwd|kennwort|contrase|senha", re.IGNORECASE)
_PATH = re.compile(rb"(?:^|[/.])[a-z_-]{4,}(?:[/.]|$)|^(?:[A-Z][a-z]{2,}){3}|0x[0-9a-f]{6,16}$")
_WORDS = re.compile(rb"[A-Za-z]+(?:[ _.-][A-Za-z]+){0,5}")
_TELLING = re.compile(
    rb"token|key|secret|test|fake|dummy|example|sample|mock|placeholder|value|access|refresh|bearer|old|new|valid|plain",
    re.IGNORECASE,
)
#: Ids that are no secrets: UUIDs, calls of tools, messages.
_IDENTIFIER = re.compile(
    rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:toolu|call|msg|req|chatcmpl|resp|fc|rs|item)_[A-Za-z0-9_-]+"
    rb"|(?:sha(?:1|256|384|512)|md5|h1)[-:].*|v?[0-9]+(?:\.[0-9]+)+(?:[.+-][0-9A-Za-z]{1,12})*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|https?:.*",
)


class Match(NamedTuple):
    """What a check looks at: the secret, the name it is given to, and what stands around it."""

    value: bytes
    name: bytes
    before: bytes
    after: bytes


def _is_bare(value: bytes) -> bool:
    """Say whether a value is a word or a dotted name, as a variable in code would be."""
    return (
        value.lstrip(b"*&!")
        .replace(b"_", b"")
        .replace(b".", b"")
        .replace(b"-", b"")
        .replace(b"$", b"")
        .isalpha()
    )


def _is_code(match: Match) -> bool:
    return match.after[:1] in (b"(", b"[") or _is_bare(match.value)


def _is_argument(match: Match) -> bool:
    """`connect(password=secret, ...)` names a variable; `password=secret` on its own line a secret."""
    if match.after[:1] in (b"(", b"["):
        return True
    return _is_bare(match.value) and (match.after[:1] in (b",", b")") or b"." in match.value)


def _is_field(match: Match) -> bool:
    """`password: hunter` at the end of its line is a secret; `password: Hash,` is a type."""
    if match.name == b"PASS":
        return True
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


def _is_named(match: Match) -> bool:
    """`Token: "source-token"` in a test says what it stands for: words, one of them the name's own."""
    if _STRONG_WORD.search(match.name) or not _WORDS.fullmatch(match.value):
        return False
    return len(match.value) < 8 or _TELLING.search(match.value) is not None


def _is_no_neighbour(match: Match) -> bool:
    """What stands near a name may be a commit, code, a path, a test's verdict, or the rest of some base64."""
    if match.before[-1:] == b"@" and _HEX.fullmatch(match.value):
        return True
    if match.after[:1] in (b"(", b"[") or (match.name == b"PASS" and match.before.endswith(b": ")):
        return True
    return (match.before[-1:] in (b"/", b"+") and match.before[-2:-1].isalnum()) or _PATH.search(
        match.value
    ) is not None


def _is_flag(match: Match) -> bool:
    """`--token TOKEN` is a help text, `--token --verbose` two flags."""
    return match.value.startswith(b"-") or (_is_bare(match.value) and match.value[:1].isupper())


def _is_prose(match: Match) -> bool:
    """A text about a secret has blanks in it, or is in a script without them; of secrets only phrases do."""
    if sum(byte >= 0xE3 for byte in match.value) >= 2 and not any(
        byte in b"0123456789" for byte in match.value
    ):
        return True
    if len(match.value.split()) < 2:
        return False
    text = match.value.lower()
    phrase = match.name.lower().lstrip(b"_-").startswith(b"pass")
    return not phrase or b"password" in text or b"must " in text


def looks_random(value: bytes, least: int = 16) -> bool:
    """Say whether a value was made by a generator: digits and letters that change too often for words."""
    looked_at = value[:96]
    kinds = looked_at.translate(_KINDS)
    digits, upper, lower = (kinds.count(kind) for kind in (b"0", b"A", b"a"))
    letters = kinds.replace(b"_", b"")
    if len(letters) < least or not digits or not upper + lower or (digits < 2 and min(upper, lower) < 3):
        return False
    if len(looked_at) >= 24 and _HEX.fullmatch(looked_at):
        return digits >= 4 and upper + lower >= 4
    changes = sum(left != right for left, right in itertools.pairwise(letters))
    if changes < len(letters) * 0.27:
        return False
    # Words and numbers between dashes, as in a branch or a version, change where the dashes are.
    parts = [part for part in kinds.split(b"_") if part]
    return len(parts) <= 2 or max(map(len, parts)) >= 12 or sum(map(_is_mixed, parts)) >= 2


def _is_mixed(part: bytes) -> bool:
    return len(part) >= 4 and sum(left != right for left, right in itertools.pairwise(part)) >= 2


def _is_not_random(match: Match) -> bool:
    if _STRONG_WORD.search(match.name) and match.before.endswith(_SEPARATORS):
        return not any(byte in b"0123456789" for byte in match.value)
    return _IDENTIFIER.fullmatch(match.value) is not None or not looks_random(match.value, 11)


def _is_weak(match: Match) -> bool:
    """`stripe_key` names a secret only when what it is given looks like one."""
    if _STRONG.search(match.name):
        return False
    return _IDENTIFIER.fullmatch(match.value) is not None or not looks_random(match.value)


def _no_aws_secret(match: Match) -> bool:
    """Forty characters of base64 that are no path, no hash and no name."""
    kinds = match.value.translate(_KINDS)
    if min(kinds.count(kind) for kind in (b"0", b"A", b"a")) < 3 or match.value.count(b"/") > 4:
        return True
    changes = sum(left != right for left, right in itertools.pairwise(kinds))
    return changes < 18


def _no_kubernetes_data(match: Match) -> bool:
    """Base64 of text is data of a Secret; `kind: Secret` itself is not."""
    value = match.value
    if value in {b"Secret", b"List", b"Opaque", b"true", b"null"} or len(value) % 4:
        return True
    try:
        plain = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        return True
    return any(byte < 9 or byte > 126 for byte in plain)


CHECKS: dict[str, Callable[[Match], bool]] = {
    "short": lambda match: len(match.value) < 3,
    "code": _is_code,
    "argument": _is_argument,
    "field": _is_field,
    "flag": _is_flag,
    "prose": _is_prose,
    "weak": lambda match: _is_weak(match) or _is_named(match),
    "no-neighbour": _is_no_neighbour,
    "not-random": _is_not_random,
    "not-mixed": lambda match: not looks_random(match.value, 8),
    "no-aws-secret": _no_aws_secret,
    "no-kubernetes-data": _no_kubernetes_data,
}

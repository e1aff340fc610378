"""What linters, type checkers and compilers say at their end, and what a result is.

A text that is no such end says nothing. Pure, and never raises.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_COUNT_MAX = 10_000_000


class Result(NamedTuple):
    """A check's result; `ran` is false where the output says that it never did."""

    ok: bool | None = None
    passed: int | None = None
    failed: int | None = None
    ran: bool = True


NEVER = Result(None, 0, None, ran=False)

_MYPY_BAD = re.compile(r"^Found (\d{1,9}) errors? in ", re.MULTILINE)
_FOUND = re.compile(
    r"^(?:✖ |Found )?(\d{1,9}) (?:errors?|problems?|warnings?|diagnostics?|issues?|lint)\b(?=[^,]|$)",
    re.MULTILINE,
)
_ERRORS_WARNINGS = re.compile(r"^(?:[✖✔] )?(\d{1,9}) errors?, (\d{1,9}) warnings?", re.MULTILINE)
_ESLINT = re.compile(r"\((\d{1,9}) errors?, \d{1,9} warnings?\)")
_CLEAN = re.compile(
    r"^(?:All checks passed!?|Success: no issues found\b|✔ No ESLint|No problems found|no offenses detected"
    r"|All matched files use Prettier code style!?|no issues found|All done! [^\n]*|No errors!?"
    r"|Found 0 (?:errors|warnings)\b[^\n]*|No issues found!?|Checked \d+ files? in [^\n]*\. No fixes[^\n]*"
    r"|\s*\[OK\] No errors|Success! The configuration is valid\.?)",
    re.MULTILINE | re.IGNORECASE,
)
_TSC = re.compile(r"error TS\d{1,6}:")
_COMPILED_BAD = re.compile(
    r"^(?:error(?:\[E\d+\])?: |[^\s:]{1,300}:\d+:\d+: (?:fatal )?error: |make: \*\*\* |ninja: build stopped"
    r"|error: could not compile|SyntaxError: |FAILED: )",
    re.MULTILINE,
)
_COMPILED = re.compile(
    r"^\s*(?:Finished (?:`?\w+`? )|Build succeeded\.?|✓ built in|Compiled successfully|build succeeded"
    r"|webpack [\d.]+ compiled successfully|The HTML pages are in )",
    re.MULTILINE | re.IGNORECASE,
)
#: A fault in Go, as its own tools tell it, or a file that gofmt would change.
_GO_BAD = re.compile(r"^[^\s:]{1,300}\.go:\d+:\d+: |^[^\s:]{1,300}\.go$", re.MULTILINE)
_PYLINT = re.compile(r"^Your code has been rated at (-?[\d.]{1,8})/10", re.MULTILINE)
JVM_END = re.compile(r"(?:BUILD|FAILURE: Build) (SUCCESSFUL|SUCCESS|FAILURE|FAILED|failed)")


def count_of(text: str | None) -> int:
    """Read a count; 0 where there is none."""
    return min(int(text), _COUNT_MAX) if text and len(text) < 10 else 0


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Find the last place that fits; what is said last counts."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one counts
        pass
    return found


def of_code(text: str) -> Result | None:
    """Read what linters and type checkers say at their end."""
    for pattern in (_MYPY_BAD, _ESLINT, _FOUND, _ERRORS_WARNINGS):
        if found := last(pattern, text):
            errors = count_of(found[1])
            return Result(ok=errors == 0, failed=errors)
    if _GO_BAD.search(text):
        return Result(ok=False)
    if "error TS" in text:
        return Result(ok=False, failed=len(_TSC.findall(text)))
    if _CLEAN.search(text):
        return Result(ok=True, failed=0)
    found = last(_PYLINT, text) if "rated at" in text else None
    return Result(ok=True) if found and found[1].startswith("10") else None


def of_build(text: str) -> Result | None:
    """Read what a build says at its end."""
    if found := last(JVM_END, text):
        return Result(found[1].startswith("SUCC"))
    if _COMPILED_BAD.search(text) or _GO_BAD.search(text):
        return Result(ok=False)
    return Result(ok=True) if _COMPILED.search(text) else None

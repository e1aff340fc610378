"""What was looked at before a training, and what was found: of a node, a ledger, a data set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

#: Whether it keeps from training, may be a reason to wait, or neither.
Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at, and what was found; `todo` says what to do about it."""

    what: str
    level: Level
    found: str
    todo: str = ""


def ok(findings: Iterable[Finding]) -> bool:
    """Say whether nothing fails."""
    return not any(one.level == "fail" for one in findings)

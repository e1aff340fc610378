"""Results: what a test run said, read from its file: JUnit XML, pytest's JSON reports, or jest's.

Invariant: a file is data of others: one that is too large, or that declares entities, is not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from karl.errors import KarlError

#: Bytes of a file above which it is not read.
SIZE_MAX = 32 * 1024 * 1024
#: Files and folders that are looked through for results, and levels of folders.
LOOKED_MAX = 20_000
_LEVELS_MAX = 6
_PASSED_OVER = frozenset({".git", "node_modules", ".venv", "venv", ".tox", "site-packages", "__pycache__"})
_NAMES = re.compile(
    r"(?:junit|test-?results?|pytest|results|test-?report|TEST-.{1,200}|unit-?tests?)[\w.-]{0,80}\.xml"
    r"|\.?(?:pytest[-_]?)?(?:report|results)\.json|jest-results\.json",
    re.IGNORECASE,
)
_COMMIT = re.compile(r"(?:^|[^0-9a-f])([0-9a-f]{40}(?:[0-9a-f]{24})?)(?:$|[^0-9a-f])")
_REVISION = re.compile(
    r"(?:git[._-]?)?(?:commit|sha|revision|head)(?:[._-]?(?:sha|id|hash))?$", re.IGNORECASE
)


class Result(msgspec.Struct, frozen=True):
    """One test run: how many tests, how many of them failed, when it was made (Unix time, s).

    `written_s` is when its file was; `commit` is the one that it says it is about; `given` says that somebody
    named the file.
    """

    path: str
    tests: int
    failed: int
    time_s: float
    written_s: float
    commit: str | None = None
    given: bool = False

    @property
    def passed(self) -> bool:
        """Say whether tests ran and none failed."""
        return self.failed == 0


def read_result(path: Path, commit: str | None = None, *, given: bool = False) -> Result:
    """Read a test run's file. Raises KarlError when it is none."""
    try:
        if path.stat().st_size > SIZE_MAX:
            raise KarlError(f"{path} has more than {SIZE_MAX >> 20} MiB; no test run's file is that large")
        data = path.read_bytes()
        made_s = path.stat().st_mtime
    except OSError as error:
        raise KarlError(f"{path} can not be read: {error.strerror}") from error
    found = _of_json(data) if data.lstrip()[:1] == b"{" else _of_xml(data, path)
    if found is None:
        raise KarlError(
            f"{path} is no test run's file that KARL reads: JUnit XML, pytest-json-report, pytest-json, jest"
        )
    tests, failed, time_s, named = found
    if not tests:
        raise KarlError(f"{path} tells of no test that ran")
    if match := _COMMIT.search(path.name):
        named = match[1]
    if time_s is None:
        time_s = made_s
    return Result(str(path), tests, failed, time_s, made_s, commit or named, given)


def find_results(folder: Path) -> Iterator[Path]:
    """Look for files that are called as test runs' files are, in a folder and those below it."""
    looked = 0
    for where, folders, files in os.walk(folder):
        depth = len(Path(where).relative_to(folder).parts)
        folders[:] = (
            sorted(each for each in folders if each not in _PASSED_OVER) if depth < _LEVELS_MAX else []
        )
        looked += len(folders) + len(files)
        if looked > LOOKED_MAX:
            return
        for name in sorted(files):
            path = Path(where, name)
            if _NAMES.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield path


#: Tests, failures, when, and the commit that is named.
_Found = tuple[int, int, float | None, str | None]


def _of_xml(data: bytes, path: Path) -> _Found | None:
    if b"\0" in data:  # UTF-16, in which the next look would find nothing
        return None
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise KarlError(f"{path} declares a document type, which no test run's file needs; it is not read")
    try:
        root = ET.fromstring(data)  # noqa: S314 - it declares no entities
    except (ET.ParseError, ValueError, LookupError):
        return None
    if root.tag not in ("testsuites", "testsuite"):
        return None
    cases = list(root.iter("testcase"))
    skipped = sum(case.find("skipped") is not None for case in cases)
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    times = [time for suite in root.iter("testsuite") if (time := _time(suite.get("timestamp"))) is not None]
    named = next(
        (
            str(each.get("value"))
            for each in root.iter("property")
            if _REVISION.search(each.get("name") or "") and _COMMIT.fullmatch(each.get("value") or "")
        ),
        None,
    )
    return len(cases) - skipped, failed, max(times, default=None), named


def _of_json(data: bytes) -> _Found | None:
    try:
        told: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    if isinstance(told.get("report"), dict):
        told = told["report"]
    summary = told.get("summary")
    if isinstance(summary, dict):
        failed = sum(_count(summary.get(name)) for name in ("failed", "error", "errors"))
        ran = failed + sum(_count(summary.get(name)) for name in ("passed", "xfailed", "xpassed"))
        return ran, failed, _time(told.get("created") or told.get("created_at")), None
    if "numTotalTests" in told:
        failed = _count(told.get("numFailedTests")) + _count(told.get("numRuntimeErrorTestSuites"))
        start_ms = _time(told.get("startTime"))
        ran = failed + _count(told.get("numPassedTests"))
        return ran, failed, None if start_ms is None else start_ms / 1000, None
    return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _time(value: object) -> float | None:
    """Give Unix time of a number, or of an ISO-8601 text; without a zone it is UTC."""
    try:
        if isinstance(value, int | float):
            return float(value)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None
    except (ValueError, OverflowError):
        return None

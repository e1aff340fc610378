"""What the output of a check says of it: how many passed and failed, whether it was green, whether it ran.

The summaries of the usual runners, linters, compilers and type checkers, each looked for at the end of the
output, the last one of them first. A text that is no such summary says nothing.

Invariants:
- Pure and never raises; only the last TAIL_MAX and the first HEAD_MAX characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from karl.acts.faults import JVM_END, NEVER, Result, count_of, last, of_build, of_code
from karl.acts.rare import has_one, rarest, with_rarest
from karl.schema.act import Check

TAIL_MAX = 12_000
HEAD_MAX = 4_000


_COLOURS = re.compile(r"\x1b\[[\d;?]{0,16}[A-Za-z]|\[\d{1,3}(?:;\d{1,3}){0,4}m")
_TOOLS = r"['\"]?(?:pytest|mypy|ruff|tox|nox|flake8|pylint|nose|coverage|black|pyright|django|xdist)\b"
#: Said of a program that was not there or not understood.
_NOT_RUN = re.compile(
    "(?:^|[:\\s])(?:"
    + "|".join(
        (
            rf"No module named {_TOOLS}",
            r"No such file or directory: ['\"]?(?:pytest|python)",
            r"command not found|not found$|executable file not found|is not installed|Permission denied$",
            r"is not recognized as an internal|could not determine executable to run|can't open file",
            r"[Mm]issing script:|npm ERR! missing script|ERR_PNPM_NO_SCRIPT|Couldn't find a script named",
            r"error: Script not found|No rule to make target|error: no such (?:sub)?command",
            r"ERROR: usage:|unrecognized arguments:",
            r"Cannot find module '[^'\n]{0,200}(?:jest|vitest|mocha|typescript|eslint)",
        )
    )
    + ")",
    re.MULTILINE,
)
#: Words of which one stands wherever that does: they cost a fiftieth of looking for it.
_NOT_RUN_WORDS = with_rarest(
    (
        "No module named",
        "No such file",
        "not found",
        "not installed",
        "Permission denied",
        "not recognized",
        "could not determine",
        "can't open file",
        "issing script",
        "Couldn't find a script",
        "cript not found",
        "No rule to make",
        "no such",
        "usage:",
        "unrecognized arguments",
        "Cannot find module",
    )
)
#: All that is said where a target was not even tried, or no file was there to look at.
_NOTHING_DONE = re.compile(
    r"(?:make(?:\[\d+\])?: (?:Nothing to be done for|'[^'\n]{1,100}' is up to date)[^\n]*\s*"
    r"|[^\n]{1,200}(?:\(no files to check\)\s*|\.)Skipped\s*)+"
)
_NO_TESTS = re.compile(
    r"^=*\s*no tests ran\b|^collected 0 items|^No tests found|^no tests? (?:files )?found|^Ran 0 tests"
    r"|^0 tests? (?:ran|run)|NO TESTS RAN|^No test files found|no test specified|\[no test files\]\s*$"
    r"|^ERROR: (?:file or directory )?not found:|^running 0 tests\s*$|^No tests (?:were found|executed)"
    r"|^No examples found|no previously failed tests, not running|No tests were executed|No tests to run"
    r"|No test matches the given testcase|^> Task :test NO-SOURCE$",
    re.MULTILINE | re.IGNORECASE,
)
_NO_TESTS_WORDS = with_rarest(
    (
        "no test",
        "0 items",
        "0 test",
        "not found:",
        "no examples",
        "no-source",
        "no previously failed",
    )
)

_PYTEST = re.compile(
    r"^(?:=+ )?((?:\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun"
    r"|subtests passed)(?:, )?)+)(?: in [\d.]+s?| in \d+[^\n=]*|\s*\([\d:]+\))[^\n]*$",
    re.MULTILINE,
)
_NAMED = re.compile(r"(\d{1,9}) (passed|failed|errors?|skipped|xfailed|xpassed)")
_UNITTEST_RAN = re.compile(r"^Ran (\d{1,9}) tests? in ", re.MULTILINE)
_UNITTEST_END = re.compile(r"^(OK|FAILED)(?: \(([^)\n]*)\))?\s*$", re.MULTILINE)
#: The same without the line before it, when it can be nothing else.
_UNITTEST_ALONE = re.compile(
    r"^(OK|FAILED)(?: \((?:skipped|failures|errors|expected failures)=[^)\n]*\)$"
    r"|\s*\nDestroying test database)",
    re.MULTILINE,
)
#: Lines about single tests, for outputs that show nothing else.
_ONE_FAILED = re.compile(
    r"^(?:FAILED|ERROR|FAIL:|ERROR:(?! usage)) \S+|^\S+::\S+ (?:FAILED|ERROR)\b", re.MULTILINE
)
_COUNTED = re.compile(r"(failures|errors|skipped|unexpected successes)=(\d{1,9})")
_SYMPY = re.compile(r"tests finished: ([^=]{0,300}?)(\bin [\d.]|\Z)")
_SYMPY_PART = re.compile(r"(\d{1,9}) (passed|failed|exceptions?)")
_CRASHED = re.compile(
    r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt))(?::[^\n]*)?\s*\Z", re.MULTILINE
)
_JEST = re.compile(r"^\s*Tests:?\s+((?:\d+ [a-z]+[,|]? ?(?:\| )?)+)(?:total|\(\d+\))?", re.MULTILINE)
_JEST_PART = re.compile(r"(\d{1,9}) (passed|failed)")
_MOCHA = re.compile(
    r"^\s*(\d{1,9}) passing\b[^\n]*(?:\n\s*\d+ pending)?(?:\n\s*(\d{1,9}) failing)?", re.MULTILINE
)
_MOCHA_FAILED = re.compile(r"^\s*(\d{1,9}) failing\b", re.MULTILINE)
_CARGO = re.compile(r"^test result: (ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed", re.MULTILINE)
_NEXTEST = re.compile(
    r"Summary \[[^\]\n]*\]\s+\d+(?:/\d+)? tests? run: (\d{1,9}) passed(?:[^\n]*?, (\d{1,9}) failed)?"
)
_GO = re.compile(r"^(ok  \t|ok\s{2,}|FAIL\t|FAIL\s*$|--- FAIL:|--- PASS:|PASS\s*$|panic: )", re.MULTILINE)
_MAVEN = re.compile(r"Tests run: (\d{1,9}), Failures: (\d{1,9}), Errors: (\d{1,9})")
_JVM_NONE = re.compile(r"^> Task :\S*test NO-SOURCE$|^\[INFO\] No tests to run", re.MULTILINE)
_GRADLE_TESTS = re.compile(r"(\d{1,9}) tests? completed, (\d{1,9}) failed")
_RSPEC = re.compile(r"^(\d{1,9}) examples?, (\d{1,9}) failures?", re.MULTILINE)
_MINITEST = re.compile(r"(\d{1,9}) (?:runs|tests), \d{1,9} assertions, (\d{1,9}) failures, (\d{1,9}) errors")
_PHPUNIT_OK = re.compile(r"^OK \((\d{1,9}) tests?, ", re.MULTILINE)
_PHPUNIT_BAD = re.compile(
    r"^Tests: (\d{1,9}), Assertions: \d+(?:, Errors: (\d{1,9}))?(?:, Failures: (\d{1,9}))?", re.MULTILINE
)
_DOTNET = re.compile(r"(Passed|Failed)!\s+- Failed:\s+(\d{1,9}), Passed:\s+(\d{1,9})")
_CTEST = re.compile(r"(\d{1,3})% tests passed, (\d{1,9}) tests? failed out of (\d{1,9})")
_TAP_PASS = re.compile(r"^# (?:pass|passed)\s+(\d{1,9})", re.MULTILINE)
_TAP_FAIL = re.compile(r"^# (?:fail|failed)\s+(\d{1,9})", re.MULTILINE)
_EXUNIT = re.compile(
    r"^(\d{1,9}) tests?, (\d{1,9}) failures?(?:, (\d{1,9}) (?:excluded|skipped))?", re.MULTILINE
)
_DENO = re.compile(r"(?:^|\n)(?:ok|FAILED) \| (\d{1,9}) passed[^|\n]*\| (\d{1,9}) failed")
_BUN = re.compile(r"^\s*(\d{1,9}) pass\s*\n(?:\s*\d+ skip\s*\n)?\s*(\d{1,9}) fail", re.MULTILINE)
_PROVE = re.compile(r"^Result: (PASS|FAIL)\s*$", re.MULTILINE)
_SWIFT = re.compile(r"Executed (\d{1,9}) tests?, with (\d{1,9}) failures?")
_FLUTTER = re.compile(
    r"^.{0,20}\+(\d{1,9})(?: ~\d+)?(?: -(\d{1,9}))?: (All tests passed!|Some tests failed\.)", re.MULTILINE
)
_NODE_TEST = re.compile(r"^ℹ pass (\d{1,9})\s*\nℹ fail (\d{1,9})", re.MULTILINE)
_TOX = re.compile(r"^\s*(congratulations :\)|evaluation failed :\()", re.MULTILINE)
_TESTTHAT = re.compile(r"\[ FAIL (\d{1,9}) \| WARN \d{1,9} \| SKIP \d{1,9} \| PASS (\d{1,9}) \]")
_PLAYWRIGHT = re.compile(r"^\s{2,}(\d{1,9}) (passed|failed|flaky)\b", re.MULTILINE)


def _test(passed: int, failed: int) -> Result:
    return Result(failed == 0, passed, failed) if failed or passed else NEVER


def _pytest(text: str) -> Result | None:
    found = last(_PYTEST, text)
    if found is None:
        return None
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for number, name in _NAMED.findall(found[1]):
        key = (
            "failed"
            if name in ("failed", "error", "errors")
            else "passed"
            if name in ("passed", "xpassed")
            else "skipped"
        )
        counts[key] += count_of(number)
    if counts["passed"] + counts["failed"] == 0:
        return NEVER  # skipped, one and all
    return _test(counts["passed"], counts["failed"])


def _unittest(text: str) -> Result | None:
    ran = last(_UNITTEST_RAN, text)
    if ran is None:
        end = last(_UNITTEST_ALONE, text)
        return Result(end[1] == "OK") if end else None
    total = count_of(ran[1])
    end = _UNITTEST_END.search(text, ran.end())
    if end is None:
        return None
    if total == 0 and end[1] == "OK":
        return NEVER
    counts = {name: count_of(number) for name, number in _COUNTED.findall(end[2] or "")}
    failed = counts.get("failures", 0) + counts.get("errors", 0) + counts.get("unexpected successes", 0)
    if end[1] == "FAILED":
        return Result(
            ok=False, passed=max(0, total - failed - counts.get("skipped", 0)), failed=max(failed, 1)
        )
    return Result(ok=True, passed=max(0, total - counts.get("skipped", 0)), failed=0)


def _sympy(text: str) -> Result | None:
    found = last(_SYMPY, text)
    if found is None:
        return None
    counts = [(name, count_of(number)) for number, name in _SYMPY_PART.findall(found[1])]
    passed = sum(number for name, number in counts if name == "passed")
    if not found[2] and all(name == "passed" for name, _ in counts):
        return None  # cut off before it says what failed
    return _test(passed, sum(number for name, number in counts if name != "passed"))


def _jest(text: str) -> Result | None:
    found = last(_JEST, text)
    if found is None:
        return None
    counts = {name: count_of(number) for number, name in _JEST_PART.findall(found[1])}
    return _test(counts.get("passed", 0), counts.get("failed", 0))


def _mocha(text: str) -> Result | None:
    found, failed = last(_MOCHA, text), last(_MOCHA_FAILED, text)
    if found is None and failed is None:
        return None
    return _test(count_of(found[1]) if found else 0, count_of(failed[1]) if failed else 0)


def _cargo(text: str) -> Result | None:
    if found := last(_NEXTEST, text):
        return _test(count_of(found[1]), count_of(found[2]))
    results = _CARGO.findall(text)
    if not results:
        return None
    passed = sum(count_of(each[1]) for each in results)
    failed = sum(count_of(each[2]) for each in results)
    if any(each[0] == "FAILED" for each in results):
        return Result(ok=False, passed=passed, failed=max(failed, 1))
    return Result(ok=True, passed=passed, failed=0) if passed else NEVER


def _go(text: str) -> Result | None:
    signs = [sign.strip() for sign in _GO.findall(text)]
    if not signs:
        return None
    failed = sum(sign == "--- FAIL:" for sign in signs)
    if any(sign.startswith(("FAIL", "--- FAIL", "panic")) for sign in signs):
        return Result(ok=False, passed=None, failed=failed or None)
    passed = sum(sign == "--- PASS:" for sign in signs)
    packages = sum(sign == "ok" for sign in signs)
    if packages and not passed and text.count("[no tests to run]") == packages:
        return NEVER
    return Result(ok=True, passed=passed or None, failed=0)


def _jvm(text: str) -> Result | None:
    end, counts, gradle = last(JVM_END, text), last(_MAVEN, text), last(_GRADLE_TESTS, text)
    if end is None and counts is None and gradle is None:
        return None
    if counts is None and gradle is None and _JVM_NONE.search(text):
        return NEVER
    ok = end[1].startswith("SUCC") if end else None
    if counts:
        failed = count_of(counts[2]) + count_of(counts[3])
        return Result(
            failed == 0 if ok is None else ok and not failed, max(0, count_of(counts[1]) - failed), failed
        )
    if gradle:
        failed = count_of(gradle[2])
        return Result(ok=False if failed else ok, passed=max(0, count_of(gradle[1]) - failed), failed=failed)
    return Result(ok)


def _simple(
    pattern: re.Pattern[str], passed: int, *failed: int, total: bool = False, left_out: int = 0
) -> Callable[[str], Result | None]:
    """Make a reader of a summary with counts in groups; `total` says that the first counts all of them.

    `left_out` is the group of those that were not run, though they are counted.
    """

    def read_counts(text: str) -> Result | None:
        found = last(pattern, text)
        if found is None:
            return None
        bad = sum(count_of(found[group]) for group in failed)
        good = count_of(found[passed])
        good -= count_of(found[left_out]) if left_out else 0
        return _test(max(0, good - bad) if total else good, bad)

    return read_counts


def _tap(text: str) -> Result | None:
    passed, failed = last(_TAP_PASS, text), last(_TAP_FAIL, text)
    return (
        _test(count_of(passed[1]) if passed else 0, count_of(failed[1]) if failed else 0)
        if passed or failed
        else None
    )


def _words(pattern: re.Pattern[str], good: str) -> Callable[[str], Result | None]:
    def read_words(text: str) -> Result | None:
        found = last(pattern, text)
        return Result(found[1].startswith(good)) if found else None

    return read_words


def _playwright(text: str) -> Result | None:
    counts = {name: count_of(number) for number, name in _PLAYWRIGHT.findall(text)}
    return (
        _test(counts.get("passed", 0) + counts.get("flaky", 0), counts.get("failed", 0)) if counts else None
    )


_EXAMPLES, _EXUNIT_COUNTS = _simple(_RSPEC, 1, 2, total=True), _simple(_EXUNIT, 1, 2, total=True, left_out=3)
#: A word that stands in every such summary, and its reader; the first that says something counts.
_SUMMARIES: tuple[tuple[str, Callable[[str], Result | None]], ...] = (
    ("Ran ", _unittest),
    ("OK", _unittest),
    ("FAILED (", _unittest),
    (" tests run:", _cargo),
    (" test run:", _cargo),
    ("test result: ", _cargo),
    ("tests finished", _sympy),
    ("Tests", _jest),
    ("passing", _mocha),
    ("failing", _mocha),
    ("Tests run:", _jvm),
    ("BUILD ", _jvm),
    ("FAILURE: Build", _jvm),
    ("completed", _jvm),
    ("examples, ", _EXAMPLES),
    ("example, ", _EXAMPLES),
    ("assertions, ", _simple(_MINITEST, 1, 2, 3, total=True)),
    ("OK (", _simple(_PHPUNIT_OK, 1)),
    ("Assertions: ", _simple(_PHPUNIT_BAD, 1, 2, 3, total=True)),
    ("ed!  - Failed:", _simple(_DOTNET, 3, 2)),
    ("tests passed, ", _simple(_CTEST, 3, 2, total=True)),
    ("# pass", _tap),
    ("# fail", _tap),
    ("ℹ pass", _simple(_NODE_TEST, 1, 2)),
    (" | ", _simple(_DENO, 1, 2)),
    (" fail", _simple(_BUN, 1, 2)),
    ("failure", _EXUNIT_COUNTS),
    ("[ FAIL", _simple(_TESTTHAT, 2, 1)),
    ("Result: ", _words(_PROVE, "PASS")),
    ("Executed ", _simple(_SWIFT, 1, 2, total=True)),
    ("tests ", _simple(_FLUTTER, 1, 2)),
    (" in ", _pytest),
    ("passed", _playwright),
    ("failed", _playwright),
    ("ok", _go),
    ("FAIL", _go),
    ("PASS", _go),
    ("congratulations", _words(_TOX, "congrat")),
    ("evaluation failed", _words(_TOX, "congrat")),
)
#: Each word behind its rarest character.
_TESTS = tuple((rarest(sign), sign, reader) for sign, reader in _SUMMARIES)


def _of_tests(text: str) -> Result | None:
    for rare, sign, reader in _TESTS:
        if rare in text and sign in text and (found := reader(text)) is not None:
            return found
    low = text.lower()
    if has_one(low, _NO_TESTS_WORDS) and _NO_TESTS.search(text):
        return NEVER
    failed = len(_ONE_FAILED.findall(text)) if "FAIL" in text or "ERROR" in text else 0
    return Result(ok=False, failed=failed) if failed else None


def read_result(check: Check, text: str) -> Result | None:
    """Say what an output says of a check of this kind; null when it says nothing."""
    if not text:
        return None
    if ("make" in text or "Skipped" in text) and _NOTHING_DONE.fullmatch(text.strip()):
        return NEVER
    if len(text) > HEAD_MAX + TAIL_MAX:
        text = f"{text[:HEAD_MAX]}\n{text[-TAIL_MAX:]}"
    if "\x1b" in text or "[0m" in text:
        text = _COLOURS.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    found = _of_tests(text) if check == "test" else of_build(text) if check == "build" else of_code(text)
    if found is not None:
        return found
    if "Traceback (most recent call last)" in text and _CRASHED.search(text, max(0, len(text) - 1000)):
        return NEVER if _never_ran(text[-400:]) else Result(ok=False)
    return (
        NEVER if _never_ran(text[:HEAD_MAX]) or (len(text) > HEAD_MAX and _never_ran(text[-400:])) else None
    )


def _never_ran(text: str) -> bool:
    return has_one(text, _NOT_RUN_WORDS) and _NOT_RUN.search(text) is not None

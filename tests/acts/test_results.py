"""What the ends of outputs say: the summaries of the usual runners, each in its own words."""

from __future__ import annotations

import pytest

from karl.acts.faults import Result
from karl.acts.reader import Given, Reader
from karl.acts.results import read_result

TESTS = [
    ("pytest", "== 3 failed, 21 passed, 1 error in 2.1s ==", (False, 21, 4)),
    ("pytest quiet", "....\n4 passed in 0.01s", (True, 4, 0)),
    ("pytest long", "= 1 passed, 2 warnings in 61.20s (0:01:01) =", (True, 1, 0)),
    ("pytest skipped", "2 skipped in 0.01s", (None, 0, None, False)),
    ("unittest", "Ran 12 tests in 0.3s\n\nOK (skipped=2)", (True, 10, 0)),
    ("unittest red", "Ran 12 tests in 0.3s\n\nFAILED (failures=1, errors=2, skipped=1)", (False, 8, 3)),
    ("django", "Found 3 test(s).\nRan 3 tests in 0.01s\n\nOK\nDestroying test database", (True, 3, 0)),
    ("sympy", "====== tests finished: 12 passed, 1 failed, in 2.01 seconds ======", (False, 12, 1)),
    ("sympy wrapped", "tests finished: 21 passed, 3 expected to fail, \n1 expected to fail but passed, 130 exceptions, in 0.65 seconds", (False, 21, 130)),
    ("sympy cut", "tests finished: 21 passed, 3 expected to fail, ", None),
    ("django's end", "OK (skipped=13, expected failures=2)\nDestroying test database for alias 'default'...", (True, None, None)),
    ("only failures", "FAILED a/test_b.py::test_c - assert 1\nFAILED a/test_b.py::test_d", (False, None, 2)),
    ("jest", "Test Suites: 1 failed, 2 total\nTests:       1 failed, 2 skipped, 4 passed, 7 total\nTime: 1s", (False, 4, 1)),
    ("vitest", " Test Files  2 passed (2)\n      Tests  9 passed (9)\n   Duration  1s", (True, 9, 0)),
    ("mocha", "  5 passing (20ms)\n  1 pending\n  2 failing\n", (False, 5, 2)),
    ("cargo", "test result: ok. 3 passed; 0 failed; 0 ignored\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored", (False, 4, 2)),
    ("nextest", "     Summary [   0.5s] 10 tests run: 9 passed, 1 failed, 0 skipped", (False, 9, 1)),
    ("go", "--- FAIL: TestA (0.00s)\nFAIL\nFAIL\ta/b\t0.1s", (False, None, 1)),
    ("go fine", "ok  \ta/b\t0.1s\nok  \ta/c\t(cached)", (True, None, 0)),
    ("maven", "[INFO] Tests run: 5, Failures: 1, Errors: 1, Skipped: 0\n[INFO] BUILD FAILURE", (False, 3, 2)),
    ("gradle", "10 tests completed, 2 failed\nBUILD FAILED in 3s", (False, 8, 2)),
    ("gradle fine", "BUILD SUCCESSFUL in 3s", (True, None, None)),
    ("rspec", "10 examples, 1 failure, 2 pending", (False, 9, 1)),
    ("minitest", "5 runs, 9 assertions, 1 failures, 0 errors, 0 skips", (False, 4, 1)),
    ("phpunit", "OK (5 tests, 9 assertions)", (True, 5, 0)),
    ("phpunit red", "FAILURES!\nTests: 5, Assertions: 9, Failures: 2.", (False, 3, 2)),
    ("dotnet", "Failed!  - Failed:     1, Passed:     4, Skipped:     0, Total:     5", (False, 4, 1)),
    ("ctest", "80% tests passed, 1 tests failed out of 5", (False, 4, 1)),
    ("tap", "1..3\n# tests 3\n# pass  3\n", (True, 3, 0)),
    ("node", "ℹ tests 3\nℹ pass 2\nℹ fail 1\n", (False, 2, 1)),
    ("exunit", "5 tests, 1 failure", (False, 4, 1)),
    ("bun", " 3 pass\n 1 fail\n", (False, 3, 1)),
    ("prove", "Result: PASS", (True, None, None)),
    ("swift", "Executed 4 tests, with 1 failure (0 unexpected) in 0.1 seconds", (False, 3, 1)),
    ("playwright", "  1 failed\n  4 passed (3s)", (False, 4, 1)),
    ("tox", "  congratulations :) (3.1 seconds)", (True, None, None)),
    ("coloured", "\x1b[32m\x1b[1m4 passed\x1b[0m\x1b[32m in 0.1s\x1b[0m", (True, 4, 0)),
    ("prose", "I think that 5 tests passed and all is OK", None),
    ("nothing", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("output", "found"), [row[1:] for row in TESTS], ids=[row[0] for row in TESTS])
def test_a_summary_of_tests_is_counted(output, found):
    assert read_result("test", output) == (Result(*found) if found else None)


OTHERS = [
    ("types", "Found 3 errors in 1 file (checked 2 source files)", False),
    ("types", "Success: no issues found in 2 source files", True),
    ("types", "a.ts(1,2): error TS2304: Cannot find name 'x'.", False),
    ("types", "0 errors, 0 warnings, 0 informations ", True),
    ("lint", "All checks passed!", True),
    ("lint", "Found 2 errors.\n[*] 1 fixable", False),
    ("lint", "✖ 3 problems (2 errors, 1 warning)", False),
    ("lint", "✖ 1 problem (0 errors, 1 warning)", True),
    ("lint", "0 issues.", True),
    ("lint", "2 issues:\n* unused: 2", False),
    ("lint", "Your code has been rated at 10.00/10", True),
    ("lint", "a/b.go", False),
    ("lint", "x", None),
    ("build", "a/b.go:3:4: undefined: x", False),
    ("build", "error[E0308]: mismatched types", False),
    ("build", "    Finished `dev` profile in 0.1s", True),
    ("build", "make: *** [Makefile:2: all] Error 1", False),
    ("build", "build succeeded, 2 warnings.", True),
]


@pytest.mark.parametrize(("kind", "output", "ok"), OTHERS)
def test_the_end_of_another_check_is_read(kind, output, ok):
    found = read_result(kind, output)
    assert (found.ok if found else None) is ok


def test_silence_is_a_good_end_of_a_checker_that_never_fails_silently():
    def ends(command, output=""):
        return [act.ok for act in Reader().acts(Given("Bash", {"command": command}, output, success=True))]

    assert ends("go vet ./... 2>&1 | tail -20") == [True]
    assert ends("go vet ./... 2>&1 | tail -20", "x.go:1:2: wrong") == [False]
    assert ends("go vet ./... 2>&1 | head -0") == [None]
    assert ends("go vet ./... 2>&1 | grep x") == [None]
    assert ends("go vet ./... > /dev/null | cat") == [None]
    assert ends("pytest 2>&1 | tail -20") == [None]

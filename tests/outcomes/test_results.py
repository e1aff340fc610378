"""What test runs say, and of which turns they speak."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import KarlError
from karl.outcomes.examine import spoken_for
from karl.outcomes.history import Commit, History
from karl.outcomes.judge import Finding
from karl.outcomes.results import Result, find_results, read_result

GREEN = '<testsuite timestamp="2026-01-02T03:04:05"><testcase/><testcase><skipped/></testcase></testsuite>'
RED = "<testsuites><testsuite><testcase/><testcase><failure>no</failure></testcase></testsuite></testsuites>"


def kept(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_junit_says_how_many_ran_and_how_many_failed(tmp_path: Path) -> None:
    green, red = read_result(kept(tmp_path, "a.xml", GREEN)), read_result(kept(tmp_path, "b.xml", RED))
    assert (green.tests, green.failed, green.passed, green.time_s) == (1, 0, True, 1767323045.0)
    assert (red.tests, red.failed, red.passed) == (2, 1, False)


@pytest.mark.parametrize(
    ("text", "ran"),
    [
        ('{"created": 5, "summary": {"passed": 3, "failed": 1, "total": 4}, "exitcode": 1}', (4, 1, 5.0)),
        ('{"report": {"created_at": "1970-01-01T00:00:09", "summary": {"passed": 2}}}', (2, 0, 9.0)),
        ('{"numTotalTests": 3, "numPassedTests": 2, "numFailedTests": 1, "startTime": 7000}', (3, 1, 7.0)),
    ],
)
def test_reports_in_json_are_read(tmp_path: Path, text: str, ran: tuple[int, int, float]) -> None:
    found = read_result(kept(tmp_path, "report.json", text))
    assert (found.tests, found.failed, found.time_s) == ran


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<project/>", "is no test run's file"),
        ("{", "is no test run's file"),
        ('{"name": "x"}', "is no test run's file"),
        ("<testsuite/>", "no test that ran"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><testsuite><testcase/></testsuite>', "document type"),
    ],
)
def test_what_is_no_test_run_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(KarlError, match=why):
        read_result(kept(tmp_path, "junit.xml", text))


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "junit.xml"
    path.write_bytes(data)
    with pytest.raises(KarlError):
        read_result(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"created": 1%s, "summary": {"passed": 1}}',
        '{"startTime": 1%s, "numTotalTests": 1, "numPassedTests": 1}',
    ],
)
def test_a_time_that_no_clock_shows_is_none(tmp_path: Path, text: str) -> None:
    path = kept(tmp_path, "a.json", text % ("0" * 400))
    read = read_result(path)
    assert read.time_s == read.written_s


def test_a_document_type_in_another_encoding_is_not_read_either(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]>' + GREEN
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(KarlError, match="no test run's file"):
        read_result(path)


def test_a_run_names_its_commit_by_a_property_or_by_the_files_name(tmp_path: Path) -> None:
    named = '<testsuite><properties><property name="git.commit.sha" value="{}"/></properties><testcase/></testsuite>'
    assert read_result(kept(tmp_path, "a.xml", named.format("a" * 40))).commit == "a" * 40
    assert read_result(kept(tmp_path, "b.xml", named.format("not a hash"))).commit is None
    assert read_result(kept(tmp_path, f"junit-{'b' * 40}.xml", GREEN)).commit == "b" * 40
    assert read_result(kept(tmp_path, "c.xml", GREEN), "abcdef0").commit == "abcdef0"


def test_files_are_found_by_their_names_but_not_in_what_others_wrote(tmp_path: Path) -> None:
    for name in (
        "junit.xml",
        "ci/TEST-a.b.xml",
        "report.json",
        "pom.xml",
        "node_modules/a/junit.xml",
        ".git/junit.xml",
    ):
        kept(tmp_path, name, GREEN)
    (tmp_path / "results.xml").symlink_to(tmp_path / "junit.xml")
    found = {str(path.relative_to(tmp_path)) for path in find_results(tmp_path)}
    assert found == {"junit.xml", "ci/TEST-a.b.xml", "report.json"}


def commit(name: str, time_s: int, *parents: str) -> Commit:
    return Commit(name * 40, time_s, time_s, tuple(parent * 40 for parent in parents), (), (), ())


HISTORY = History(
    [commit("d", 40, "c"), commit("c", 30, "b"), commit("b", 20, "a"), commit("a", 10)],
    [name * 40 for name in "dcba"],
)


def turn(name: str, landed: int | None, **more: bool) -> Finding:
    known = Finding(name, "s", True, None, None, 3, 3, None, [], landed)
    return msgspec.structs.replace(known, **more) if more else known


def run(*, failed: int = 0, at: float = 0, commit: str | None = None, given: bool = False) -> Result:
    return Result(f"{at}.xml", 5, failed, at, at, commit, given)


TURNS = [turn("first", 1), turn("second", 2), turn("third", 3)]


def said(*runs: Result, lasted: list[tuple[float, float]] | None = None) -> dict[str, bool]:
    return {name: passed for name, (passed, _) in spoken_for(TURNS, runs, HISTORY, lasted or []).items()}


def test_a_run_speaks_for_the_commit_that_it_names_or_that_head_was_at() -> None:
    assert said(run(commit="c" * 40)) == {"second": True}
    assert said(run(at=35)) == {"second": True}
    assert said(run(commit="f" * 40)) == {}
    assert said(run(at=5)) == {}


def test_a_pass_speaks_for_all_work_since_the_run_before_and_a_failure_for_one_turn_only() -> None:
    assert said(run(at=15), run(at=45)) == {"first": True, "second": True, "third": True}
    assert said(run(at=15), run(at=45, failed=1)) == {}
    assert said(run(at=35), run(at=45, failed=1)) == {"second": True, "third": False}


def test_runs_about_one_commit_passed_if_all_did() -> None:
    assert said(run(at=45), run(at=46, failed=2)) == {"third": False}


def test_what_the_agent_ran_itself_counts_only_where_somebody_gave_it() -> None:
    assert said(run(at=35), lasted=[(34, 36)]) == {}
    assert said(run(at=35, given=True), lasted=[(34, 36)]) == {"second": True}
    assert said(run(at=35, commit="c" * 40), lasted=[(34, 36)]) == {"second": True}


def test_a_run_does_not_speak_for_what_was_reverted_or_never_committed() -> None:
    gone = [turn("reverted", 2, reverted=True), turn("not", 2, committed=False), turn("elsewhere", None)]
    assert spoken_for(gone, [run(at=35)], HISTORY, []) == {}


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = kept(tmp_path, "junit.xml", "")
    os.truncate(path, 40 << 20)
    with pytest.raises(KarlError, match="MiB"):
        read_result(path)

"""`karl outcomes` as somebody types it: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from karl.views.rebuild import rebuild
from tests.cli.running import karl, real_karl
from tests.export.telling import drafts, emissions
from tests.outcomes.repo import WHERE, Repo, committed, wrote
from tests.session.making import Script
from tests.views import ledgers

NEW = ["def login(user):", "    check_password(user)", "    return open_session(user)"]
DAY_S = 86_400


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository that holds what the recorded turn wrote; the turn committed it itself."""
    made = Repo(tmp_path / "shop")
    made.commit(-DAY_S, "base", auth_py="import sessions\n")
    name = made.commit(5, auth_py="import sessions\n" + "\n".join(NEW) + "\n")
    made.commit(60 * DAY_S, "other", other_py="print(1)\n")
    script = Script()
    script.prompt("Add a \x1b[31mlogin", project="shop")
    wrote(script, f"{WHERE}/auth.py", NEW)
    committed(script, name[:7])
    script.stop()
    ledgers.write(tmp_path / "data" / "ledger", drafts(emissions(script)))
    rebuild(tmp_path / "data" / "views" / "views.sqlite", tmp_path / "data" / "ledger", "2")
    return made


def test_a_scan_says_what_it_found_and_that_nothing_was_written(repo: Repo, tmp_path: Path) -> None:
    told = real_karl(tmp_path / "data", "outcomes", "scan", str(repo.path))
    assert told.returncode == 0, told.stderr.decode()
    text = told.stdout.decode()
    assert "committed, survived, not reverted" in text
    assert "1 turns of shop looked at, 1 changed files" in text
    assert "1 annotations would be new; --apply writes them" in text


def test_a_scan_in_json_has_every_turn_with_its_commits(repo: Repo, tmp_path: Path) -> None:
    result = karl(tmp_path / "data", "outcomes", "scan", str(repo.path), "--json", "--days", "30")
    report = json.loads(result.stdout)
    (turn,) = report["turns"]
    assert turn["said"] == {"git-1": {"committed": True, "survived": True, "reverted": False}}
    assert (turn["lines"], turn["held"], turn["left"]) == (3, 3, 3)
    assert turn["commits"] == [repo.git("rev-parse", "HEAD~1")]


def test_another_projects_repository_does_not_make_work_uncommitted(repo: Repo, tmp_path: Path) -> None:
    other = Repo(tmp_path / "other")
    other.commit(0, "one", auth_py="print('something else')\n")
    other.commit(60 * DAY_S, "two", auth_py="print('something more')\n")
    arguments = ("outcomes", "scan", str(other.path), "--project", "shop", "--json")
    report = json.loads(karl(tmp_path / "data", *arguments).stdout)
    assert report["annotations"] == 0
    assert "another project" in report["notes"][0]


def test_the_list_says_who_knows_what(repo: Repo, tmp_path: Path) -> None:
    result = karl(tmp_path / "data", "outcomes", "list")
    assert result.exit_code == 0
    assert "turn    committed    1   0" in result.stdout
    assert "\x1b" not in result.stdout
    document = json.loads(karl(tmp_path / "data", "outcomes", "list", "--json").stdout)
    assert document["sources"] == [{"source": "turn", "flag": "committed", "true": 1, "false": 0}]
    assert document["turns"][0]["known"] == {"committed": True}
    assert "nothing is known" in karl(tmp_path / "data", "outcomes", "list", "--agent", "codex").stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("{tmp}/nowhere",), "is no folder"),
        (("{tmp}",), "is no git repository"),
        (("{repo}", "--project", "another"), "karl sessions"),
        (("{repo}", "--ci", "{repo}/auth.py"), "is no test run's file"),
        (("{repo}", "--ci", "abcdef0={tmp}/nowhere.xml"), "can not be read"),
    ],
)
def test_an_error_says_what_to_do(repo: Repo, tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    given = [each.format(tmp=tmp_path, repo=repo.path) for each in arguments]
    told = real_karl(tmp_path / "data", "outcomes", "scan", *given)
    assert told.returncode == 1
    assert why in told.stderr.decode()
    assert "Traceback" not in told.stderr.decode()

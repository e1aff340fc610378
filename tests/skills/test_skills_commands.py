"""`karl skills` and `karl rules`, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from karl.errors import NotFound
from karl.settings import Settings
from karl.skills.decay import advice
from tests.cli.running import karl
from tests.skills.writing import fields, skill
from tests.workers.conftest import Feed, Line

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, home: Path, moving: None) -> Run:
    """Run a command on the machine that has the ledger."""

    def run(*words: str) -> Result:
        return karl(
            settings.data_dir, *words, KARL_REDIS_URL=settings.redis_url, KARL_NODE="n1", HOME=str(home)
        )

    return run


def said(result: Result) -> Any:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


def test_a_scan_says_what_was_told_and_a_second_one_that_nothing_changed(run: Run) -> None:
    first = run("skills", "scan")
    assert first.exit_code == 0, first.output
    assert first.stdout.count("told") == 3
    assert run("skills", "scan").stdout.count("as before") == 3


def test_a_dry_run_writes_nothing(run: Run, line: Line) -> None:
    assert run("skills", "scan", "--dry-run").stdout.count("would be told") == 3
    assert said(run("skills", "scan", "--dry-run", "--json"))["written"] is False
    assert line.records() == []


def test_a_folder_that_the_settings_name_and_is_not_there_is_named(settings: Settings, home: Path) -> None:
    given = {"KARL_REDIS_URL": settings.redis_url, "HOME": str(home), "KARL_SKILLS_DIR": "/nowhere/skills"}
    assert (
        "there is no /nowhere/skills"
        in karl(settings.data_dir, "skills", "scan", "--dry-run", **given).stderr
    )


def test_what_could_not_be_read_is_named_and_ends_with_1(run: Run, settings: Settings, home: Path) -> None:
    settings.rules.write_text('[[rule]]\nskill = "pdf"\npattern = "("\n')
    skill(home, ".claude/skills/odd", "---\ndescription: Use when: odd\n---\n")
    result = run("skills", "scan")
    assert result.exit_code == 1
    assert "rule 1 (pdf)" in result.stderr
    assert "note: " in result.stderr
    assert said(run("skills", "list", "--json"))[0]["name"] == "odd"


def test_the_list_and_one_skill_whole(run: Run) -> None:
    run("skills", "scan")
    listed = {one["name"]: one for one in said(run("skills", "list", "--json"))}
    assert listed["pdf"]["place"] == "~/.claude/skills"
    assert listed["pdf"]["rules"] == 2
    assert "Makes sheets." in run("skills", "list").stdout
    shown = run("skills", "show", "/pdf")
    assert shown.exit_code == 0
    for text in ("Reads PDFs.", "the model or a person", r"\bmerge\s+pages\b", "(its name)"):
        assert text in shown.stdout
    assert said(run("skills", "show", "pdf", "--json"))["skills"][0]["description"] == "Reads PDFs."


def test_a_name_that_is_none_gets_the_near_ones(run: Run) -> None:
    run("skills", "scan")
    result = run("skills", "show", "sheet")
    assert isinstance(result.exception, NotFound)
    assert "sheets" in str(result.exception)


def test_a_path_that_is_not_there_is_refused_unless_it_was_told_of(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    assert isinstance(run("skills", "scan", str(path)).exception, NotFound)
    path.write_text('{"name": "mail", "description": "Writes mail."}')
    assert run("skills", "scan", str(path)).exit_code == 0
    path.unlink()
    assert "is gone" in run("skills", "scan", str(path)).stdout
    assert isinstance(run("skills", "scan", str(path)).exception, NotFound)


def test_before_any_views_a_list_says_where_they_come_from(tmp_path: Path) -> None:
    result = karl(tmp_path, "skills", "list")
    assert isinstance(result.exception, NotFound)


def test_rules_are_tested_on_a_prompt_of_a_project(run: Run, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    skill(shop, ".claude/skills/deploy", fields(name="deploy", triggers="[go live]"))
    run("skills", "scan")
    assert run("skills", "scan", "--project", str(shop)).exit_code == 0
    assert run("rules", "test", "let us go live").exit_code == 1
    won = run("rules", "test", "let us go live", "--project", "shop")
    assert won.exit_code == 0
    assert "deploy wins" in won.stdout
    assert said(run("rules", "test", "merge pages", "--json"))["pick"] == "pdf"
    assert run("rules", "test", "/pdf").exit_code == 1
    tie = run("rules", "test", "the pdf skill or the sheets skill")
    assert (tie.exit_code, "a tie" in tie.stdout) == (1, True)


def test_a_file_of_rules_is_tried_before_it_is_scanned(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nskill = "x"\nwords = ["zebra"]\n[[rule]]\nskill = "y"\npattern = "("\n')
    result = run("rules", "test", "a zebra", "--file", str(path))
    assert result.exit_code == 0
    assert "x wins" in result.stdout
    assert "rule 2 (y)" in result.stderr


def test_rules_are_listed_by_skill_and_project(run: Run, tmp_path: Path) -> None:
    run("skills", "scan")
    assert {one["skill"] for one in said(run("rules", "list", "--json"))} == {"pdf", "sheets", "ship"}
    assert {one["skill"] for one in said(run("rules", "list", "--skill", "pdf", "--json"))} == {"pdf"}
    assert "no such rules" in run("rules", "list", "--skill", "none").stdout


def test_a_skills_text_can_not_drive_the_terminal(run: Run, home: Path) -> None:
    skill(home, ".claude/skills/evil", '---\ndescription: "\\e]0;owned\\a\\x1b[2J"\n---\n')
    run("skills", "scan")
    for words in (("skills", "list"), ("skills", "show", "evil"), ("skills", "scan", "--json")):
        assert "\x1b" not in run(*words).output


def test_states_say_how_skills_do_and_what_might_be_done(
    settings: Settings, line: Line, feed: Callable[..., Feed], request: pytest.FixtureRequest
) -> None:
    worker = line.sessions()
    one = feed("s-pdf")
    one.prompt("Please merge these scanned letters")
    one.call("Skill", skill="pdf")
    one.stop()
    line.drain(worker)
    run: Run = request.getfixturevalue("run")  # from here on the line moves by itself
    assert run("skills", "scan").exit_code == 0  # it waits until the views hold everything
    state = said(run("skills", "states", "--json"))[0]
    assert (state["skill"], state["activations"]) == ("pdf", 1)
    assert "pdf" in run("skills", "states").stdout
    assert "turns that used it: 1 (0 useful, 0 corrected)" in run("skills", "show", "pdf").stdout


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("activations", "useful", "confidence", "idle_days", "expected"),
    [
        (11, 0, 0.29, 0, "disable"),
        (10, 0, 0.29, 0, None),
        (11, 0, 0.3, 0, None),
        (1, 0, 0.5, 60, "archive"),
        (1, 1, 0.5, 60, None),
        (1, 1, 0.49, 30, "warn"),
        (1, 1, 0.49, 29, None),
        (21, 9, 0.71, 0, "candidate"),
        (20, 9, 0.71, 0, None),
        (21, 9, 0.7, 0, None),
        (99, 0, 0.1, 99, "disable"),
    ],
)
def test_advice_follows_the_rules_of_decay(
    activations: int, useful: int, confidence: float, idle_days: int, expected: str | None
) -> None:
    now = 100 * DAY_MS
    assert expected == advice(
        activations=activations,
        useful=useful,
        confidence=confidence,
        last_ms=now - idle_days * DAY_MS,
        now_ms=now,
    )

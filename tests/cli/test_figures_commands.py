"""`karl trend`, `quality`, `health`, `difficulty`, `diversity`, `fingerprint`, `report` and their like, on a made ledger."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.acts.reader import READER
from karl.cli.figures_shown import table
from karl.cli.table import COMMANDS
from karl.ledger.writer import Draft
from karl.reward.deeds import acts_of
from karl.schema.record import AnnotationBody
from karl.schema.trajectory import Outcome
from karl.views.rebuild import rebuild
from tests.cli.running import KARL, environ, karl
from tests.views import ledgers

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000
UNTIL = "2026-09-22"
FIGURES = (
    "trend",
    "quality",
    "health",
    "difficulty",
    "reward-calibration",
    "diversity",
    "fingerprint",
    "report",
    "health-digest",
)


def turn(
    number: int, agent: str, reward: float, *, corrected: bool | None = None, **facts: Any
) -> list[Draft]:
    """A turn, a session and a day of its own, the higher the number the longer ago."""
    asked = f"mend the thing number {number} of the shop, please"
    reading = ledgers.reading(
        ledgers.calls("Read", "Edit", "Bash"), prompt=asked, skill=facts.pop("skill", None)
    )
    for call, acts in zip(reading.trajectory.events, acts_of(reading), strict=True):
        call.acts = acts
    reading.trajectory.reader = READER
    time_ms = NOW_MS - number * DAY_MS
    made = ledgers.trajectory(
        f"{agent}-{number}", 0, reward=reward, agent=agent, time_ms=time_ms, reading=reading, **facts
    )
    if corrected is None:
        return [made]
    said = ledgers.annotation(made, Outcome(correction_detected=corrected))
    body = msgspec.json.decode(said.body, type=AnnotationBody)
    body = msgspec.structs.replace(body, score=msgspec.structs.replace(body.score, reward=reward))
    return [made, Draft("annotation", msgspec.json.encode(body))]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty turns of one agent, which falls; five of another."""
    folder = tmp_path_factory.mktemp("told")
    drafts: list[Draft] = []
    for number in range(40):
        drafts += turn(number, "claude-code", 0.5 + number / 100, corrected=number % 4 == 0, skill="mend")
    for number in range(5):
        drafts += turn(number, "codex", 0.9)
    ledgers.write(folder / "ledger", drafts)
    rebuild(folder / "views" / "views.sqlite", folder / "ledger", "1")
    return folder


def shown(data_dir: Path, *arguments: str) -> Any:
    result = karl(data_dir, *arguments, "--json", KARL_REWARD_VERSION="1")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_figure_keeps_agents_apart(told: Path) -> None:
    for name in FIGURES:
        found = shown(told, name, "--until", UNTIL)
        if name == "health":
            assert [one["agent"] for one in found["groups"] if one["name"] is None] == [
                "claude-code",
                "codex",
            ]
        elif name == "report":
            assert [one["agent"] for one in found["quality"]] == ["claude-code", "codex"]
        else:
            assert [one["agent"] for one in found["agents"]] == ["claude-code", "codex"], name


def test_trend_shows_days_and_that_they_fall(told: Path) -> None:
    days = shown(told, "trend", "--days", "14", "--until", "2026-09-21T20:00:00+00:00")["agents"][0]
    assert len(days["days"]) == 14
    assert days["trend"]["direction"] == "falling"
    assert days["reward"]["n"] == 14


def test_trend_of_too_few_days_says_how_far_back_to_look(told: Path) -> None:
    result = karl(told, "trend", "--days", "1", "--until", "2027-01-31", KARL_REWARD_VERSION="1")
    assert result.exit_code == 0
    assert "--days 133" in result.stderr
    assert shown(told, "trend", "--days", "133", "--until", "2027-01-31")["agents"]


def test_log_trend_writes_nothing_and_gives_todays_figures(told: Path) -> None:
    shown(told, "trend", "--until", UNTIL)  # whoever reads first leaves what SQLite shares between readers
    before = sorted(path for path in told.rglob("*") if path.is_file())
    result = karl(
        told, "log-trend", "--until", "2026-09-21T20:00:00+00:00", "--json", KARL_REWARD_VERSION="1"
    )
    assert "nothing to log" in result.stderr
    assert [one["reward"]["n"] for one in json.loads(result.stdout)["agents"]] == [1, 1]
    assert sorted(path for path in told.rglob("*") if path.is_file()) == before


def test_quality_grades_where_there_are_enough_turns(told: Path) -> None:
    first, second = shown(told, "quality", "--limit", "3")["agents"]
    assert sum(first["grades"].values()) == 40
    assert [turn["grade"] for turn in first["turns"]] == ["low"] * 3
    assert first["turns"][0]["prompt"] == "mend the thing number 0 of the shop, please"
    assert (first["corrected"]["hits"], first["corrected"]["n"]) == (10, 40)
    assert (second["grades"], second["turns"]) == (None, [])


def test_health_and_report_exit_1_when_something_falls_and_that_was_asked(told: Path) -> None:
    for name in ("health", "report", "health-digest"):
        for more, code in (((), 0), (("--check",), 1)):
            result = karl(told, name, "--until", UNTIL, *more, KARL_REWARD_VERSION="1")
            assert result.exit_code == code, (name, result.output)


def test_difficulty_says_what_was_asked(told: Path) -> None:
    tasks = shown(told, "difficulty", "--limit", "2")["agents"][0]["tasks"]
    assert len(tasks) == 2
    assert tasks[0]["prompt"].startswith("mend the thing")
    assert 0 <= tasks[1]["difficulty"]["mean"] <= tasks[0]["difficulty"]["mean"] <= 1
    by = shown(told, "difficulty", "--by", "skill")["agents"]
    assert [task["name"] for task in by[0]["tasks"]] == ["mend"]


def test_calibration_holds_the_reward_without_its_outcome_against_what_is_known(told: Path) -> None:
    first, second = shown(told, "reward-calibration", "--no-plot")["agents"]
    assert (first["known"], first["done"], first["by"]) == (40, 30, {"correction": 40})
    assert first["truth"]["constant"] == pytest.approx(0.1875)
    # Every turn was made alike: without the outcome all say the same, whatever came of them.
    assert first["auroc"]["value"] == 0.5
    assert (second["known"], second["truth"]) == (0, None)


def test_diversity_counts_tools_files_and_prompts(told: Path) -> None:
    first = shown(told, "diversity", "--agent", "claude-code")["agents"][0]
    assert first["varieties"]["tools"]["n"] == 120
    assert first["varieties"]["tools"]["effective"] == pytest.approx(3.0)
    assert first["varieties"]["prompts"]["kinds"] == 40
    assert first["prompts"]["same"]["hits"] == 0
    assert first["prompts"]["alike"]["hits"] == 40


def test_fingerprint_of_a_session_stands_beside_its_agents_others(told: Path) -> None:
    found = shown(told, "fingerprint", "claude-code-7")
    assert found["session"] == "claude-code-7"
    assert found["agents"][0]["fingerprint"]["turns"] == 1
    assert found["agents"][0]["drift"] is None
    whole = shown(told, "fingerprint", "--agent", "claude-code")["agents"][0]
    assert (whole["drift"]["recent"], whole["drift"]["drifted"]) == (20, False)


def test_the_same_question_has_the_same_answer(told: Path) -> None:
    for name in ("fingerprint", "reward-calibration", "report"):
        assert shown(told, name, "--until", UNTIL) == shown(told, name, "--until", UNTIL)


def test_scores_of_another_version_are_named_and_left_out(told: Path) -> None:
    result = karl(told, "quality", "--json", "--reward-version", "2")
    found = json.loads(result.stdout)
    assert (found["agents"], found["left_out"]) == ([], {"1": 45})
    assert "karl backfill" in result.stderr
    assert "no turn fits" in result.stderr


def test_a_filter_that_nothing_fits_is_no_failure(told: Path) -> None:
    for name in FIGURES:
        result = karl(told, name, "--project", "nowhere", KARL_REWARD_VERSION="1")
        assert result.exit_code == 0, (name, result.output)


def test_a_turn_that_can_not_be_read_is_named_and_the_others_are_looked_at(tmp_path: Path) -> None:
    drafts = [one for number in range(5) for one in turn(number, "codex", 0.5, corrected=False)]
    ledgers.write(tmp_path / "ledger", drafts)
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    segment = next((tmp_path / "ledger").glob("*.jsonl"))
    lines = segment.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"turn":0', b'"turn":9')
    segment.write_bytes(b"\n".join(lines))
    for name, count in (
        ("diversity", lambda found: found["varieties"]["tools"]["n"]),
        ("fingerprint", lambda found: 3 * found["fingerprint"]["turns"]),
        ("reward-calibration", lambda found: 3 * found["known"]),
    ):
        result = karl(tmp_path, name, "--json", KARL_REWARD_VERSION="1")
        assert result.exit_code == 1
        assert "1 turns can not be read" in result.stderr
        assert count(json.loads(result.stdout)["agents"][0]) == 12


def test_without_views_it_is_said_what_to_do(tmp_path: Path) -> None:
    for name in FIGURES:
        assert karl(tmp_path, name).exit_code == 1, name


def test_piped_output_has_no_escapes_and_stays_ascii_where_the_encoding_is(told: Path) -> None:
    for name in ("trend", "report"):
        variables = {**os.environ, **environ(told, KARL_REWARD_VERSION="1", PYTHONIOENCODING="ascii")}
        done = subprocess.run(
            [KARL, name, "--until", UNTIL, "--since", "2026-08-01"],
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout
        assert b"\\u28" not in done.stdout


def test_recorded_names_can_not_drive_the_terminal(tmp_path: Path) -> None:
    drafts = [
        one
        for number in range(25)
        for one in turn(number, "evil\x1b[31m", 0.5, skill="s\x1b]0;x\x07", project="p\x1b[2J")
    ]
    ledgers.write(tmp_path / "ledger", drafts)
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    for name in FIGURES:
        for more in ((), ("--json",)):
            result = karl(tmp_path, name, "--until", UNTIL, *more, KARL_REWARD_VERSION="1")
            assert result.exit_code == 0, result.output
            assert "\x1b" not in result.output


def test_a_table_has_the_interval_and_the_number_beside_each_figure(told: Path) -> None:
    found = karl(told, "quality", "--limit", "0", "--no-plot", KARL_REWARD_VERSION="1").stdout
    assert [" ".join(line.split()) for line in found.splitlines()] == [
        "agent turns reward quartiles high medium low failed calls corrected",
        "claude-code 40 0.70 (0.66-0.73) 0.60 0.69 0.79 8 15 17 0 % (0-3) 25 % (14-41) of 40",
        "codex 5 0.90 (0.90-0.90) 0.90 0.90 0.90 - - - 0 % (0-20) -",
        "codex: too few turns for grades (5 of 20)",
    ]


def test_the_help_of_every_figure_has_an_example() -> None:
    names = {row.name for row in COMMANDS if row.group == "reward"}
    assert {*FIGURES, "log-trend", "annotate"} <= names
    for name in (*FIGURES, "log-trend", "annotate"):
        assert f"karl {name}" in karl(Path("/nonexistent"), name, "--help").output
        assert "Example:" in karl(Path("/nonexistent"), name, "--help").output


def test_a_terminal_too_narrow_for_figures_gets_a_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    table(("skill", "turns", "reward"), [("release\x1b[2J", 1_234_567, "0.69 (0.68-0.71) of so many turns")])
    said = capsys.readouterr().out
    assert "0.69 (0.68-0.71) of so many turns" in said
    assert "1234567" in said
    assert "\x1b" not in said


def test_a_terminal_wide_enough_gets_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    table(("skill", "turns"), [("release", 7), ("review", 8)], short=("skill",))
    assert len(capsys.readouterr().out.splitlines()) == 3

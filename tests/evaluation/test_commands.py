"""`karl reward`: over files of labelled runs, and over the ledger of a real line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.ledger.verify import verify
from karl.reward.calibration import of_record
from karl.schema.record import CalibrationBody
from karl.stream.basis import read_bases
from karl.views import store
from karl.views.rebuild import Tail, begin
from tests.cli.running import karl
from tests.evaluation.made import many, write
from tests.workers.conftest import Feed, Line
from workers.calibration import apply


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write(tmp_path / "runs.jsonl", many(90, 1, runs_each=2))


def test_evaluate_shows_every_score_and_signal(tmp_path: Path, runs: Path) -> None:
    result = karl(tmp_path, "reward", "evaluate", str(runs), "--version", "2", "--draws", "50")
    assert result.exit_code == 0
    for word in (
        "made",
        "90 runs of 45 tasks",
        "version 2",
        "version 1",
        "steps",
        "learned",
        "process",
        "ECE",
    ):
        assert word in result.output


def test_evaluate_says_the_same_as_json(tmp_path: Path, runs: Path) -> None:
    asked = (
        "reward",
        "evaluate",
        str(runs),
        "--version",
        "1",
        "--baseline",
        "steps",
        "--draws",
        "50",
        "--json",
    )
    (report,) = json.loads(karl(tmp_path, *asked).output)["sets"]
    assert (report["set"], report["runs"]) == ("made", 90)
    assert list(report["scores"]) == ["version 1", "steps"]
    assert list(report["differences"]) == ["steps"]
    assert 0 <= report["scores"]["version 1"]["auroc"]["low"] <= 1


def test_evaluate_draws_what_was_said_against_what_was(tmp_path: Path, runs: Path) -> None:
    result = karl(tmp_path, "reward", "evaluate", str(runs), "--plot", "--components", "--draws", "50")
    assert result.exit_code == 0
    assert "what was said (across)" in result.output


def test_a_set_of_several_agents_is_compared_within_each_too(tmp_path: Path) -> None:
    rows = many(60, 1) + [
        one | {"instance_id": f"b{n}"} for n, one in enumerate(many(60, 2, agent="another"))
    ]
    file = write(tmp_path / "two.jsonl", rows)
    asked = ("reward", "evaluate", str(file), "--version", "2", "--draws", "50")
    assert "within one agent" in karl(tmp_path, *asked).output
    (report,) = json.loads(karl(tmp_path, *asked, "--json").output)["sets"]
    assert report["agents"] == {"another": 60, "maker": 60}
    assert report["scores"]["version 2"]["within_agent"]["low"] is not None


def test_bad_lines_are_named_and_the_exit_status_says_so(tmp_path: Path, runs: Path) -> None:
    with runs.open("a") as file:
        file.write('{"label": true}\n')
    result = karl(tmp_path, "reward", "evaluate", str(runs), "--draws", "50")
    assert result.exit_code == 1
    assert f"{runs}:91: no list of steps" in result.stderr
    assert "made" in result.stdout


def test_a_name_that_drives_terminals_is_shown_as_escapes(tmp_path: Path) -> None:
    rows = [one | {"set": "\x1b[31mred", "agent": "\x1b]0;x\x07"} for one in many(50)]
    file = write(tmp_path / "a.jsonl", rows)
    for command in (
        ("evaluate", "--draws", "50"),
        ("calibrate", "--version", "2", "--labelled"),
        ("ablate",),
    ):
        result = karl(tmp_path, "reward", *command, str(file))
        assert result.exit_code == 0
        assert "\x1b]" not in result.output
        assert "\x1b[31mred" not in result.output


def test_no_runs_at_all_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = karl(tmp_path, "reward", "evaluate", str(tmp_path / "empty"))
    assert result.exit_code == 1
    assert "no labelled runs" in result.stderr


def test_what_was_learned_goes_through_a_file_into_an_evaluation(tmp_path: Path, runs: Path) -> None:
    file = tmp_path / "learned.json"
    result = karl(
        tmp_path, "reward", "calibrate", "--labelled", str(runs), "--version", "2", "--file", str(file)
    )
    assert result.exit_code == 0
    assert "log odds" in result.output
    assert "Nothing was changed" in result.output
    (record,) = msgspec.json.decode(file.read_bytes(), type=list[CalibrationBody])
    file.write_bytes(msgspec.json.encode([msgspec.structs.replace(record, applied=True)]))
    asked = ("reward", "evaluate", str(runs), "--version", record.version, "--draws", "50", "--json")
    plain = json.loads(karl(tmp_path, *asked).output)["sets"][0]
    learned = json.loads(karl(tmp_path, *asked, "--calibration", str(file)).output)["sets"][0]
    name = f"version {record.version}"
    assert "chance" in {one["name"] for one in learned["components"]}
    assert "chance" not in {one["name"] for one in plain["components"]}
    assert learned["scores"][name]["truth"] != plain["scores"][name]["truth"]


def test_ablate_says_what_each_signal_does(tmp_path: Path, runs: Path) -> None:
    result = karl(tmp_path, "reward", "ablate", str(runs), "--version", "1")
    assert result.exit_code == 0
    assert "rank correlation" in result.output
    made = json.loads(karl(tmp_path, "reward", "ablate", str(runs), "--version", "1", "--json").output)
    (one,) = made["ablations"]
    assert {left["signal"] for left in one["signals"]} >= {"process", "motion"}
    assert all(left["auroc_change"] for left in one["signals"])


class Ledger:
    """A line whose ledger holds turns that were corrected, and turns that were not."""

    def __init__(self, line: Line, feed: Callable[..., Feed], sessions: int) -> None:
        self.line = line
        self.data = line.folder.parent
        worker = line.sessions()
        for number in range(sessions):
            bad = number % 3 == 0
            one = feed(f"s-{number}")
            one.prompt()
            for _ in range(2 + number % 5):
                one.call(result="PostToolUseFailure" if bad and number % 4 else "PostToolUse")
            one.stop()
            one.prompt("no, that is wrong, I meant the other one" if bad else "thanks, and now the next one")
        line.drain(worker)
        worker.close()
        views = self.data / "views" / "views.sqlite"
        views.parent.mkdir(parents=True)
        begin(views, "1")
        with closing(store.Store(views, "1", line.folder)) as opened:
            tail = Tail(line.folder, opened.position)
            before = tail.position
            while lines := tail.batch():
                opened.apply(lines, before)
                before = tail.position
            tail.close()

    def run(self, *arguments: str) -> Any:
        result = karl(self.data, "reward", *arguments, "--json", KARL_REWARD_VERSION="1")
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


@pytest.fixture
def ledger(line: Line, feed: Callable[..., Feed]) -> Iterator[Ledger]:
    return Ledger(line, feed, 60)


def test_the_ledgers_own_outcomes_teach_a_calibration(ledger: Ledger) -> None:
    (agent,) = ledger.run("calibrate", "--version", "2")["agents"]
    record = msgspec.convert(agent["record"], CalibrationBody)
    assert agent["agent"] == "claude-code"
    assert record.known == {"correction": record.runs}
    assert 40 <= record.runs <= 60
    assert 10 <= record.resolved < record.runs
    assert record.groups == record.runs
    assert ledger.line.records("calibration") == []


def test_an_applied_record_is_in_the_ledger_and_scores_are_made_by_it(ledger: Ledger) -> None:
    (agent,) = ledger.run("calibrate", "--version", "2")["agents"]
    record = msgspec.structs.replace(msgspec.convert(agent["record"], CalibrationBody), applied=True)
    redis = ledger.line.redis
    apply(redis, [record], lambda _s: None)
    while ledger.line.waiting():
        ledger.line.ledger.run_once(ledger.line.stop)
    (kept,) = ledger.line.records("calibration")
    assert msgspec.convert({k: v for k, v in kept.items() if k != "kind"}, CalibrationBody) == record
    assert read_bases(redis)["claude-code"].calibration == of_record(record)
    assert verify(ledger.line.folder).findings == []
    assert "what was learned of this agent's outcomes" in karl(ledger.data, "tail").output
    apply(redis, [msgspec.structs.replace(record, applied=False)], lambda _s: None)
    known = read_bases(redis).get("claude-code")
    assert known is None or known.calibration is None


def test_ablate_reads_the_ledgers_scores_by_agent(ledger: Ledger) -> None:
    (one,) = ledger.run("ablate")["ablations"]
    version = ledger.line.records("trajectory")[0]["score"]["version"]
    assert (one["of"], one["version"], one["runs"]) == ("claude-code", version, 60)
    assert all(left["auroc_change"] is None for left in one["signals"])


@pytest.mark.parametrize("asked", [("evaluate", "."), ("ablate",), ("calibrate",)])
def test_a_version_that_there_is_not_is_misuse(tmp_path: Path, asked: tuple[str, ...]) -> None:
    result = karl(tmp_path, "reward", *asked, "--version", "9")
    assert result.exit_code == 2
    assert "there are: 1, 2" in result.output


def test_a_set_that_there_is_not_is_answered_with_those_that_there_are(tmp_path: Path, runs: Path) -> None:
    result = karl(tmp_path, "reward", "evaluate", str(runs), "--set", "nope")
    assert result.exit_code == 1
    assert "no set is called nope; there are: made" in result.output

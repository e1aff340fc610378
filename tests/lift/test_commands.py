"""`karl sft-eval`: what it shows, computes again, and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.schema.learning import Contrast, EvaluationBody
from tests.cli.running import karl
from tests.lift.planted import evaluation


def written(path: Path, body: Any) -> str:
    path.write_bytes(msgspec.json.encode(body))
    return str(path)


def recompute(tmp_path: Path, body: EvaluationBody, *more: str) -> Any:
    return karl(tmp_path, "sft-eval", "--recompute", written(tmp_path / "evaluation.json", body), *more)


def test_an_evaluation_is_computed_again_from_its_bits_and_agrees(tmp_path: Path) -> None:
    result = recompute(tmp_path, evaluation(0.2))
    assert result.exit_code == 0, result.output
    assert "the record agrees" in result.output
    assert "\nlift: the arm chosen by advantage is right about the next tool +" in result.output
    for arm in ("base", "all", "random", "reward", "advantage", "bigram", "majority"):
        assert f"\n{arm} " in result.output


def test_a_record_that_was_improved_upon_is_said_so_and_ends_with_one(tmp_path: Path) -> None:
    body = msgspec.structs.replace(
        evaluation(0.0), verdict="lift", primary=Contrast("advantage-random", "tool", 0.2, 0.1, 0.3)
    )
    result = recompute(tmp_path, body)
    assert result.exit_code == 1
    assert "the verdict is no lift, not lift" in result.output
    assert "advantage-random in tool is" in result.output


@pytest.mark.parametrize(("effect", "code"), [(0.2, 0), (0.0, 1), (-0.2, 1)])
def test_with_check_only_a_lift_ends_with_zero(tmp_path: Path, effect: float, code: int) -> None:
    assert recompute(tmp_path, evaluation(effect)).exit_code == 0
    assert recompute(tmp_path, evaluation(effect), "--check").exit_code == code


def test_what_json_printed_can_be_computed_again(tmp_path: Path) -> None:
    first = recompute(tmp_path, evaluation(0.1), "--json")
    assert first.exit_code == 0
    told = json.loads(first.output)
    assert (told["agrees"], told["differs"], told["verdict"]) == (True, [], told["record"]["verdict"])
    assert {one["name"] for one in told["differences"]} >= {"advantage-random", "advantage-bigram"}
    again = karl(tmp_path, "sft-eval", "--recompute", written(tmp_path / "again.json", told), "--json")
    assert json.loads(again.output) == told
    line = {"seq": 7, "kind": "evaluation", "body": told["record"]}
    assert karl(tmp_path, "sft-eval", "--recompute", written(tmp_path / "line.json", line)).exit_code == 0


def test_of_one_seed_no_figure_is_printed(tmp_path: Path) -> None:
    output = recompute(tmp_path, evaluation(0.5, seeds=1)).output
    lines = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    for arm in ("all", "random", "reward", "advantage"):
        assert "one seed: no result" in lines[arm]
        assert "%" not in lines[arm]
    assert "%" in lines["bigram"]
    assert "no lift: 1 seed is too few" in output


def test_a_file_that_holds_no_evaluation_is_refused(tmp_path: Path) -> None:
    for content in (b"{}", b"nothing", b"[]", b"\xff", b"[" * 100_000):
        (tmp_path / "file").write_bytes(content)
        result = karl(tmp_path, "sft-eval", "--recompute", str(tmp_path / "file"))
        assert result.exit_code == 1
        assert "holds no evaluation" in str(result.exception)


def test_bits_that_are_not_those_of_the_items_are_refused(tmp_path: Path) -> None:
    body = evaluation(0.2)
    short = msgspec.structs.replace(body.arms[0].runs[0], tools="ff")
    broken = msgspec.structs.replace(
        body, arms=(msgspec.structs.replace(body.arms[0], runs=(short,)), *body.arms[1:])
    )
    result = recompute(tmp_path, broken)
    assert result.exit_code == 1
    assert "not those of 200 items" in str(result.exception)


def test_what_was_recorded_can_not_drive_the_terminal(tmp_path: Path) -> None:
    body = msgspec.structs.replace(evaluation(0.2), model="\x1b[2Jmodel")
    assert "\x1b" not in recompute(tmp_path, body).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a data set as DIR, or a training as RUN"),
        (("run", "--arms", "best"), "there is no arm"),
        (("run", "--show", "x", "--recompute", "y"), "do not go together"),
    ],
)
def test_what_makes_no_sense_ends_with_two(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = karl(tmp_path, "sft-eval", *words)
    assert result.exit_code == 2
    assert said in result.output

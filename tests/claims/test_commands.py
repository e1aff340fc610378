"""`karl claims`: what people and programs are shown, exit codes, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from karl.errors import NotFound
from tests.adapters.scene import Scene
from tests.cli.running import karl

HOSTILE = "x\x1b[2J\u202ey | <b>&nbsp;"


def said(scene: Scene, *arguments: str) -> Result:
    """Run a command beside a line that stands still but for what was asked."""
    result = karl(
        scene.settings.data_dir, "claims", *arguments, KARL_REDIS_URL=scene.settings.redis_url, KARL_NODE="n1"
    )
    scene.catch_up()
    return result


def told(scene: Scene, *arguments: str) -> Any:
    return json.loads(said(scene, *arguments, "--json").stdout)


def test_a_claim_is_made_listed_shown_checked_and_taken_back(scene: Scene) -> None:
    scene.earned()
    assert "nothing is claimed" in said(scene).stdout
    id_ = told(scene, "add", "--kind", "lift", "--evaluation", "ev1", "chosen turns are better")["id"]
    assert [(one["id"], one["status"]) for one in told(scene, "list")] == [(id_, "supported")]
    assert "supported" in said(scene).stdout
    shown = said(scene, "show", id_[:8]).stdout
    assert "all of them follow from the runs" in shown
    result = said(scene, "check")
    assert result.exit_code == 0
    assert "0 of 1 claims are broken or not supported" in result.stdout
    assert said(scene, "withdraw", id_, "--reason", "too bold").exit_code == 0
    assert told(scene, "list") == []
    assert "withdrawn" in said(scene, "list", "--all").stdout
    assert isinstance(said(scene, "show", "nope").exception, NotFound)


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "words"),
        ("add", "--kind", "odd", "words"),
        ("add", "--kind", "free"),
        ("add", "--kind", "free", "  "),
        ("add", "--kind", "free", "w" * 2001),
        ("withdraw", "c1"),
    ],
)
def test_what_makes_no_sense_is_misuse(scene: Scene, arguments: tuple[str, ...]) -> None:
    assert said(scene, *arguments).exit_code == 2


def test_check_ends_with_1_when_somebody_has_changed_a_file(scene: Scene) -> None:
    made = scene.earned()
    said(scene, "add", "--kind", "lift", "--evaluation", "ev1", "chosen turns are better")
    said(scene, "add", "--kind", "free", "and the weather is fine")
    assert said(scene, "check").exit_code == 0
    weights = scene.settings.adapters / made.adapter / "adapters.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    result = said(scene, "check", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert not document["ok"]
    assert [one["status"] for one in document["claims"]] == ["broken", "stated"]


def test_words_of_a_claim_drive_neither_terminal_nor_page(scene: Scene) -> None:
    said(scene, "add", "--kind", "free", HOSTILE, "--boundary", HOSTILE)
    id_ = told(scene, "list")[0]["id"]
    every = [("list",), ("list", "--json"), ("show", id_), ("show", id_, "--json"), ("check",), ("report",)]
    for arguments in every:
        shown = said(scene, *arguments).stdout
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    report = said(scene, "report").stdout
    assert "<b>" not in report.replace(r"\<b\>", "")
    assert r"\| \<b\>\&nbsp;" in report


def test_secrets_in_a_claim_are_taken_out(scene: Scene) -> None:
    secret = "ghp_" + "a1B2" * 9
    said(scene, "add", "--kind", "free", f"with {secret}")
    assert secret not in said(scene, "list").stdout
    assert "REDACTED" in said(scene, "list").stdout


def test_the_report_has_status_boundary_module_evidence_and_how_to_repeat_it(
    scene: Scene, tmp_path: Path
) -> None:
    made = scene.earned()
    said(
        scene,
        "add",
        "--kind",
        "lift",
        "--evaluation",
        "ev1",
        "chosen turns are better",
        "--boundary",
        "one model",
    )
    said(scene, "add", "--kind", "training", "--training", "run-one", "it was trained")
    said(scene, "add", "--kind", "holdout", "nothing held out was seen")
    path = tmp_path / "claims.md"
    assert said(scene, "report", "--output", str(path)).exit_code == 0
    text = path.read_text()
    for words in (
        "- **Status:** supported",
        "- **Boundary:** one model",
        "`karl/learning/lift.py`",
        f"adapter `{made.adapter}`",
        f"export `{made.export}`",
        "holdout `hold1`",
        "| advantage-random | tool | +0.4",
        "karl sft-eval --recompute ev1",
        "karl export --format chatml --output DIR  # export",
        "karl sft-launch DIR --model tiny --iters 20",
        "may be quoted with its boundary, naming KARL",
    ):
        assert words in text, words
    assert said(scene, "report").stdout == text


def test_the_report_of_nothing_says_so(scene: Scene) -> None:
    assert "Nothing is claimed." in said(scene, "report").stdout

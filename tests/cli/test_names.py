"""Every name of the two command lines that KARL supersedes is a command, and so is what its note points to."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from karl.cli import reference
from karl.cli.main import cli
from karl.cli.superseded import PROGRAM, SCRIPT, Name

#: The 67 and the 10, as they were.
THE_67 = [
    "status",
    "shadow",
    "health",
    "promote",
    "auto-promote",
    "trend",
    "log-trend",
    "dedup",
    "integrity",
    "annotate",
    "quality",
    "archive",
    "export",
    "train",
    "centroids",
    "metrics",
    "config",
    "confusion",
    "diversity",
    "seed",
    "promote-sim",
    "hybrid",
    "accuracy-trend",
    "log-accuracy",
    "sft-ready",
    "synth-qa",
    "hard-negatives",
    "refine",
    "confusion-resolve",
    "skill-breakdown",
    "lift-sim",
    "train-dryrun",
    "centroid-snapshot",
    "centroid-versions",
    "centroid-rollback",
    "lift-analysis",
    "force-promote",
    "reshadow",
    "accuracy-source",
    "iterative-refine",
    "sft-preflight",
    "sft-launch",
    "sft-status",
    "ab-monitor",
    "auto-refresh",
    "sft-eval",
    "sft-fetch",
    "log-skill-evolution",
    "skill-evolution",
    "health-digest",
    "post-digest",
    "cron",
    "auto-resolve",
    "skill-matrix",
    "merge-candidates",
    "reward-calibration",
    "replay",
    "dashboard",
    "difficulty",
    "accuracy-forecast",
    "exemplars",
    "add-exemplar",
    "remove-exemplar",
    "rebuild-centroid",
    "confidence-analysis",
    "routing-override",
    "organic-status",
]
THE_10 = [
    "status",
    "backfill",
    "export",
    "train",
    "analyze",
    "report",
    "bootstrap",
    "synthetic",
    "weights",
    "extract",
]
EVERY = dict.fromkeys([*THE_67, *THE_10])


def found(words: list[str]) -> tuple[click.Command, list[str]]:
    """Give the command that words name, and the words that are left for it."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            break
        command, words = inner, words[1:]
    return command, words


def test_both_lists_are_whole_and_in_their_order() -> None:
    assert (len(THE_67), len(THE_10)) == (67, 10)
    assert [one.name for one in SCRIPT] == THE_67
    assert [one.name for one in PROGRAM] == THE_10


@pytest.mark.parametrize("name", EVERY)
def test_a_superseded_name_is_a_command_that_explains_itself(name: str) -> None:
    told = CliRunner().invoke(cli, [name, "--help"])
    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"Usage: karl {name}") or told.output.startswith(f"Usage: cli {name}")
    assert "No such command" not in told.output


@pytest.mark.parametrize("one", [*SCRIPT, *PROGRAM], ids=lambda one: one.name)
def test_what_a_name_is_now_is_a_command_with_the_options_that_are_named(one: Name) -> None:
    program, *words = shlex.split(one.now)
    assert program == "karl"
    command, rest = found(words)
    assert command is not cli
    known = {option for item in command.params for option in item.opts}
    assert set(rest) <= known, f"karl {one.name}"
    assert one.change
    assert one.change[0].islower() or one.change[0] in "`K"
    for other in re.findall(r"`karl ([a-z-]+(?: [a-z-]+)*)", one.change):
        assert found(other.split(" "))[0] is not cli, other


def test_a_name_that_never_was_is_refused() -> None:
    assert CliRunner().invoke(cli, ["no-such-name"]).exit_code == 2


def test_the_page_of_commands_ends_with_all_of_them() -> None:
    page = reference.commands_page().partition("## Names of the superseded command lines")[2]
    named = re.findall(r"^\| `([a-z-]+)` \| `karl ", page, re.MULTILINE)
    assert named == [*THE_67, *THE_10]

"""A person's word is taken from a person: not from the shell of the agent whose work it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import karl


@pytest.mark.parametrize("variable", ["CLAUDECODE", "GEMINI_CLI", "CODEX_SANDBOX"])
def test_an_agent_can_not_praise_itself_from_its_own_shell(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    result = karl(tmp_path, "annotate", "traj_1", "good")
    assert result.exit_code != 0
    assert variable in str(result.exception or result.output)


def test_in_a_terminal_of_ones_own_it_is_about_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDECODE", raising=False)
    result = karl(tmp_path, "annotate", "traj_1", "good")
    assert "agent's shell" not in str(result.exception or result.output)

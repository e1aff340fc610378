"""A tool's name that is no text is a fact like any other: the fold goes on."""

from __future__ import annotations

import pytest

from tests.session.making import Script, kinds


@pytest.mark.parametrize("name", [[], {}, {"name": "Agent"}, 7, None])
def test_a_result_whose_tool_has_no_proper_name_stays_in_its_turn(name: object) -> None:
    s = Script()
    s.prompt()
    s.say("PostToolUse", tool_name=name, tool_use_id="c1", tool_response={"agentId": "a1"})
    s.prompt("go on")
    assert kinds(s.turns[0]) == ["UserPromptSubmit", "PostToolUse"]

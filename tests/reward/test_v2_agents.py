"""Reward version 2 over turns as other agents tell them: the same work gives the same signals."""

from __future__ import annotations

from typing import Any

import pytest

from karl.acts.reader import READER, Given, Reader
from karl.reward.score import score
from karl.schema.record import Score
from karl.schema.trajectory import Calls, ToolCall, Trajectory
from karl.session.vocabulary import canonical

Step = tuple[str, dict[str, Any], str, bool | None]

_SHOWN = "[File: /shop/shop/billing.py (40 lines total)]\n(9 more lines above)\n10:def total(items):\n11:    return round(sum(items))\n"
_UPDATED = _SHOWN + "File updated. Please review the changes and make sure they are correct.\n"
_REFUSED = (
    "Your proposed edit has introduced new syntax error(s). Please read this error message carefully and then retry editing the file.\n"
    "ERRORS:\n- E999 IndentationError: unexpected indent\n"
    "Your changes have NOT been applied. Please fix your edit command and try again.\n"
)
_EDIT = "edit 11:11\n    return round(sum(items), 2)\nend_of_edit"
_SCRIPT = "from shop.billing import total\nprint(total([12.35]))\n"


def turn(*steps: Step) -> Trajectory:
    """Make a trajectory of steps as an agent tells them: tool, parameters, output, success."""
    reader, calls = Reader(), []
    for tool, params, output, success in steps:
        name, original = canonical(tool, params)
        acts = reader.acts(Given(name, params, output=output, success=success, original=original))
        calls.append(ToolCall(name, params, success, original_name=original, acts=acts))
    return Trajectory(trajectory=Calls(events=calls, reader=READER))


def scored(*steps: Step) -> Score:
    return score(turn(*steps), version="2")


def aci(command: str, output: str = "") -> Step:
    """A step of an agent with commands of its own, which tells of no command how it ended."""
    return ("Bash", {"command": command}, output, None)


FOUND = aci("find_file billing.py", 'Found 1 matches for "billing.py" in /shop:\n/shop/shop/billing.py\n')
OPEN = aci("open shop/billing.py 10", _SHOWN)
MEND = aci(_EDIT, _UPDATED)
BAD = aci(_EDIT, _REFUSED)
TESTED = aci("python -m pytest tests/test_billing.py", "....                [100%]\n4 passed in 0.20s\n")
RED = aci(
    "python -m pytest tests/test_billing.py", "F...                [100%]\n1 failed, 3 passed in 0.20s\n"
)
CREATE = aci("create reproduce.py", "[File: reproduce.py (1 lines total)]\n1:\n")
WRITE = aci(f"edit 1:1\n{_SCRIPT}end_of_edit", "[File: /shop/reproduce.py (2 lines total)]\nFile updated.\n")
SEEN = aci("python reproduce.py", "12\n")
DONE = aci("submit")


def test_commands_of_its_own_are_read_as_what_they_do() -> None:
    found = scored(FOUND, OPEN, MEND, TESTED, DONE)
    assert found.components == {
        "r_delivered": 1.0,
        "r_checked": 1.0,
        "r_edits_checked": 1.0,
        "r_read_before_edit": 1.0,
        "r_localised": 1.0,
    }


def test_a_red_count_is_red_where_no_status_is_told() -> None:
    assert scored(OPEN, MEND, RED).components["r_checked"] == 0.0


def test_edits_that_an_editor_refuses_are_none() -> None:
    gave_up, made_good = scored(OPEN, BAD, BAD, DONE), scored(OPEN, BAD, MEND, DONE)
    assert gave_up.components["r_delivered"] == 0.0
    assert made_good.reward == scored(OPEN, MEND, DONE).reward


def test_a_script_that_shows_the_fault_is_no_delivery() -> None:
    assert scored(OPEN, CREATE, WRITE, SEEN, DONE).components["r_delivered"] == 0.0
    assert scored(OPEN, CREATE, WRITE, SEEN, OPEN, MEND, SEEN, DONE).components["r_delivered"] == 1.0


LOOKED: Step = ("read", {"path": "shop/billing.py"}, _SHOWN, True)
CHANGED: Step = (
    "edit",
    {"path": "shop/billing.py", "oldText": "round(sum(items))", "newText": "round(sum(items), 2)"},
    "Successfully replaced text in shop/billing.py.",
    True,
)
RAN: Step = ("exec", {"command": "cd /shop && python -m pytest -q"}, "4 passed in 0.20s\n", True)
NOTED: Step = (
    "write",
    {"path": "memory/today.md", "content": "Mended the totals.\n"},
    "Successfully wrote",
    True,
)


def test_small_tools_for_files_and_a_shell_are_read_alike() -> None:
    found = scored(LOOKED, CHANGED, RAN)
    assert found.signals == {"process": 1.0, "verification": 1.0, "consistency": 1.0, "motion": 1.0}


def test_notes_of_its_own_are_no_delivery() -> None:
    assert scored(LOOKED, NOTED).reward < scored(LOOKED, CHANGED).reward


@pytest.mark.parametrize(
    "changed",
    [
        ("bash", {"command": "sed -i 's/round(sum(items))/round(sum(items), 2)/' shop/billing.py"}, "", True),
        (
            "bash",
            {
                "command": "cat > mend.py <<'EOF'\ns = open('shop/billing.py').read()\nopen('shop/billing.py', 'w').write(s)\nEOF\npython mend.py"
            },
            "",
            True,
        ),
        (
            "apply_patch",
            {
                "input": "*** Begin Patch\n*** Update File: shop/billing.py\n@@\n-    return round(sum(items))\n+    return round(sum(items), 2)\n*** End Patch\n"
            },
            "Done!",
            True,
        ),
    ],
    ids=["sed", "a script", "a patch"],
)  # fmt: skip
def test_a_change_counts_however_it_was_made(changed: Step) -> None:
    found = scored(("bash", {"command": "cat shop/billing.py"}, _SHOWN, True), changed)
    assert found.components["r_delivered"] == found.components["r_read_before_edit"] == 1.0
    assert found.components["r_localised"] == 1.0

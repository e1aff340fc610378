"""Turns for the tests of story, page and the commands that show them: one well-behaved, one hostile."""

from __future__ import annotations

from pathlib import Path

from karl.ledger.writer import Draft
from karl.reward.basis import NOTHING, Basis
from karl.reward.score import DEFAULT_VERSION, VERSIONS
from karl.session.emissions import Carry
from tests.export.telling import emissions, recorded
from tests.session.making import Script
from workers.compose import Composer

#: What a recorded string may try: leave its element, run, drive the terminal, turn the line round.
HOSTILE = (
    "\x1b[2J\x1b]8;;http://evil.test\x07link\r\x08\x9b31m\u202eright\u2066\x1b]52;c;aGk=\x07\x90q\x00"
    "to\u200fleft\u061c\ufeff{{ 7 * 7 }}[red]x[/red]"
    "</script><script>document.title='owned'</script></pre><img src=x onerror=\"document.title='owned'\">"
    "'\" onmouseover=\"document.title='owned'"
)
PATCH = [{"oldStart": 8, "oldLines": 2, "newStart": 9, "newLines": 2, "lines": [" same", "-out", "+in"]}]


def told() -> Script:
    """A turn with an edit, a failure, a subagent, a call inside it, and words; then one that corrects it."""
    script = Script()
    script.say("SessionStart", source="startup", model="some-model")
    script.prompt("Add a Login page")
    script.pre("c1", "Read", {"file_path": "/w/shop/a.py"})
    script.post("c1", "Read", {"file": {"content": "one\ntwo"}}, {"file_path": "/w/shop/a.py"})
    edit = {"file_path": "/w/shop/a.py", "old_string": "out", "new_string": "in"}
    script.pre("c2", "Edit", edit)
    script.post("c2", "Edit", {"filePath": "/w/shop/a.py", "structuredPatch": PATCH}, edit)
    script.pre("c3", "Agent", {"subagent_type": "Explore", "prompt": "look around", "description": "look"})
    script.say("SubagentStart", agent_id="a1", agent_type="Explore")
    script.pre("c4", "Grep", {"pattern": "login"}, agent_id="a1", agent_type="Explore")
    script.post(
        "c4", "Grep", {"filenames": ["x.py"]}, {"pattern": "login"}, agent_id="a1", agent_type="Explore"
    )
    script.say("SubagentStop", agent_id="a1", agent_type="Explore", last_assistant_message="found x.py")
    script.post("c3", "Agent", {"agentId": "a1", "status": "completed", "content": "found x.py"},
                {"subagent_type": "Explore", "prompt": "look around", "description": "look"})  # fmt: skip
    script.pre("c5", "Bash", {"command": "pytest -q"})
    script.fail("c5", "Bash", {"command": "pytest -q"}, error="Exit code 2\n1 failed")
    script.say("Notification", message="needs you")
    script.stop(last_assistant_message="The page is there.")
    script.prompt("No, that is wrong. Add a logout page too")
    script.pre("d1", "Bash", {"command": "make test"})
    script.post("d1", "Bash", given={"command": "make test"})
    script.stop(last_assistant_message="Done.")
    return script


def hostile() -> Script:
    """A turn in which whatever an agent can say is hostile."""
    script = Script()
    who = {"project": HOSTILE, "agent": "claude-code", "agent_version": HOSTILE}
    script.say("SessionStart", source=HOSTILE, model=HOSTILE, **who)
    script.prompt(HOSTILE, prompt_id=HOSTILE, **who)
    script.pre("c1", HOSTILE, {HOSTILE: HOSTILE, "command": HOSTILE}, **who)
    script.post(
        "c1", HOSTILE, {"stdout": HOSTILE, "stderr": ""}, {HOSTILE: HOSTILE, "command": HOSTILE}, **who
    )
    edit = {"file_path": HOSTILE, "old_string": "a" + HOSTILE, "new_string": "b" + HOSTILE}
    script.pre("c2", "Edit", edit, agent_id="a", agent_type=HOSTILE, **who)
    script.post("c2", "Edit", {}, edit, agent_id="a", agent_type=HOSTILE, **who)
    script.pre("c3", "Bash", {"command": HOSTILE}, **who)
    script.fail("c3", "Bash", {"command": HOSTILE}, error=f"Exit code 2\n{HOSTILE}", **who)
    script.say(HOSTILE, message=HOSTILE, **who)
    script.say("Notification", message=HOSTILE, **who)
    script.stop(last_assistant_message=HOSTILE, **who)
    return script


def data(folder: Path, script: Script, version: str = DEFAULT_VERSION, basis: Basis = NOTHING) -> Path:
    """A data folder in which a script was recorded and scored, with what was known of its agents."""
    composer, carry = Composer(version, VERSIONS[version].WEIGHTS), Carry()
    composer.bases = {item.event.agent: basis for item in script.sent}
    made = (composer.compose(carry, one) for one in emissions(script))
    return recorded(folder, [Draft(kind, body) for kind, body in filter(None, made)])

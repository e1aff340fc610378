"""What is exported in ATIF and imported again is the same session: calls, results, tokens, subagents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from karl.export.atif import pieces
from karl.export.conversation import Transcript
from karl.export.pieces import Piece, encode
from karl.export.selection import Group, Opening
from karl.export.transcript import transcript
from karl.schema.event import TRANSCRIPT, encode_event, event_id
from karl.schema.record import TrajectoryBody
from producers.envelope import EnvelopeMaker
from producers.transcripts.atif import Atif
from producers.transcripts.told import Told
from tests.export.telling import body, chosen, folded
from tests.export.test_formats import busy, delegating
from tests.session.making import Script


def again(group: Group, folder: Path) -> list[TrajectoryBody]:
    """Write a session, read it as the importer does, and fold what it tells."""
    (piece,) = pieces(group)
    assert isinstance(piece, Piece)
    file = folder / "session.json"
    file.write_bytes(encode(piece.data))
    maker, events = EnvelopeMaker(node="n"), []
    for found in Atif().read(file):
        if isinstance(found, Told):
            name = event_id("s1", found.key)
            events.append(encode_event(maker.of(found.payload, name=name, agent="atif", source=TRANSCRIPT)))
    return [
        msgspec.json.decode(draft.body, type=TrajectoryBody)
        for draft in folded(events)
        if draft.kind == "trajectory"
    ]


def calls(found: Transcript) -> list[Any]:
    """Calls by response: name, arguments, result, success; of each conversation."""
    return [
        [
            [(made.name, made.arguments, made.answer, made.call.success) for made in reply.calls]
            for reply in conversation.replies
            if reply.calls
        ]
        for conversation in found.all
    ]


def test_a_session_with_parallel_calls_failures_and_tokens_comes_back(tmp_path: Path) -> None:
    before = body(busy())
    (after,) = again(Group(Opening(), [chosen(before)]), tmp_path)
    one, two = transcript(before), transcript(after)
    assert calls(two) == calls(one)
    assert [reply.text for reply in two.main.replies] == [reply.text for reply in one.main.replies]
    assert next(reply.thinking for reply in two.main.replies) == "Where is it?"
    assert after.trajectory.usage == before.trajectory.usage
    assert after.trajectory.context.prompt_text == before.trajectory.context.prompt_text


def test_subagents_come_back_under_their_calls(tmp_path: Path) -> None:
    (after,) = again(Group(Opening(), [chosen(body(delegating()))]), tmp_path)
    found = transcript(after)
    assert {agent: one.agent_type for agent, one in found.agents.items()} == {"a1": "Explore", "a2": "Count"}
    outer = found.main.replies[0].calls[0]
    assert outer.agents == ["a1"]
    assert found.agents["a1"].replies[0].calls[0].agents == ["a2"]
    assert calls(found) == calls(transcript(body(delegating())))


def test_two_turns_stay_two_turns_and_the_tools_stay_known(tmp_path: Path) -> None:
    second = Script()
    second.prompt("and now the rest")
    second.pre("c9")
    second.post("c9", response={"stdout": "rest"})
    second.stop(last_assistant_message="All done.")
    tool = {"type": "function", "function": {"name": "Bash", "description": "Run", "parameters": {}}}
    group = Group(Opening("Be careful.", (tool,)), [chosen(body(busy())), chosen(body(second))])
    first, last = again(group, tmp_path)
    assert first.trajectory.context.prompt_text == "add a test"
    assert last.trajectory.context.prompt_text == "and now the rest"
    assert last.trajectory.trajectory.response == "All done."
    told = [msgspec.json.decode(raw)["payload"] for raw in first.events]
    assert told[0]["system_prompt"] == "Be careful."
    assert told[0]["tools"][0]["function"]["name"] == "Bash"

"""Which skill a prompt was for: what turns tell, and which truth counts."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.routing.topics import TOPICS_MAX, newest, topics
from karl.routing.truth import Signs, Truth, signs_of, truths
from karl.schema.act import Act
from karl.schema.event import event_id
from karl.schema.trajectory import Calls, Context, Outcome, ToolCall, Trajectory
from karl.session.fold import Carry, Held, Limits, OpenSession, Turn
from karl.session.turn import normalize_turn
from producers.envelope import EnvelopeMaker
from producers.transcripts.claude import Claude
from producers.transcripts.told import Told
from tests.session.making import Script

KNOWN = frozenset({"ship", "review", "tools:deploy"})


def signs(script: Script) -> Signs:
    turn = next(one for one in script.out if isinstance(one, Turn))
    return signs_of(normalize_turn(turn))


# --- what a turn tells ---


def test_skills_that_were_called_are_told_in_their_order_each_once() -> None:
    script = Script()
    script.prompt("get it out")
    for number, name in enumerate(["ship", "review", "ship"]):
        script.pre(f"c{number}", "Skill", {"skill": name, "args": "x"})
        script.post(f"c{number}", "Skill", {"success": True, "commandName": name})
    script.stop()
    assert signs(script) == Signs(("ship", "review"), None, person=True, without=False)


def test_another_agents_tool_for_skills_is_that_tool() -> None:
    script = Script()
    script.prompt("get it out")
    script.pre("c1", "activate_skill", {"name": "ship"})
    script.post("c1", "activate_skill")
    script.stop()
    assert signs(script).called == ("ship",)


@pytest.mark.parametrize("how", ["failed", "refused", "subagent"])
def test_a_call_that_brought_no_skill_is_no_use_and_no_proof_of_none(how: str) -> None:
    script = Script()
    script.prompt("get it out")
    whose = {"agent_id": "a1"} if how == "subagent" else {}
    script.pre("c1", "Skill", {"skill": "ship"}, **whose)
    if how == "failed":
        script.fail("c1", "Skill", {"skill": "ship"}, error="Unknown skill: ship")
    elif how == "refused":
        script.say("PermissionDenied", tool_name="Skill", tool_input={"skill": "ship"}, tool_use_id="c1")
    else:
        script.post("c1", "Skill", **whose)
    script.stop()
    told = signs(script)
    assert (told.called, told.without) == ((), False)
    assert truths(told, KNOWN) == []


def test_a_typed_command_is_told_with_its_prompt() -> None:
    script = Script()
    script.say(
        "UserPromptExpansion",
        command_name="tools:deploy",
        expansion_type="slash_command",
        prompt="/tools:deploy x",
    )
    script.prompt("/tools:deploy to the test machine")
    script.stop()
    told = signs(script)
    assert (told.typed, told.called, told.person) == ("tools:deploy", (), True)
    assert truths(told, KNOWN) == [Truth("tools:deploy", "typed", 0.9)]


@pytest.mark.parametrize(
    ("prompt", "typed"),
    [
        ("/ship", "ship"),
        ("  /ship it", "ship"),
        ("$ship it", "ship"),
        ("/clear", "clear"),
        ("/home/me/notes.txt says so", None),
        ("use /ship for it", None),
        ("/ ship", None),
        ("", None),
        ("/" + "x" * 300, None),
    ],
)
def test_a_name_is_typed_at_the_beginning_of_a_prompt_and_nowhere_else(
    prompt: str, typed: str | None
) -> None:
    script = Script()
    script.prompt(prompt)
    script.stop()
    assert signs(script).typed == typed


def test_commands_that_agents_have_themselves_are_no_truth_and_no_proof_of_none() -> None:
    script = Script()
    script.prompt("/clear")
    script.stop()
    assert truths(signs(script), KNOWN) == []


def test_a_turn_that_was_not_ended_or_not_asked_by_a_person_says_nothing_of_none() -> None:
    asked, cut, report = Script(), Script(), Script()
    asked.prompt("what is this?")
    asked.stop()
    cut.prompt("what is this?")
    cut.say("SessionEnd", reason="exit")
    report.prompt("<task-notification>done</task-notification>")
    report.stop()
    assert truths(signs(asked), KNOWN) == [Truth(None, "unused", 0.3)]
    assert truths(signs(cut), KNOWN) == truths(signs(report), KNOWN) == []


def test_the_skill_that_a_python_agent_names_was_used() -> None:
    script = Script()
    script.say("UserPromptExpansion", command_name="ship", prompt="get it out", agent="python")
    script.prompt("get it out", agent="python")
    script.stop(agent="python")
    assert truths(signs(script), KNOWN) == [Truth("ship", "called", 0.7)]


@pytest.mark.parametrize(
    ("paths", "called"),
    [
        (["/home/me/.codex/skills/ship/SKILL.md"], ("ship",)),
        (["~/.agents/plugins/tools/1.0.0/skills/ship/SKILL.md", "/h/.codex/skills/review/SKILL.md"], ("ship", "review")),
        (["/srv/skills/ship/SKILL.md"], ()),
        (["/home/me/.codex/skills/ship/notes.md"], ()),
        (["../skills/ship/SKILL.md"], ()),
        (["SKILL.md"], ()),
    ],
)  # fmt: skip
def test_an_agent_without_the_tool_uses_an_installed_skill_by_reading_its_file(
    paths: list[str], called: tuple[str, ...]
) -> None:
    acts = [Act("read", path) for path in paths]
    assert signs_of(of_codex(acts)).called == called
    assert signs_of(of_codex(acts, source="claude-code")).called == ()
    assert signs_of(of_codex([*acts, Act("edit", "/srv/skills/ship/SKILL.md")])).called == ()


def of_codex(acts: list[Act], source: str = "codex") -> Trajectory:
    return Trajectory(
        source=source,
        context=Context(prompt_text="get it out", human_prompt=True),
        trajectory=Calls(events=[ToolCall("Bash", acts=acts)]),
        outcome=Outcome(completed=True),
    )


def test_a_long_path_of_folders_takes_no_time() -> None:
    path = "/.a" * 50_000 + "/skills" * 50_000 + "/x/SKILL.md"
    assert signs_of(of_codex([Act("read", path)])).called == ("x",)


def test_an_older_record_whose_skill_somebody_guessed_tells_nothing() -> None:
    guessed = of_codex([], source="codex")
    guessed.skill.name = "ship"
    assert signs_of(guessed).called == ()


# --- which truth counts ---

USED, ELSE = Signs(("ship",), None, person=True), Signs(("review",), None, person=True)


def test_a_correction_followed_by_another_skill_says_which_it_should_have_been() -> None:
    found = truths(USED, KNOWN, corrected=True, then=ELSE)
    assert found == [Truth("review", "corrected", 0.9), Truth("ship", "called", 0.35)]


@pytest.mark.parametrize("then", [None, USED, Signs((), None, person=True), Signs((), "clear", person=True)])
def test_a_correction_that_leads_to_no_other_skill_halves_what_was_used(then: Signs | None) -> None:
    assert truths(USED, KNOWN, corrected=True, then=then) == [Truth("ship", "called", 0.35)]


def test_the_next_turn_says_nothing_of_one_that_was_not_corrected() -> None:
    assert truths(USED, KNOWN, corrected=False, then=ELSE) == [Truth("ship", "called", 0.7)]


def test_a_persons_word_is_surest_also_that_no_skill_was_meant() -> None:
    assert truths(USED, KNOWN, label="review")[0] == Truth("review", "label", 1.0)
    assert truths(USED, KNOWN, label="")[0] == Truth(None, "label", 1.0)
    assert truths(Signs(("ship",)), KNOWN, label="review") == [Truth("review", "label", 1.0)]


NAMES = st.sampled_from(["ship", "review", "unknown", "clear"])
SIGNS = st.builds(
    Signs,
    st.lists(NAMES, max_size=3, unique=True).map(tuple),
    st.none() | NAMES,
    st.booleans(),
    st.booleans(),
)


@given(SIGNS, st.none() | st.booleans(), st.none() | SIGNS, st.none() | NAMES | st.just(""))
def test_truths_come_heaviest_first_and_name_only_what_was_used_known_or_said(
    signs: Signs, corrected: bool | None, then: Signs | None, label: str | None
) -> None:
    found = truths(signs, KNOWN, corrected=corrected, then=then, label=label)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    assert all(0 < one.weight <= 1 for one in found)
    for one in found:
        assert (one.source == "typed") <= (one.skill in KNOWN)
        assert (one.source == "called") <= (one.skill in signs.called)
        assert (one.source == "corrected") <= bool(corrected and then and one.skill not in signs.used(KNOWN))
        assert (one.source == "unused") <= (one.skill is None and signs.without)


# --- topics ---


def test_topics_are_the_telling_words_of_a_prompt() -> None:
    said = "Please don't rewrite the Parser; fix https://example.org/a/b the user's login-page of shop_v2, parser!"
    assert topics(said) == ("rewrite", "parser", "user", "login-page", "shop_v2")
    assert topics(None) == topics("  ") == topics("and of the") == ()
    assert len(topics(" ".join(f"word{n}" for n in range(50)))) == TOPICS_MAX


def test_topics_of_several_prompts_are_the_newest_ones() -> None:
    assert newest(iter(["alpha beta", None, "beta gamma", "delta"]), 3) == ("alpha", "beta", "gamma")


@given(st.text(max_size=300))
def test_topics_of_any_text_are_short_plain_words(text: str) -> None:
    found = topics(text)
    assert len(set(found)) == len(found) <= TOPICS_MAX
    assert all(3 <= len(word) <= 40 and word.isascii() and word == word.lower() for word in found)


# --- real transcripts ---


@pytest.fixture(scope="module")
def transcripts(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        wanted = [item for item in archive if item.name.split("/")[-3:][0].startswith("claude-code")]
        archive.extractall(folder, members=wanted, filter="data")
    files = Claude().find(folder)
    return [path for path in files if b'"name":"Skill"' in path.read_bytes()]


def test_real_transcripts_tell_of_every_skill_that_was_called_and_of_no_other(
    transcripts: list[Path],
) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    called: dict[str, set[str]] = defaultdict(set)
    for path in transcripts:
        for session, turns in sessions_of(path).items():
            found[session].update(name for one in turns for name in signs_of(one).called)
        for session, name in calls_in(path):
            called[session].add(name)
    assert {session: names for session, names in found.items() if names} == called
    assert sum(map(len, called.values())) > 10


def sessions_of(path: Path) -> dict[str, list[Trajectory]]:
    maker = EnvelopeMaker(node="n")
    sessions: dict[str, OpenSession] = {}
    turns: dict[str, list[Trajectory]] = defaultdict(list)
    events = [
        maker.of(one.payload, name=event_id(one.payload["session_id"], one.key), agent="claude-code", source="transcript")
        for one in Claude().read(path)
        if isinstance(one, Told)
    ]  # fmt: skip
    events += [maker.end_of_import(last) for last in {event.session: event for event in events}.values()]
    for number, event in enumerate(events):
        session = sessions.setdefault(event.session, OpenSession(event.session, Carry(), {}, Limits()))
        for one in session.add(Held(f"{number}-0", b"", event), number):
            if isinstance(one, Turn):
                turns[event.session].append(normalize_turn(one))
    return turns


def calls_in(path: Path) -> list[tuple[str, str]]:
    """What a plain look into a file finds: calls of the tool, by session, that gave no error."""
    asked: dict[str, tuple[str, str]] = {}
    failed: set[str] = set()
    for line in path.read_text(errors="replace").splitlines():
        row = json.loads(line) if line.startswith("{") else {}
        content = (row.get("message") or {}).get("content") if isinstance(row.get("message"), dict) else None
        for block in content if isinstance(content, list) else []:
            if (
                block.get("type") == "tool_use"
                and block.get("name") == "Skill"
                and not row.get("isSidechain")
            ):
                asked[block["id"]] = (row["sessionId"], block["input"]["skill"])
            if block.get("type") == "tool_result" and block.get("is_error"):
                failed.add(block["tool_use_id"])
    return [one for name, one in asked.items() if name not in failed]

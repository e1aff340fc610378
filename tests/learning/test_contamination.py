"""What is on both sides is found, whatever it wears; what only looks alike is not."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.learning import contamination, overlap, repeats
from karl.learning.contamination import CHECKS, HeldOut, check, find
from karl.learning.overlap import TEMPLATE_TEXTS
from karl.learning.repeats import said
from karl.learning.row import Row
from karl.learning.split import Split, split
from tests.learning.said import item, prompt, reworded, row

NOTHING = dict.fromkeys(CHECKS, 0)


def some(side: str, first: int, count: int = 20, length: int = 30) -> list[Row]:
    return [row(f"{side}{n}", prompt(n, length), step=0) for n in range(first, first + count)]


def test_sides_that_have_nothing_in_common_are_clean() -> None:
    assert check(some("a", 0), some("b", 100)) == NOTHING
    assert check([], []) == NOTHING


@pytest.mark.parametrize("length", [15, 30, 80])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "  " + text.upper().replace(" ", "\n\t "),
        lambda text: text.replace(" ", ", ") + "!",
        lambda text: f"once more, and please with a test this time: {text}",
        lambda text: f"{prompt(999, 40)} {text}",
        lambda text: f"{text} {prompt(998, 40)}",
        reworded,
    ],
)
def test_a_prompt_on_both_sides_is_found_in_whatever_clothes(change, length) -> None:
    train = some("a", 0, length=length)
    for number in (0, 7, 19):
        valid = [*some("b", 100, length=length), row("planted", change(prompt(number, length)))]
        found = find(train, valid)
        assert found.counts == {**NOTHING, "prompt": 1}
        assert found.examples[0][1] == f"traj-a{number}#0"


def test_each_row_of_a_prompt_that_is_on_both_sides_counts() -> None:
    train = [row("a", prompt(1), step=n) for n in range(5)] + some("a", 10)
    assert check(train, [row("b", prompt(1), "something else")])["prompt"] == 5


def test_a_session_under_another_id_is_found_by_what_was_asked_and_done() -> None:
    steps = ['{"tool":"Read","target":"orders.py"}', "ok", '{"tool":"Edit","target":"orders.py"}']
    here = [row("a", "fix it", *steps[: n + 1], step=n // 2) for n in (0, 2)]
    there = [row("a, resumed", "Fix it.", *steps[: n + 1], step=n // 2, trajectory="another") for n in (0, 2)]
    assert check(here, there) == {**NOTHING, "row": 2}


def test_the_same_session_and_the_same_trajectory_are_found() -> None:
    assert check([row("a", prompt(1))], [row("a", prompt(2), trajectory="t2")]) == {**NOTHING, "session": 1}
    assert check([row("a", prompt(1), trajectory="t")], [row("b", prompt(2), trajectory="t")]) == {
        **NOTHING,
        "trajectory": 1,
    }


def test_a_usual_step_after_a_usual_message_is_no_contamination_unless_all_before_it_is_the_same() -> None:
    status = '{"tool":"Bash","target":"git status"}'
    here = row("a", "commit this", '{"tool":"Bash","target":"git diff"}', "ok", status)
    other = row("b", "commit this", '{"tool":"Bash","target":"make test"}', "ok", status)
    again = row("c", "Commit this!", '{"tool":"Bash","target":"git  diff"}', "ok", status)
    assert check([here], [other]) == NOTHING
    assert check([here], [again]) == {**NOTHING, "row": 1}


def test_a_long_target_after_the_same_message_is_the_same_whatever_was_between() -> None:
    answer = prompt(5, 40)
    here = row("a", "go on", '{"tool":"Read","target":"a.py"}', "ok", answer)
    assert check([here], [row("b", "go on", answer)]) == {**NOTHING, "row": 1}
    assert check([here], [row("b", "and now", answer)]) == NOTHING


def test_calls_are_the_same_whatever_their_ids_and_the_system_prompt() -> None:
    def called(session: str, id_: str, command: str) -> Row:
        call = {
            "id": id_,
            "type": "function",
            "function": {"name": "Bash", "arguments": f'{{"command":"{command}"}}'},
        }
        one = row(session, "go on")
        messages = [{"role": "system", "content": f"today is {id_}"}, one.messages[0]]
        return msgspec.structs.replace(
            one, messages=[*messages, {"role": "assistant", "content": None, "tool_calls": [call]}]
        )

    assert check([called("a", "1", "ls -la")], [called("b", "2", "ls -la")]) == {**NOTHING, "row": 1}
    assert check([called("a", "1", "ls -la")], [called("b", "2", "ls -l")]) == NOTHING


def test_results_that_stand_as_a_users_messages_in_brief_rows_were_not_asked() -> None:
    result = (
        "and failed: the string to replace was not found anywhere in that file, so nothing was changed at all"
    )
    rows = [
        row(name, prompt(n), '{"tool":"Edit","target":"a.py"}', result, f"then {name}")
        for n, name in enumerate("ab")
    ]
    assert check(rows[:1], rows[1:]) == NOTHING


def test_the_same_words_about_another_address_are_another_prompt() -> None:
    text = "please analyse this issue: https://example.org/team/shop-orders/web-frontend/issues/{}".format
    assert check([row("a", text(1))], [row("b", text(2))]) == NOTHING


def test_what_no_person_asked_and_short_prompts_are_not_compared() -> None:
    machine = "<task-notification> the background command has ended with exit code 0, see its output </task-notification>"
    for text in (machine, "go on", "yes please, do that"):
        assert check([row("a", text)], [row("b", text)]) == NOTHING


def test_a_template_that_many_prompts_have_is_not_compared_but_a_task_within_it_is() -> None:
    frame = prompt(500, 200)
    train = [row(f"a{n}", f"{prompt(n, 40)} {frame}") for n in range(TEMPLATE_TEXTS + 5)]
    valid = [row(f"b{n}", f"{prompt(n, 40)} {frame}") for n in range(100, 105)]
    assert check(train, valid) == NOTHING
    planted = row("planted", f"{reworded(prompt(3, 40))} {frame}")
    assert check(train, [*valid, planted])["prompt"] == 1


def test_what_was_held_out_is_found_on_either_side() -> None:
    train, valid = some("a", 0), some("b", 100)
    held = HeldOut(
        frozenset({"a3", "b101", "elsewhere"}), (prompt(5).upper(), reworded(prompt(102)), prompt(300))
    )
    found = find(train, valid, held)
    assert found.counts == {**NOTHING, "held-out session": 2, "held-out prompt": 2}
    assert ("held-out session", "traj-a3#0", "a3") in found.examples


def test_each_side_is_read_once_the_train_side_first() -> None:
    read: list[str] = []

    def reading(name: str, rows: list[Row]):
        for one in rows:
            read.append(name)
            yield one

    check(reading("train", some("a", 0, 3)), reading("valid", some("b", 10, 2)))
    assert read == ["train"] * 3 + ["valid"] * 2


def test_few_examples_are_given_of_many() -> None:
    found = find(some("a", 0, 20), some("b", 0, 20))
    assert found.counts["prompt"] == 20
    assert len(found.examples) == contamination.EXAMPLES


contents = (
    st.none()
    | st.text(max_size=30)
    | st.lists(st.dictionaries(st.sampled_from(["text", "type"]), st.text(max_size=9)))
    | st.integers()
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": contents}
    ),
    max_size=5,
)


@given(st.lists(messages, max_size=4))
@settings(max_examples=80, deadline=None)
def test_whatever_stands_in_a_row_it_is_the_same_as_itself(drawn) -> None:
    rows = [msgspec.structs.replace(row("s", ""), messages=one) for one in drawn]
    assert [said(one) for one in rows] == [
        said(msgspec.convert(msgspec.to_builtins(one), Row)) for one in rows
    ]
    found = check(rows, rows)
    assert found["row"] == sum(1 for one in rows if said(one))


def test_a_split_leaves_nothing_for_the_check_to_find() -> None:
    """Prompts, each asked several times in other words: groups must tie all that the check would call the same."""
    items = [
        item(
            f"s{n}.{again}",
            reworded(prompt(n, 14 + n % 30), again) if again else prompt(n, 14 + n % 30),
            start=n * 10 + again,
        )
        for n in range(150)
        for again in range(1 + n % 4)
    ]
    for how in (Split("hash", 3, 0.3), Split("time", 0, 0.3)):
        made = split(items, how)
        sides = {
            side: [row(one.session, one.prompts[0]) for one in items if made.of[one.session] == side]
            for side in ("train", "valid")
        }
        assert min(map(len, sides.values())) > 20
        assert check(sides["train"], sides["valid"]) == NOTHING


def test_a_fault_of_the_groups_would_be_found() -> None:
    train = [row(f"a{n}", prompt(n)) for n in range(30)]
    valid = [row(f"b{n}", reworded(prompt(n), n)) for n in range(30)]
    assert check(train, valid)["prompt"] == 30


def test_the_check_shares_no_code_with_what_it_checks() -> None:
    for module in (contamination, overlap, repeats):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"karl.learning.groups", "karl.learning.split", "karl.learning.shingles"}

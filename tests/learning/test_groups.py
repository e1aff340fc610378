"""Sessions are tied by prompts that are nearly the same, and by nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.learning.groups import GroupBy, Item, groups
from karl.learning.shingles import TEMPLATE, alike, words
from tests.learning.said import WORDS, item, prompt, reworded


def names(items: list[Item], group_by: GroupBy = "session") -> list[list[str]]:
    return [[items[at].session for at in group] for group in groups(items, group_by)]


@pytest.mark.parametrize("length", [10, 15, 30, 200])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "  " + text.upper().replace(" ", "\n\t "),
        lambda text: text.replace(" ", ", ") + "!",
        lambda text: "<system-reminder>be brief</system-reminder>" + text,
        lambda text: "/fix " + text,
        lambda text: "please now: " + text,
        lambda text: text + " thank you",
        reworded,
    ],
)
def test_a_prompt_asked_again_in_other_clothes_ties_its_sessions(change, length) -> None:
    asked = [prompt(seed, length) for seed in range(20)]
    items = [item(f"a{n}", text, start=n) for n, text in enumerate(asked)]
    items += [item(f"b{n}", change(text), start=100 + n) for n, text in enumerate(asked)]
    assert names(items) == [[f"a{n}", f"b{n}"] for n in range(20)]


def test_a_long_prompt_inside_a_longer_one_ties() -> None:
    task = prompt(1, 25)
    assert names([item("a", task), item("b", f"{prompt(2, 60)} {task} {prompt(3, 60)}")]) == [["a", "b"]]


def test_a_short_prompt_inside_a_long_one_ties_nothing() -> None:
    task = prompt(1, 8)
    assert len(names([item("a", task), item("b", f"{prompt(2, 60)} {task} {prompt(3, 60)}")])) == 2


@pytest.mark.parametrize(
    "text", ["go on", "yes", "fix it please", "yes yes yes yes yes yes yes", "", "/ship", "/ship it now"]
)
def test_a_prompt_of_few_words_ties_nothing(text) -> None:
    items = [item(f"s{n}", text, prompt(n)) for n in range(4)]
    assert len(names(items)) == 4


def test_a_session_of_short_prompts_alone_is_tied_to_the_same_session_again() -> None:
    said = ("fix the parser", "now the tests", "commit and push")
    items = [item("a", *said), item("a, resumed", *said), item("b", "fix the parser", prompt(5))]
    assert names(items) == [["a", "a, resumed"], ["b"]]


def test_sessions_are_tied_through_others() -> None:
    one, two = prompt(1), prompt(2)
    assert names([item("a", one), item("b", one, two), item("c", two), item("d", prompt(3))]) == [
        ["a", "b", "c"],
        ["d"],
    ]


def test_scripts_without_spaces_tie_as_well() -> None:
    text = "请修复订单解析器中的日期错误并添加一个测试"
    items = [
        item("a", text),
        item("b", f"你好，{text}。"),
        item("c", "把仓库里的所有文档翻译成英文然后提交到主分支"),
    ]
    assert names(items) == [["a", "b"], ["c"]]


def test_an_address_is_one_word_that_says_much() -> None:
    issue = "https://example.org/team/shop-orders/issues/{}".format
    items = [item(f"s{n}", f"analyse the following issue: {issue(n)}") for n in range(3)]
    assert len(names(items)) == 3
    again = item("t", f"One more time, and be careful: analyse the following issue. {issue(1)}")
    assert names([*items, again]) == [["s0"], ["s1", "t"], ["s2"]]
    assert len(names([item("a", f"see {issue(1)}"), item("b", f"see {issue(1)}")])) == 2
    assert len(names([item("a", f"{prompt(1)} {issue(1)}"), item("b", f"{prompt(2)} {issue(1)}")])) == 2


def test_what_many_prompts_have_in_common_is_a_template_and_ties_nothing() -> None:
    frame = prompt(100, 300)
    tasks = [f"{prompt(n, 40)}. {frame}" for n in range(TEMPLATE + 5)]
    items = [item(f"s{n}", text) for n, text in enumerate(tasks)]
    assert len(names(items)) == len(items)
    again = item("again", reworded(prompt(3, 40), 3) + ". " + frame)
    assert ["again", "s3"] in names([*items, again])


def test_many_variants_of_one_prompt_are_one_group_and_no_template() -> None:
    text = prompt(1, 60)
    items = [item(f"s{n:03}", reworded(text, n)) for n in range(3 * TEMPLATE)]
    assert len(names(items)) == 1


def test_with_repository_a_project_is_one_group_and_an_unknown_one_is_none() -> None:
    items = [
        item("a", prompt(1), project="shop"),
        item("b", prompt(2), project="shop"),
        item("c", prompt(3)),
        item("d", prompt(4)),
        item("e", prompt(2), project="web"),
    ]
    assert names(items, "repository") == [["a", "b", "e"], ["c"], ["d"]]
    assert names(items) == [["a"], ["b", "e"], ["c"], ["d"]]


texts = st.lists(st.sampled_from(WORDS[:12]), max_size=16).map(" ".join)


@given(st.lists(st.lists(texts, max_size=3), max_size=14), st.randoms())
@settings(deadline=None, max_examples=80)
def test_the_groups_are_the_same_in_any_order(said, rnd) -> None:
    items = [item(f"s{n}", *prompts, start=n % 5) for n, prompts in enumerate(said)]
    shuffled = rnd.sample(items, len(items))
    assert names(items) == names(shuffled)
    assert sorted(name for group in names(items) for name in group) == sorted(one.session for one in items)


@given(st.lists(texts, max_size=12))
@settings(deadline=None, max_examples=80)
def test_no_two_texts_that_share_enough_are_missed(said) -> None:
    """All pairs by hand: two texts that are equal but for one added word are tied."""
    said = [text for text in said if len(set(words(text))) >= 12]
    items = [item(f"s{n}", text) for n, text in enumerate(said)] + [
        item(f"t{n}", f"zebra {text}") for n, text in enumerate(said)
    ]
    of = {name: at for at, group in enumerate(names(items)) for name in group}
    assert all(of[f"s{n}"] == of[f"t{n}"] for n in range(len(said)))


def test_ten_thousand_prompts_tie_only_those_that_were_planted() -> None:
    rnd = random.Random(4)
    vocabulary = [f"{a}{b}" for a in WORDS for b in WORDS]
    asked = [" ".join(rnd.choices(vocabulary, k=rnd.randint(12, 40))) for _ in range(10_000)]
    planted = {n: 10_000 + at for at, n in enumerate(range(0, 10_000, 500))}
    asked += [reworded(asked[n], n) for n in planted]
    assert {tuple(sorted(pair)) for pair in alike(asked)} == set(planted.items())


def test_nothing_at_all_is_no_group() -> None:
    assert groups([]) == []
    assert names([item("a")]) == [["a"]]


def test_the_same_short_prompt_at_the_same_time_is_one_session_told_twice() -> None:
    one, copy, other = (
        Item(name, "", ("fix it", "go on"), moments=moments)
        for name, moments in (("a", ("5 fix it", "9 go on")), ("b", ("8 x", "9 go on")), ("c", ("7 fix it",)))
    )
    assert groups([one, other, copy]) == [[0, 2], [1]]
    assert groups([one._replace(moments=()), other, copy]) == [[0], [2], [1]]

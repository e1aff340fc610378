"""Which texts a router is trained with."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from karl.routing.exemplars import (
    HELD_OUT_FROM,
    Given,
    Piece,
    Prompted,
    chosen,
    held_out,
    said_by,
    spread,
    usable,
)
from karl.routing.sources import of_turn
from karl.routing.truth import TruthSource
from karl.schema.routing import SkillEntry


def prompted(
    number: int,
    text: str,
    skill: str | None = "pdf",
    *,
    weight: float = 0.7,
    source: TruthSource = "called",
    influenced: bool = False,
) -> Prompted:
    return Prompted(f"t{number}", f"s{number}", text, skill, weight, source, influenced, 1000 + number)


def texts(pieces: Sequence[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def test_a_prompt_that_a_router_influenced_is_never_an_exemplar() -> None:
    found = usable([prompted(1, "merge these two files", influenced=True)])
    assert not found.by_skill
    assert found.left_out == {"told of a skill by a router": 1}


def test_a_truth_that_a_correction_halved_is_not_sure_enough() -> None:
    found = usable([prompted(1, "merge these two files", weight=0.35), prompted(2, "split this long file")])
    assert texts(found.by_skill["pdf"]) == ["split this long file"]
    assert found.left_out == {"not sure enough": 1}


def test_prompts_that_asked_for_no_skill_are_strangers_however_unsure() -> None:
    found = usable([prompted(1, "what does this function do", None, weight=0.3, source="unused")])
    assert texts(found.strangers) == ["what does this function do"]
    assert not found.by_skill


def test_a_prompt_too_short_to_say_anything_is_left_out() -> None:
    assert usable([prompted(1, "do it")]).left_out == {"too short": 1}
    assert usable([prompted(1, "合并这些文件")]).by_skill  # few characters may say much


def test_what_says_the_same_counts_once_and_the_newest_stays() -> None:
    found = usable([prompted(1, "Merge  page 3 and 4"), prompted(2, "merge page 5 and 6")])
    assert texts(found.by_skill["pdf"]) == ["merge page 5 and 6"]
    assert found.left_out == {"said before": 1}


def test_of_two_skills_for_the_same_words_the_one_with_more_evidence_counts() -> None:
    said = "make a page of this"
    found = usable(
        [prompted(1, said, "pdf"), prompted(2, said, "pdf"), prompted(3, said, "html", weight=1.0)]
    )
    assert list(found.by_skill) == ["pdf"]
    assert found.by_skill["pdf"][0].source == of_turn("t2", "pdf")


def test_words_that_once_asked_for_a_skill_are_no_stranger() -> None:
    said = "make a page of this"
    found = usable([prompted(1, said), prompted(2, said, None, weight=0.3, source="unused")])
    assert texts(found.by_skill["pdf"]) == [said]
    assert not found.strangers


def test_a_prompt_that_somebody_took_back_is_no_exemplar() -> None:
    back = Given("x", "pdf", "", of="t1", removed=True)
    found = usable([prompted(1, "merge these two files")], [back])
    assert found.left_out == {"taken back by somebody": 1}


def test_what_somebody_gave_is_always_chosen_and_what_was_removed_never() -> None:
    given_ = [Given("a", "pdf", "join the chapters into one"), Given("b", "pdf", "glue it all", removed=True)]
    found = chosen(usable([]), given_)
    assert found.sources == ("exemplar:a",)
    assert found.pieces[0].how == "manual"


def test_an_exemplar_given_for_no_skill_is_a_stranger() -> None:
    found = chosen(usable([]), [Given("a", "", "how is the weather today")])
    assert not found.pieces
    assert texts(found.strangers) == ["how is the weather today"]


def test_a_prompt_given_by_hand_that_is_a_turns_too_counts_once_as_given() -> None:
    said = "merge these two files"
    found = chosen(usable([prompted(1, said)]), [Given("a", "pdf", said, contrast="zip", of="t1")])
    assert [(one.source, one.kind) for one in found.pieces] == [("exemplar:a", "contrast")]


def test_a_skill_says_its_name_its_description_with_when_to_use_it_and_its_examples() -> None:
    entry = SkillEntry(
        "office:make-slides", "Makes slides.", "When a talk is near", ("slides of this, please",)
    )
    assert [(one.kind, one.text) for one in said_by(entry)] == [
        ("name", "office make slides"),
        ("description", "Makes slides.\nWhen a talk is near"),
        ("example", "slides of this, please"),
    ]
    assert len({one.source for one in said_by(entry)}) == 1


def test_a_changed_description_is_another_source() -> None:
    sources = {said_by(SkillEntry("pdf", text))[0].source for text in ("Reads files", "Writes files")}
    assert len(sources) == 2


def test_at_most_so_many_prompts_of_a_skill_are_chosen_and_they_differ() -> None:
    alike = [prompted(at, f"merge the file {'abcdefgh'[at]} into the report") for at in range(7)]
    other = prompted(0, "burn a watermark onto every page")._replace(trajectory="other", time_ms=1)
    found = chosen(usable([*alike, other]), each=2)
    assert texts(found.pieces).count(other.text) == 1  # the oldest, but the only one that is different
    assert len(found.pieces) == 2


def test_among_equally_different_prompts_the_newer_ones_are_chosen() -> None:
    words = ["alpha beta gamma", "delta epsilon zeta", "eta theta iota", "kappa lambda my", "ny xi omikron"]
    pieces = usable([prompted(at, text) for at, text in enumerate(words)]).by_skill["pdf"]
    assert spread(pieces, 1)[0].text == words[-1]


def test_of_two_that_say_nearly_the_same_the_newer_is_chosen_alone() -> None:
    pieces = usable(
        [
            prompted(1, "please merge all of the chapters of the long report into a single document now"),
            prompted(2, "please merge all of the chapters of the long report into a single document now!"),
        ]
    ).by_skill["pdf"]
    assert [one.source for one in spread(pieces, 5)] == [of_turn("t2", "pdf")]


def test_the_latest_fifth_of_each_skill_is_held_out() -> None:
    words = [f"{a} {b} words that differ" for a in "abcde" for b in ("xylophone", "violin")]
    found = usable([prompted(at, text) for at, text in enumerate(words)])
    before, latest = held_out(found)
    assert len(before.by_skill["pdf"]) == 8
    assert min(one.time_ms for one in latest.by_skill["pdf"]) > max(
        one.time_ms for one in before.by_skill["pdf"]
    )


def test_of_few_prompts_none_is_held_out() -> None:
    few = [prompted(at, f"{'xyz'[at]} unlike the other one") for at in range(HELD_OUT_FROM - 1)]
    _, latest = held_out(usable(few))
    assert not latest.by_skill["pdf"]


WORDS = st.text(alphabet="abc é7", min_size=0, max_size=30)
PROMPTS = st.lists(
    st.builds(
        Prompted,
        st.sampled_from([f"t{n}" for n in range(20)]),
        st.sampled_from(["s1", "s2"]),
        WORDS,
        st.sampled_from(["pdf", "zip", None]),
        st.sampled_from([0.3, 0.7, 0.9, 1.0]),
        st.just("called"),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda one: one.trajectory,
)
GIVEN = st.lists(
    st.builds(
        Given,
        st.sampled_from("abcdef"),
        st.sampled_from(["pdf", "zip", ""]),
        WORDS,
        st.sampled_from(["", "zip"]),
        st.sampled_from(["", "t1", "t2"]),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(PROMPTS, GIVEN, st.randoms(use_true_random=False), st.integers(1, 4))
def test_the_same_in_another_order_is_the_same_choice(
    prompts: list[Prompted], gave: list[Given], chance: object, each: int
) -> None:
    found = chosen(usable(prompts, gave), gave, each=each)
    mixed = list(prompts), list(gave)
    for one in mixed:
        chance.shuffle(one)  # type: ignore[attr-defined]
    again = chosen(usable(mixed[0], mixed[1]), mixed[1], each=each)
    assert sorted(again.pieces) == sorted(found.pieces)
    assert sorted(again.strangers) == sorted(found.strangers)


@given(PROMPTS, GIVEN)
def test_no_prompt_is_held_out_and_learned_from(prompts: list[Prompted], gave: list[Given]) -> None:
    before, latest = held_out(usable(prompts, gave))
    learned = {one.source for one in (*chosen(before).pieces, *chosen(before).strangers)}
    out = {one.source for mine in latest.by_skill.values() for one in mine}
    assert not learned & (out | {one.source for one in latest.strangers})

"""Descriptions: cut into what prompts can be compared with, and worth more beside prompts than without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.routing import heads
from karl.routing.described import clauses, spelled, words_of
from karl.routing.router import Exemplar, Kind, Router, hash_of, train
from tests.routing.made import texts, vectors

#: Skills of our own invention that are nearly the same, with prompts in other words than their descriptions.
SKILLS = {
    "bread-baking": "Bake bread with yeast or sourdough. Use when kneading dough, proofing loaves, or when a crust stays pale.",
    "cake-baking": "Bake cakes and layer them. Use when whipping sponge batter, icing layers, or when a cake sinks in the middle.",
    "knife-sharpening": "Sharpen kitchen knives on whetstones. Use when a blade is dull, choosing grit, or setting an angle.",
    "knife-buying": "Choose kitchen knives to buy. Use when comparing steel, handles and price, or when a set is offered.",
}
PROMPTS = {
    "bread-baking": ("my dough stays flat after kneading", "sourdough loaves with a thick crust"),
    "cake-baking": ("the sponge batter sinks in the middle", "icing between the layers"),
    "knife-sharpening": ("this blade is dull again, which grit", "what angle on the whetstones"),
    "knife-buying": ("which steel is worth the price", "a set with good handles"),
}


def described(skills: dict[str, str] = SKILLS) -> list[Exemplar]:
    return [Exemplar(skill, text, "description") for skill, text in skills.items()]


def asked(*skills: str) -> list[Exemplar]:
    return [Exemplar(skill, text) for skill in skills for text in PROMPTS[skill]]


def trained(rows: list[Exemplar], head: str = "") -> Router:
    return train(rows, vectors(texts(rows)), encoder="made", encoder_version="1", head=head)


def right(router: Router, of: list[Exemplar]) -> list[bool]:
    choices = router.route(texts(of), vectors(texts(of)))
    return [choice.ranked[0].skill == one.skill for choice, one in zip(choices, of, strict=True)]


def test_a_description_becomes_its_whole_twice_and_its_clauses_and_weighs_two_prompts() -> None:
    rows = spelled(
        described({"pdf_tools:split": "Split documents. Use when pages are too many, or files large"})
    )
    assert [row.text for row in rows] == [
        "Split documents. Use when pages are too many, or files large",
        "pdf tools split: Split documents. Use when pages are too many, or files large",
        "Split documents.",
        "pages are too many",
        "files large",
    ]
    assert sum(row.weight for row in rows) == pytest.approx(2)
    assert {row.kind for row in rows} == {"description"}


def test_names_count_alone_only_without_a_description_and_prompts_stay_as_they_are() -> None:
    name, other = Exemplar("a", "alpha words", "name"), Exemplar("b", "beta", "name")
    prompt, example = Exemplar("a", "do it", weight=0.7), Exemplar("b", "for example", "example")
    rows = spelled([name, Exemplar("a", "A long description", "description"), other, prompt, example])
    assert prompt in rows
    assert example in rows
    assert other._replace(weight=2.0) in rows
    assert not any(row.kind == "name" and row.skill == "a" for row in rows)
    assert "alpha words: A long description" in texts(rows)


@given(st.text(max_size=300))
def test_any_text_is_cut_into_parts_of_itself(text: str) -> None:
    for part in clauses(text):
        assert part in text
    rows = spelled([Exemplar("s", text, "description")])
    assert (not rows) == (not text.strip())
    if rows:
        assert sum(row.weight for row in rows) == pytest.approx(2)


def test_words_of_a_name() -> None:
    assert words_of("plugin:split_pages-now") == "plugin split pages now"


def test_descriptions_alone_route_by_a_hybrid_that_turns_nothing_away() -> None:
    router = trained(spelled(described()))
    assert router.head.name == "hybrid"
    assert sum(right(router, asked(*SKILLS))) >= 6
    assert router.rejection.exemplars == 0


def test_skills_without_prompts_keep_theirs_beside_skills_with_many() -> None:
    many = [
        Exemplar(skill, f"{text} number {number}")
        for skill in ("bread-baking", "cake-baking")
        for text in PROMPTS[skill]
        for number in range(8)
    ]
    poor = asked("knife-sharpening", "knife-buying")
    rows = [*spelled(described()), *many]
    mixed, logistic = trained(rows), trained(rows, "logistic")
    assert mixed.head.name == "mixed"
    assert sum(right(mixed, poor)) >= sum(right(logistic, poor))
    assert sum(right(mixed, poor)) >= 3
    assert all(right(mixed, asked("bread-baking", "cake-baking")))
    assert mixed.rejection.exemplars > 0


def test_a_mixed_head_keeps_the_best_of_the_rich_in_its_place_and_orders_them_as_logistic_does() -> None:
    rows = [*spelled(described()), *asked("bread-baking", "cake-baking")]
    router = trained(rows, "mixed")
    assert isinstance(router.head, heads.Mixed)
    prompts = heads.prompts(texts(asked(*SKILLS)), vectors(texts(asked(*SKILLS))))
    rich = router.head.rich
    poor = np.setdiff1d(np.arange(4), rich)
    whole, base = (one.log_chances(prompts) for one in (router.head, router.head.hybrid))
    assert np.allclose(np.exp(whole).sum(axis=1), 1, atol=1e-4)
    ahead = [one[:, rich].max(axis=1) - one[:, poor].max(axis=1) for one in (whole, base)]
    assert np.allclose(*ahead, atol=1e-4)
    among = [np.diff(one, axis=1) for one in (whole[:, rich], router.head.logistic.log_chances(prompts))]
    assert np.allclose(*among, atol=1e-4)


def test_prompts_that_are_near_every_skill_with_prompts_do_not_all_go_there() -> None:
    """A skill with prompts is nearer to any prompt: that much is taken off again."""
    rows = [*spelled(described()), *asked("bread-baking")]
    head = trained(rows, "hybrid").head
    assert isinstance(head, heads.Hybrid)
    assert head.habit.shape == (4,)
    assert not trained(spelled(described())).head.arrays()["habit"].any()


def test_a_heavier_copy_of_an_exemplar_counts_and_only_prompts_keep_their_old_hash() -> None:
    one = Exemplar("a", "text")
    assert hash_of(one) == hash_of(one._replace(weight=0.5))
    kinds: list[Kind] = ["contrast", "example", "description", "name"]
    assert len({hash_of(one._replace(kind=kind)) for kind in kinds} | {hash_of(one)}) == 5
    rows = asked(*SKILLS)
    light = [row._replace(weight=0.1) for row in rows]
    assert trained([*light, *rows]).head.arrays().keys() == trained(rows).head.arrays().keys()
    for (name, array), other in zip(
        trained([*light, *rows]).head.arrays().items(), trained(rows).head.arrays().values(), strict=True
    ):
        assert (array == other).all(), name

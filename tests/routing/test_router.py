"""A router: trained from exemplars, turning away what fits nothing, kept as bytes and read back."""

from __future__ import annotations

import random
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Refused, Unreadable
from karl.routing import heads, model, reject
from karl.routing.router import Exemplar, Router, hash_of, train
from tests.routing.made import exemplars, text, texts, vectors

STRANGE = [
    f"{word} {word[::-1]} quux{place}" for place, word in enumerate(["holiday", "soup", "violin"] * 10)
]


def made(of: list[Exemplar], **more: Any) -> Router:
    return train(of, vectors(texts(of)), encoder="made", encoder_version="1", **more)


@pytest.fixture(scope="module")
def router() -> Router:
    return made(exemplars(5, 8))


def test_prompts_go_to_their_skill_with_the_best_first(router: Router) -> None:
    new = exemplars(5, 10, seed=1)
    choices = router.route(texts(new), vectors(texts(new)))
    right = [choice.ranked[0].skill == one.skill for choice, one in zip(choices, new, strict=True)]
    assert sum(right) / len(right) > 0.9
    for choice in choices:
        assert len(choice.ranked) == 3
        chances = [one.chance for one in choice.ranked]
        assert chances == sorted(chances, reverse=True)
        assert 0 <= sum(chances) <= 1.0001


def test_more_places_than_skills_are_not_given(router: Router) -> None:
    (choice,) = router.route(["x"], vectors(["x"]), top=50)
    assert {one.skill for one in choice.ranked} == set(router.skills)
    assert router.route([], vectors([])) == []


def test_strangers_are_turned_away_and_most_prompts_are_not(router: Router) -> None:
    new = exemplars(5, 10, seed=2)
    known = [choice.takes for choice in router.route(texts(new), vectors(texts(new)))]
    strange = [choice.takes for choice in router.route(STRANGE, vectors(STRANGE))]
    assert sum(known) / len(known) > 0.8
    assert sum(strange) / len(strange) < 0.3


def test_thresholds_come_from_exemplars_and_differ_with_them() -> None:
    rejections = [made(exemplars(4, each)).rejection for each in (3, 6, 9)]
    assert len({one.fit_min for one in rejections}) == 3
    assert all(np.isfinite(one.fit_min) and np.isfinite(one.log_chance_min) for one in rejections)
    assert all(one.exemplars > 0 for one in rejections)


def test_what_is_let_through_of_the_exemplars_is_right_as_often_as_is_asked() -> None:
    chance = random.Random(0)
    noisy = [
        Exemplar(f"skill_{chance.randrange(3)}" if chance.random() < 0.3 else one.skill, one.text)
        for one in exemplars(4, 40)
    ]
    learned = made(noisy).rejection
    assert learned.right >= 1 - reject.ERROR_MAX
    assert learned.kept < 0.95


def test_one_exemplar_a_skill_is_a_cold_start_that_turns_nothing_away() -> None:
    router = made(exemplars(5, 1))
    assert router.head.name == "logistic"
    assert router.rejection == reject.Rejection()
    assert all(choice.takes for choice in router.route(STRANGE, vectors(STRANGE)))


def test_known_strangers_teach_the_weight() -> None:
    of = exemplars(5, 8)
    router = made(of, strangers=(STRANGE, vectors(STRANGE)))
    assert router.rejection.weight in reject.WEIGHTS
    assert router.rejection.exemplars == made(of).rejection.exemplars


def test_known_strangers_raise_the_first_threshold_and_most_exemplars_still_fit() -> None:
    chance = random.Random(4)
    # Strangers that have half of a skill's words, so that a threshold from exemplars alone lets many through.
    near = [
        f"{' '.join(text(skill, chance).split()[:3])} {word}" for skill in range(5) for word in STRANGE[:12]
    ]
    known, new = near[::2], near[1::2]
    of = exemplars(5, 20)
    without, with_them = made(of), made(of, strangers=(known, vectors(known)))
    assert with_them.rejection.fit_min >= without.rejection.fit_min or (
        with_them.rejection.weight != without.rejection.weight
    )
    assert with_them.rejection.kept >= reject.KEPT_LEAST * reject.KEPT
    taken = [
        sum(choice.takes for choice in router.route(new, vectors(new))) for router in (without, with_them)
    ]
    assert taken[1] <= taken[0]


def test_order_and_repetition_of_exemplars_change_nothing() -> None:
    of = exemplars(4, 8)
    shuffled = [*of, *of[:5]]
    random.Random(3).shuffle(shuffled)
    assert model.dumps(made(of)) == model.dumps(made(shuffled))
    assert made(of).exemplars == tuple(sorted(map(hash_of, of)))


def test_one_skill_is_refused() -> None:
    with pytest.raises(Refused, match="two skills"):
        made([Exemplar("only", "a"), Exemplar("only", "b")])


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_router_comes_back_from_its_bytes(head: str) -> None:
    router = made(exemplars(4, 8), head=head)
    data = model.dumps(router)
    again = model.loads(data)
    assert model.dumps(again) == data
    assert (again.skills, again.exemplars, again.rejection) == (
        router.skills,
        router.exemplars,
        router.rejection,
    )
    new = [text(skill, random.Random(9)) for skill in range(4)]
    assert again.route(new, vectors(new)) == router.route(new, vectors(new))


def test_a_router_without_thresholds_comes_back_too() -> None:
    router = made(exemplars(5, 1))
    assert model.loads(model.dumps(router)).rejection == router.rejection


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), to=st.integers(0, 255))
def test_damaged_bytes_are_refused_or_are_the_same_router(router: Router, at: float, to: int) -> None:
    data = model.dumps(router)
    place = int(at * len(data))
    damaged = data[:place] + bytes([to]) + data[place + 1 :]
    try:
        again = model.loads(damaged)
    except Unreadable:
        return
    assert model.dumps(again) == data


def test_a_file_with_a_pickle_in_it_is_refused(router: Router) -> None:
    file = BytesIO()
    np.savez(file, header=np.array([{"a": 1}], dtype=object))
    for data in (file.getvalue(), b"", b"PK", model.dumps(router)[:-100]):
        with pytest.raises(Unreadable):
            model.loads(data)


def test_a_later_form_says_so(router: Router) -> None:
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(model.dumps(router))) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, data.replace(b'{"version":2', b'{"version":3') if name == "header.npy" else data
            )
    with pytest.raises(Unreadable, match="form 3"):
        model.loads(file.getvalue())

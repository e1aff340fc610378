"""Grams, the softmax and the heads: what they compute, against what it should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.routing import heads, ngrams, softmax
from tests.routing.made import exemplars, texts, vectors


def _data(skills: int = 4, each: int = 8) -> tuple[heads.Prompts, np.ndarray]:
    made = exemplars(skills, each)
    labels = np.array([int(one.skill.removeprefix("skill_")) for one in made], dtype=np.intp)
    return heads.prompts(texts(made), vectors(texts(made))), labels


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_rows_of_grams_are_of_length_one_or_empty(given_texts: list[str]) -> None:
    rows = ngrams.sparse(given_texts)
    made = ngrams.weighted(rows, ngrams.rarity(rows))
    assert rows.size == len(given_texts)
    whole = ngrams.dense(made, 0, made.size)
    lengths = np.linalg.norm(whole, axis=1)
    assert all(abs(length - 1) < 1e-5 or length == 0 for length in lengths)
    matrix = np.random.default_rng(0).normal(size=(ngrams.COLUMNS, 3)).astype(np.float32)
    assert np.allclose(ngrams.times(made, matrix), whole @ matrix, atol=1e-4)
    less = ngrams.folded(made, 64)
    assert np.allclose(
        ngrams.dense(less, 0, less.size, 64), whole.reshape(len(whole), ngrams.COLUMNS // 64, 64).sum(axis=1)
    )
    assert np.allclose(ngrams.times(made, matrix[:64]), ngrams.times(less, matrix[:64]), atol=1e-4)
    places = np.arange(made.size)[::-1].astype(np.intp)
    assert np.allclose(ngrams.dense(ngrams.chosen(made, places), 0, made.size), whole[::-1])


def test_words_that_look_alike_share_grams_and_case_does_not_count() -> None:
    one, same, like, other = (
        set(ngrams.counts(text)) for text in ("deploying", "Deploying", "deployed", "zzz")
    )
    assert one == same
    assert len(one & like) > len(one) / 3 > len(one & other)


def test_the_softmax_ends_where_the_slope_is_zero() -> None:
    given_prompts, labels = _data()
    grams = ngrams.weighted(given_prompts.grams, ngrams.rarity(given_prompts.grams))
    strength = 0.5
    found = softmax.fit(given_prompts.vectors, grams, labels, 4, strength=strength)
    less = ngrams.folded(grams, softmax.COLUMNS)
    rows = np.hstack([given_prompts.vectors, ngrams.dense(less, 0, less.size, softmax.COLUMNS)])
    weights = np.vstack([found.dense, found.sparse])
    wrong = np.exp(softmax.log_softmax(rows @ weights + found.bias)) - np.eye(4)[labels]
    slope = rows.T @ wrong + strength * weights
    assert np.abs(slope).max() < 0.05
    assert np.abs(wrong.sum(axis=0)).max() < 0.05


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given_prompts, labels = _data()
    whole = softmax.fit(given_prompts.vectors, given_prompts.grams, labels, 4, strength=0.5)
    monkeypatch.setattr(softmax, "_BLOCK", 5)
    parts = softmax.fit(given_prompts.vectors, given_prompts.grams, labels, 4, strength=0.5)
    assert np.allclose(whole.dense, parts.dense, atol=1e-2)


@pytest.mark.parametrize("name", heads.HEADS)
def test_chances_sum_to_one_and_exemplars_get_their_own_skill(name: str) -> None:
    given_prompts, labels = _data()
    logs = heads.train(name, heads.lessons(given_prompts, labels, 4)).log_chances(given_prompts)
    assert logs.dtype == np.float32
    assert np.allclose(np.exp(logs).sum(axis=1), 1, atol=1e-4)
    assert (logs.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize("name", heads.HEADS)
def test_the_same_exemplars_make_the_same_head(name: str) -> None:
    given_prompts, labels = _data()
    one, other = (heads.train(name, heads.lessons(given_prompts, labels, 4)).arrays() for _ in range(2))
    assert one.keys() == other.keys()
    assert all((one[key] == other[key]).all() for key in one)


def test_a_prompt_of_nothing_gets_chances_as_well() -> None:
    given_prompts, labels = _data()
    empty = heads.prompts(["", "\x00"], np.zeros((2, given_prompts.vectors.shape[1]), np.float32))
    for name in heads.HEADS:
        assert np.isfinite(
            heads.train(name, heads.lessons(given_prompts, labels, 4)).log_chances(empty)
        ).all()


@pytest.mark.parametrize(
    ("prompts", "head"),
    [
        ((5, 5, 5), "logistic"),
        ((1, 1, 1), "logistic"),
        ((0, 0, 0), "hybrid"),
        ((9, 0, 0), "hybrid"),
        ((9, 8, 0), "mixed"),
        ((90, 80, 1), "mixed"),
    ],
)
def test_the_head_fits_which_skills_have_prompts(prompts: tuple[int, ...], head: str) -> None:
    labels = np.repeat(np.arange(3), np.array(prompts) + 1)
    asked = np.concatenate([np.arange(count + 1) > 0 for count in prompts])  # the first is a description
    empty = heads.prompts([""] * len(labels), np.zeros((len(labels), 2), np.float32))
    learned = heads.Lessons(empty, labels, 3, np.ones(len(labels), np.float32), asked)
    assert heads.fitting(learned) == head

"""The loss against a computation by hand and against mlx-lm's own, and the order of rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import KarlError
from karl.learning.weights import ess
from karl.training import loss
from karl.training.batches import batch_of, order, padded
from karl.training.chat import Example
from karl.training.parts import WHOLE, parts_of

VOCABULARY = 7


def a_model(tokens: mx.array) -> mx.array:
    """Logits that depend on the token and its place, without any training."""
    places = mx.arange(tokens.shape[1])[None, :, None]
    words = mx.arange(VOCABULARY)[None, None, :]
    return mx.sin(tokens[:, :, None] * 1.7 + places * 0.3 + words * 2.1) * 2


def by_hand(examples: list[Example]) -> float:
    total, count = 0.0, 0
    for example in examples:
        logits = np.array(a_model(mx.array([example.tokens[:-1]])))[0]
        for place in range(max(example.start, 1), len(example.tokens)):
            row = logits[place - 1]
            total += example.weight * float(np.log(np.exp(row).sum()) - row[example.tokens[place]])
            count += 1
    return total / count


EXAMPLES = [
    Example([1, 2, 3, 4, 5, 6], 3, 0.5),
    Example([6, 5, 4, 3, 2, 1, 0, 1, 2], 7, 2.0),
    Example([2, 2, 2], 1, 0.0),
]


def test_the_loss_of_a_batch_is_the_weighted_sum_over_answers_divided_by_their_tokens() -> None:
    value, count = loss.of(WHOLE)(a_model, *padded(EXAMPLES))
    assert count.item() == 3 + 2 + 2
    assert value.item() == pytest.approx(by_hand(EXAMPLES), rel=1e-5)


def test_with_all_weights_one_it_is_the_loss_of_mlx_lm() -> None:
    from mlx_lm.tuner.trainer import default_loss

    tokens, places, _ = padded(EXAMPLES)
    value, count = loss.of(WHOLE)(a_model, tokens, places, mx.ones(len(EXAMPLES)))
    spans = mx.array([(example.start, len(example.tokens) - 1) for example in EXAMPLES])
    theirs, tokens_of_theirs = default_loss(a_model, tokens, spans)
    assert value.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert count.item() == tokens_of_theirs.item()


def test_a_model_in_parts_says_what_it_says_as_a_whole(tiny: Path) -> None:
    from karl.training.loaded import load

    model = load(tiny).model
    parts = parts_of(model)
    assert parts is not WHOLE
    batch = padded(EXAMPLES)
    one, other = (loss.of(how)(model, *batch)[0].item() for how in (parts, WHOLE))
    assert one == pytest.approx(other, rel=1e-5)


def test_a_model_that_does_more_than_its_head_is_asked_as_a_whole(tiny: Path) -> None:
    from karl.training.loaded import load

    model = load(tiny).model

    class Capped:
        model = load(tiny).model.model

        def __contains__(self, _name: str) -> bool:
            return False

        def __call__(self, tokens: mx.array) -> mx.array:
            return mx.tanh(model(tokens) / 3) * 3

    assert parts_of(Capped()) is WHOLE
    assert parts_of(a_model) is WHOLE


def test_a_batch_of_poor_rows_makes_a_smaller_step_than_one_of_good_rows() -> None:
    poor = [example._replace(weight=0.1) for example in EXAMPLES]
    good = [example._replace(weight=1.9) for example in EXAMPLES]
    small, large = (loss.of(WHOLE)(a_model, *padded(rows))[0].item() for rows in (poor, good))
    assert large == pytest.approx(19 * small, rel=1e-5)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_weights_are_divided_by_their_mean(weights: list[float]) -> None:
    if sum(weights) == 0:
        with pytest.raises(KarlError):
            loss.of_mean_one(weights)
        return
    scaled = loss.of_mean_one(weights)
    assert sum(scaled) / len(scaled) == pytest.approx(1)
    assert 1 - 1e-9 <= ess(scaled) <= len(weights) + 1e-6


@pytest.mark.parametrize("weights", [[1.0, -0.1], [], [0.0, 0.0], [float("nan")], [float("inf"), 1.0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(KarlError, match="weights of rows"):
        loss.of_mean_one(weights)


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 5), st.integers(1, 4))
def test_each_epoch_has_each_row_once_however_many_fit_a_batch(
    rows: int, size: int, seed: int, epochs: int
) -> None:
    iterations = rows * epochs  # as many as make whole epochs and whole batches, `size` times over
    seen = [row for iteration in range(iterations) for row in batch_of(iteration, rows, size, seed)]
    for epoch in range(epochs * size):
        assert Counter(seen[epoch * rows : (epoch + 1) * rows]) == Counter(range(rows))


def test_the_order_is_another_one_each_epoch_and_for_each_seed() -> None:
    assert order(50, 0, 0) == order(50, 0, 0)
    assert len({order(50, 0, 0), order(50, 0, 1), order(50, 1, 0), order(50, 10, 0), order(50, 1, 1)}) == 5


@given(st.lists(st.integers(2, 200), min_size=1, max_size=5))
def test_batches_are_one_more_than_a_multiple_of_32_long_and_what_is_added_is_no_target(
    lengths: list[int],
) -> None:
    examples = [Example([3] * length, max(1, length // 2)) for length in lengths]
    tokens, places, weights = padded(examples)
    assert tokens.shape[1] % 32 == 1
    assert max(lengths) <= tokens.shape[1] < max(lengths) + 33
    for length, row in zip(lengths, places.tolist(), strict=True):
        assert [place for place in row if place] == list(range(max(1, length // 2), length))
    assert tokens.sum().item() == 3 * sum(lengths)
    assert weights.tolist() == [1.0] * len(lengths)

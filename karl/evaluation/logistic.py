"""Logistic regression whose weights are never negative: more of what is good never lowers the chance.

It minimises `sum(log loss) + sum(strengths / 2 * v^2)` over v >= 0 and a free intercept, where v are the
weights of features in units of their spread. The problem is convex; Newton's method with an active set
(Bertsekas 1982) ends in some ten steps. At an endless strength of all features but one, what is left is a
scaling of that one (Platt 1999).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from karl.evaluation.ranking import Flags, Floats

#: A feature that hardly varies is not blown up: its spread counts as at least this.
SPREAD_MIN = 0.05
_STEPS_MAX = 50
_SMALL = 1e-8
#: Keeps the intercept finite where all runs ended alike.
_INTERCEPT = 1e-3


class Fit(NamedTuple):
    """A fitted model: chance = 1 / (1 + exp(-(intercept + sum(weights * (x - middle)))))."""

    intercept: float
    weights: Floats
    middle: Floats

    def chances(self, features: Floats) -> Floats:
        """Give the chances of rows (runs, features); what is NaN counts as the middle."""
        known = np.where(np.isfinite(features), features - self.middle, 0.0)
        return _sigmoid(self.intercept + known @ self.weights)


def fit(features: Floats, labels: Flags, strengths: Floats) -> Fit:
    """Fit to rows (runs, features), NaN where unobserved; `strengths` (features) draw each weight to 0.

    A feature's middle is its mean over the runs in which it was observed. One of endless strength gets no
    weight.
    """
    seen = np.isfinite(features)
    counts = np.maximum(seen.sum(axis=0), 1)
    middle = np.where(seen, features, 0.0).sum(axis=0) / counts
    known = np.where(seen, features - middle, 0.0)
    spread = np.maximum(np.sqrt((known**2).sum(axis=0) / counts), SPREAD_MIN)
    used = np.isfinite(strengths)
    solved = _solve((known / spread)[:, used], labels.astype(np.float64), strengths[used])
    weights = np.zeros(len(strengths))
    weights[used] = solved[1:] / spread[used]
    return Fit(float(solved[0]), weights, middle)


def _solve(x: Floats, y: Floats, strengths: Floats) -> Floats:
    """Give (intercept, weights), the weights at least 0."""
    rows = np.column_stack([np.ones(len(x)), x])
    penalty = np.r_[_INTERCEPT, strengths]
    at = np.zeros(rows.shape[1])
    for _ in range(_STEPS_MAX):
        moved = _step(at, rows, y, penalty)
        if np.abs(moved - at).max() < _SMALL:
            return moved
        at = moved
    return at


def _step(at: Floats, rows: Floats, y: Floats, penalty: Floats) -> Floats:
    """Take one Newton step over what is not held at 0, as far as the loss falls."""
    chances = _sigmoid(rows @ at)
    slope = rows.T @ (chances - y) + penalty * at
    curve = (rows * (chances * (1 - chances))[:, None]).T @ rows + np.diag(penalty + _SMALL)
    free = (at > 0) | (slope < 0)
    free[0] = True
    move = np.zeros_like(at)
    move[free] = -np.linalg.solve(curve[np.ix_(free, free)], slope[free])
    loss, length = _loss(at, rows, y, penalty), 1.0
    while length > _SMALL:
        tried = at + length * move
        tried[1:] = np.maximum(tried[1:], 0.0)
        if _loss(tried, rows, y, penalty) <= loss:
            return tried
        length /= 2
    return at


def _loss(at: Floats, rows: Floats, y: Floats, penalty: Floats) -> float:
    logits = rows @ at
    return float((np.logaddexp(0, logits) - y * logits).sum() + (penalty * at) @ at / 2)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))

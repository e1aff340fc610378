"""A model in two parts, so that what it says is computed where an answer is and nowhere else.

A row has hundreds of tokens of history and a few dozen of answer, and a figure for each word of the
vocabulary at each of them is a third of a small model's work. Most models of mlx-lm are layers and a head on
top of them; where the two together give what the model gives, the head sees the answers' tokens only. Where
they do not (a model that scales or caps what its head says), the model is asked as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mlx.core as mx

_PROBE = ((1, 2, 3, 4, 5),)


class Parts(NamedTuple):
    """What comes before a model's head, and the head; it has none where the first is all of it."""

    body: Callable[[Any, mx.array], mx.array]
    head: Callable[[Any, mx.array], mx.array]

    def logits(self, model: Any, tokens: mx.array, places: mx.array) -> mx.array:
        """Give what the model says of tokens at some places (rows, most) from those before them.

        Of place 0 it says something of no meaning: nothing is before it.
        """
        seen = self.body(model, tokens[:, :-1])
        return self.head(model, mx.take_along_axis(seen, mx.maximum(places - 1, 0)[:, :, None], axis=1))


WHOLE = Parts(lambda model, tokens: model(tokens), lambda _model, logits: logits)
_LAYERS_AND_HEAD = Parts(
    lambda model, tokens: model.model(tokens),
    lambda model, seen: (
        model.lm_head(seen) if "lm_head" in model else model.model.embed_tokens.as_linear(seen)
    ),
)


def parts_of(model: Any) -> Parts:
    """Say how a model can be parted, having tried it."""
    probe = mx.array(_PROBE)
    whole = model(probe)
    try:
        parted = _LAYERS_AND_HEAD.head(model, _LAYERS_AND_HEAD.body(model, probe))
    except (AttributeError, TypeError, ValueError):  # a model of another make
        return WHOLE
    same = parted.shape == whole.shape and bool(mx.allclose(parted, whole, rtol=1e-4, atol=1e-4))
    return _LAYERS_AND_HEAD if same else WHOLE

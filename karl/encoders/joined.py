"""Several encoders as one: their vectors side by side, each weighted; what one misses, another may see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from karl.encoders.encoder import Encoder, Vectors, unit

#: Weight of each encoder after the first.
_NEXT = 0.5


class Joined:
    """The first encoder's vector, and half of the next ones', of length 1."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self.parts = tuple(encoders)
        self.name = "+".join(one.name for one in encoders)
        self.version = "+".join(one.version for one in encoders)
        self.dim = sum(one.dim for one in encoders)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give float32 rows (len(texts), dim) of length 1."""
        first, *others = (one.encode(texts) for one in self.parts)
        return unit(np.hstack([first, *(np.float32(_NEXT) * rows for rows in others)]))

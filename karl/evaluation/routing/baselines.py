"""What a head must beat: a regular expression a skill, made of the words of the skill's name.

This is what somebody writes who knows the skills and no prompts. The other baselines, plain centroids and
tf-idf over grams, are heads (`karl/routing/heads.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[a-z0-9]{2,}")


class Rules:
    """A pattern a skill; a word that many skills have counts for little."""

    name = "regex"

    def __init__(self, skills: Sequence[str]) -> None:
        """Make the patterns of the skills' names."""
        words = [set(_WORD.findall(skill.lower())) for skill in skills]
        self._often = Counter(word for mine in words for word in mine)
        self._patterns = [
            re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(mine))) or '(?!)'})", re.IGNORECASE)
            for mine in words
        ]

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give a score (n, skills) of at least 0: what of the name was found."""
        rows = np.zeros((len(texts), len(self._patterns)), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for place, pattern in enumerate(self._patterns):
                row[place] = sum(1 / self._often[word] for word in {w.lower() for w in pattern.findall(text)})
        return rows

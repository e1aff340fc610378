"""Searching and sorting: what of a prompt is kept to be searched, what is looked for in it, and orders.

A prompt and the words looked for are folded the same way, so that case does not matter in any script.
"""

from __future__ import annotations

import json
from typing import Literal

from karl.views.schema import TOKENS

#: Characters of a prompt, from its beginning, in which words are found.
SEARCHED_MAX = 4000
#: Words that one search may have; each is looked for in every prompt.
WORDS_MAX = 16
#: The condition in SQL that all words of a JSON array, which is bound to it, are in one prompt.
HAS_WORDS = "NOT EXISTS (SELECT 1 FROM json_each(?) AS word WHERE ifnull(instr(words, word.value), 0) = 0)"

#: How sessions can be sorted: the most, or the latest, first.
Sort = Literal["active", "started", "reward", "turns", "calls", "failed", "tokens"]

#: A session's mean reward, null without turns.
MEAN_REWARD = "reward_e4 / 1e4 / nullif(turns, 0)"
SORTS: dict[Sort, str] = {
    "active": "last_ms",
    "started": "started_ms",
    "reward": MEAN_REWARD,
    "turns": "turns",
    "calls": "calls",
    "failed": "failures",
    "tokens": " + ".join(f"tokens_{name}" for name in TOKENS if name != "messages"),
}


def searchable(prompt: str | None) -> str | None:
    """Give the part of a prompt that is searched, folded; null without one."""
    if not prompt:
        return None
    return _folded(prompt[:SEARCHED_MAX]).encode("utf-8", "replace").decode()


def words_of(text: str) -> str:
    """Give the words of a search, folded, as the JSON array that HAS_WORDS takes."""
    return json.dumps(list(dict.fromkeys(_folded(text).split()))[:WORDS_MAX])


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("\0", " ").split())

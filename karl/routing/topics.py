"""Topics: the few words of a prompt that say what it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Words that one prompt gives at most.
TOPICS_MAX = 10
#: Characters of a prompt that are looked at.
_LOOKED_AT = 4000
_WORD = re.compile(r"(?<![\w-])[a-z][a-z0-9_-]{2,39}(?![\w-])")
#: Addresses, and what an apostrophe cuts off, are no words.
_NO_WORD = re.compile(r"https?://\S+|['’][a-z]{1,2}\b")
#: Words that stand in prompts about anything.
_COMMON_WORDS = """
able about above actually after again all already also and another any anything are back because been
before being below better bit both but can check code could currently did didn different does doesn doing
don done dont each every everything file files find fine fix following for from get getting give given
going good got great had happen happens has have help her here him his how instead into isn its ive just
keep know least let lets like longer look lot made make makes many may maybe me more most much must need
needs new next not nothing now off okay one only other our out over own please put really right run same
see seem seems set she should show since some someone something still such sure take tell than thank
thanks that the their them then there these they thing things think this those through time too try two
under use used using very via want was wasn way well were what when where whether which while who why
will with without won work works would yes yet you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def topics(prompt: str | None) -> tuple[str, ...]:
    """Give the first words of a prompt that are not in every prompt: lower case, each once."""
    if not prompt:
        return ()
    text = _NO_WORD.sub(" ", prompt[:_LOOKED_AT].lower())
    found = dict.fromkeys(word for word in _WORD.findall(text) if word not in _COMMON)
    return tuple(found)[:TOPICS_MAX]


def newest(prompts: Iterable[str | None], most: int) -> tuple[str, ...]:
    """Give the topics of several prompts, the newest prompt first: each word once, `most` at most."""
    kept: dict[str, None] = {}
    for prompt in prompts:
        kept.update(dict.fromkeys(topics(prompt)))
        if len(kept) >= most:
            break
    return tuple(kept)[:most]

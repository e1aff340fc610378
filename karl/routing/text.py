"""What of a prompt routing looks at: a person's own words.

Exemplars and prompts are read alike: a router that was trained with one form and asked with another would
learn the difference of the forms.
"""

from __future__ import annotations

import re

from karl.session.prompts import without_context

#: Characters of a prompt that are looked at, and of what a skill says that are kept: as encoders do
#: (karl.encoders.encoder.TEXT_MAX, which numpy comes with).
TEXT_MAX = 4000
#: A name that a person typed to start a skill: /name, /plugin:name. A path has more slashes.
_TYPED = re.compile(r"/[A-Za-z][\w.:-]{0,127}(?=\s|$)")


def asked(prompt: str) -> str:
    """Give the part of a prompt that says what is wanted; empty where nothing does.

    What an editor put in front is dropped, and a typed /name: it is the answer that routing is held against.
    At most as much is given as encoders look at.
    """
    text = without_context(prompt).strip()
    if found := _TYPED.match(text):
        text = text[found.end() :].lstrip()
    return text[:TEXT_MAX].rstrip()


def normal(text: str) -> str:
    """Give what two prompts share that say the same: no case, no spacing, no numbers."""
    digits = "".join("0" if one.isdigit() else one for one in text.casefold())
    return " ".join(digits.split())

"""The detectors that came before, kept to be compared with: phrases, and the words that a prompt begins with."""

from __future__ import annotations

import re

from karl.session.prompts import without_context

_LOOKED_AT = 300

#: Words of hesitation that may stand before a phrase that opens the prompt.
_FILLER = (
    r"(?:(?:ugh|argh|h+m+|ok|okay|sorry|well|but|and|hey|oh|ah|wait|please|yeah|so|also|then|actually)\b"
    r"[\s,.!…-]*){0,4}"
)
_PARTS = {
    "NOT": r"(?:(?:does|do|did|is|are|was|wo|ca)n't|(?:does|do|did|is|are|was|will|can) ?not)",
    "NEVER": r"(?:don't|dont|do not|never)",
    "SURELY": r"(?:just|still|also|all|completely|totally|simply)",
    "THATS": r"(?:that|this)(?:'s| is|s)",
    "ITS": r"(?:it|that|this)(?:'s| is)?",
    "WILL": r"forget|worr|hesitat|need|have\b|think|know|understand|see|get|mind|want|like|(?:you|we|i)\b",
    "FINE": r"(?:that's|that is|it's|this is|all) (?:all|fine|it|good|ok|great|perfect|right|enough)",
    "HARMLESS": r"problem|worr|need|thank|rush|issue|hurry|idea|more|objection|go ahead|looks|proceed",
    "UNSURE": r"sure|bad|yet|now|only|really|much|urgent|necessarily|a |too|so |everything|all",
    "WORDS": r"[\w./-]+(?: [\w./-]+){0,4}",
    "THING": r"(?:file|branch|folder|directory|repo|one|function|line|test|way|version|page|path)",
}

#: One phrase a line; these count at the start of the prompt only.
_OPENINGS = r"""
(?:no|nope|nah)[ ,.!:;-]+(?!HARMLESS|FINE)\S
(?:nope|wrong|incorrect|not (?:correct|right|true|quite|that|like that|what i))\b
stop(?: ?[.!,]|$| (?:it|that|this)\b| \w+ing\b)
NEVER (?!WILL)\w
not (?!UNSURE)WORDS(?:,| but) ?\S
(?:ITS|they) ?(?:just |still )?(?:NOT|not) (?:work|help|fix|do it|change|compile|build|pass|solve)
ITS (?:still )?(?:not working|broken|failing|fails?)\b
(?:are|were) you (?:really |absolutely |quite |100% )?sure\b
i'm (?:still )?not seeing\b
i (?:still )?(?:don't|do not|can't|cannot) see (?:the|any|your) (?:change|difference|fix|update|effect)
same (?:error|issue|problem|result|thing|failure)\b
no (?:luck|change|difference|effect)\b
(?:undo|revert|roll ?back)(?: (?:please|now))? ?[.!]*$
use [\w./@-]+(?: [\w./@-]+)?,? (?:not [\w./@-]+|instead) ?[.!]*$
"""

#: One phrase a line; these count wherever they stand.
_ANYWHERE = r"""
\bi meant\b
\bthat(?:'s| is|s)? not what\b
\bnot what (?:i|we) (?:asked|meant|wanted|said|had|need)
\bi (?:already |just |literally |clearly )?(?:said|told you|asked you)\b
\bi (?:didn't|did not|never) (?:ask|want|say|mean|tell)
\bi only (?:asked|wanted|meant|said)\b
\bTHATS (?:SURELY )?(?:wrong\b|incorrect)
\bTHATS (?:SURELY )?not (?:right|correct|true|it\b|quite right|how (?:i|we)|the (?:right|one|same))
(?:^|[,.!:;] |\b(?:THATS|you \w+) )(?:in |on )?(?:the )?wrong THING
\b(?:undo|revert|roll ?back) (?:that|this|it|those|these|your|my last|all|what|last)\b
\b(?:undo|revert|roll ?back) the (?:last|previous|change)
\b(?:put|change|move|set) (?:it|that|them) back\b
\bwhy (?:did|are|have|would|were|do|NOT) you\b(?! (?:think|suggest|recommend|suppose))
\byou (?:broke|forgot|missed|ignored|misunderstood|misread|misinterpreted|overlooked)\b
\byou (?:(?:shouldn't|should not) have|(?:weren't|were not) (?:supposed|asked))\b
(?<!if )(?<!case )(?<!unless )\byou (?:didn't|did not|haven't|still haven't) (?!need|have to|already)
\bstop (?:doing|trying|adding|using|changing|making|guessing|ignoring|it)\b
\bNEVER do (?:that|this|it|so)\b
(?<!i )(?<!we )(?<!you )(?<!they )\b(?:NEVER|stop)\b.{1,60}\b(?:again|any ?more)\b
\bstill (?:failing|fails?\b|broken|wrong|crash|happen|throw|getting\b|NOT \w)
\bstill the same (?:error|issue|problem|result)
\bstill not (?:working|right|fixed|correct|there|passing|showing)\b
\bstill (?:see|seeing|shows?|showing|gets?|has|have) (?:the same|that|this|an? error|errors?)
\b(?:failing|fails|failed|broke|broken|happening|happened|crashed|wrong) again\b
\b(?:it|that|this) NOT (?:fix|solve|help)
\bdid you (?:even|actually|really)\b
\bhow many times\b
\bthat(?:'s| is) (?:way |far |a bit )?too (?:much|complicated|complex|verbose|long)\b
\b(?:wtf|ffs|what the (?:hell|fuck|heck))\b
\bthis is (?:shit|garbage|crap|useless|ridiculous)\b
"""


def _either(phrases: str) -> str:
    """Join lines of phrases into one pattern, their named parts filled in."""
    lines = phrases.split("\n")[1:-1]
    for name, part in _PARTS.items():
        lines = [line.replace(name, part) for line in lines]
    return "|".join(f"(?:{line})" for line in lines)


_CORRECTION = re.compile(rf"^{_FILLER}(?:{_either(_OPENINGS)})|{_either(_ANYWHERE)}")
_SPACE = re.compile(r"\s+")
_PREFIX = re.compile(
    r"(?:no|nope|wrong|stop|wait|actually|don't|do not|that's not|that is not|not what|i meant|undo|revert"
    r"|try again|instead)\b"
)
_ANYHOW = re.compile(
    r"\b(?:just|don't|let's|i want you to|make sure|keep in mind|figure out|why is|it's not working|can we)\b"
)


def by_phrases(prompt: str) -> bool:
    """Judge as `phrases-1` did: phrases at the opening or anywhere in the first 300 characters."""
    return _CORRECTION.search(_opening_of(prompt)) is not None


def by_prefix(prompt: str) -> bool:
    """Judge by the word that a prompt begins with."""
    return _PREFIX.match(_opening_of(prompt)) is not None


def by_words(prompt: str) -> bool:
    """Judge by ten everyday expressions in the first 300 characters."""
    return _ANYHOW.search(_opening_of(prompt)) is not None


def _opening_of(prompt: str) -> str:
    text = without_context(prompt[: 4 * _LOOKED_AT])[:_LOOKED_AT].partition("```")[0]
    return _SPACE.sub(" ", text.replace("’", "'").replace("‘", "'")).strip().lower()

"""Whether a prompt corrects the turn before it: additive evidence, a score, and named reasons.

The score is the chance, in [0, 1], that the person was not content with what the turn before did: the
log-odds of all evidence found (karl.session.correction_evidence) added up. Evidence is what the prompt
says, how it looks, and what happened around it (karl.session.signs). A bounded part of a prompt is read,
in time linear in it; no model is called.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import msgspec

from karl.session.correction_evidence import BASE, EVIDENCE, Reason
from karl.session.correction_phrases import ENGLISH
from karl.session.correction_phrases_abroad import WITH_SPACES, WITHOUT_SPACES
from karl.session.phrases import Phrases, folded, words_of
from karl.session.prompts import without_context

#: Names the detector in annotations; changed evidence or weights get a new number.
DETECTOR = "evidence-1"
#: A score from here on is a correction.
THRESHOLD = 0.5


class Signs(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened in a turn and up to the next prompt, as `karl.session.signs` reads it.

    `calls` ran, `refused` did not because a person said so (`refused_last`: and nothing ran after).
    `asked`: the agent's last words were a question. `edited`, `reverted`: by the person's own hand.
    """

    calls: int = 0
    refused: int = 0
    refused_last: bool = False
    interrupted: bool = False
    asked: bool = False
    edited: bool = False
    reverted: bool = False


class Judgement(NamedTuple):
    """A score with its reasons, the heaviest first; `evidence` names what was found."""

    score: float
    reasons: tuple[Reason, ...]
    redo: bool
    evidence: tuple[str, ...]

    @property
    def is_correction(self) -> bool:
        """Say whether the score is over the threshold."""
        return self.score >= THRESHOLD


_NO_SIGNS = Signs()
_LOOKED_AT = 400
#: Of a pasted log the head and the tail are looked at.
_PASTED = 700
_LONG, _VERY_LONG = 600, 2000
_BRIEF = 4
_SHOUTED = 12
_ALIKE = 0.85
#: Evidence of less weight is no reason by itself.
_TELLING = 1.3
#: Reasons that are told even where the score stays below the threshold: they are facts.
_FACTS = frozenset({"interrupted", "rejected", "edited"})
_STOPPED = frozenset({"cut_off", "refused_last", "reverted_by_hand"})
_FACTS_SEEN = frozenset({"cut_off", "refused_last", "refused_before", "edited_by_hand", "reverted_by_hand"})

#: What tools say when they fail, in lower case; the rest is `_FAILURE`.
_FAILURES = (
    "error:", "error[", "error ts", "fatal:", "panic:", "exception:", "assertionerror", "failed:", "fail:",
    "failure:", "traceback (most recent", "--- fail", "\nfail ", "\nfail\t", "npm err!", "task failed",
    "segmentation fault", "command not found", "no such file or directory", "cannot find module",
    "undefined reference", "permission denied", "connection refused", "[lint:", "fehler:", "erreur:",
)  # fmt: skip
_FAILURES_ABROAD = ("✕", "✗", "⨯", "❌", "ошибка:", "エラー:", "错误:", "错误：", "erreur\xa0:")
#: A place in a file as compilers and linters name it.
_PLACE = re.compile(r"\.[a-z]{1,5}:\d{1,6}:\d{1,5}\b")
#: Counts and codes of failure, looked for where one of their words is.
_COUNT = re.compile(r"[1-9] (?:failed|failing|errors?)\b|exit (?:status|code):? [1-9]")
_COUNTED = (" failed", " failing", " error", "exit ")
_TASK = re.compile(
    r"(?:implement|execute|follow) the (?:following|attached) plan|# ?task\b|you (?:are|will be) "
)
_PICK = re.compile(
    r"(?:/[a-z][\w:-]*(?:\s|$)|(?:option |#)?[\da-e](?:$|[).,:]|\s+(?:and|&|,)\s))", re.IGNORECASE
)
_EXCLAIMED = ("!!", "??", "?!", "!?", "！！", "？？", "😡", "🤬", "😤", "🤦", "😠")
_DOUBTING = (" :|", " :/", " :(", "...?", "…?", "😅", "🤔", "🤨")
_HUMS = ("hm", "emm", "uh", "err ", "err,", "well,", "well ")


def judge(prompt: str, previous: str | None, signs: Signs = _NO_SIGNS) -> Judgement:
    """Judge a typed prompt. With no `previous` one (of the turn before) there is nothing to correct."""
    if previous is None:
        return Judgement(0.0, (), redo=False, evidence=())
    found = _around(signs)
    own = without_context(prompt[: 4 * _LOOKED_AT])
    text = folded(own[:_LOOKED_AT].partition("```")[0])
    words = words_of(text)
    found.update(_phrases().found(words))
    if not text.isascii():
        for part, name in _substrings():
            if part in text:
                found.add(name)
    _form(found, prompt, own, words)
    same = _near_equal(prompt, previous) or _goes_on(own, previous)
    idle = signs.interrupted and not signs.calls
    if idle:
        found.add("retyped" if same else "unstarted")
    elif same:
        found.add("same_request")
    if signs.asked and found & {"refusal", "prohibition"}:
        found.add("answer")
    if found & _STOPPED:  # who stops an agent and asks for something else, steers it
        found.discard("new_work")
    return _weighed(found, redo=not idle and (same or "again" in found))


def judge_signs(signs: Signs) -> Judgement:
    """Judge a turn by what happened in it alone, where no prompt has come after it."""
    return _weighed(_around(signs) & _FACTS_SEEN, redo=False)


def _around(signs: Signs) -> set[str]:
    """Name the evidence that happened."""
    found = set()
    if signs.calls:
        found.add("worked")
    if signs.interrupted and (signs.calls or signs.refused):
        found.add("cut_off")
    if signs.refused:
        found.add("refused_last" if signs.refused_last else "refused_before")
    if signs.edited:
        found.add("edited_by_hand")
    if signs.reverted:
        found.add("reverted_by_hand")
    return found


def _form(found: set[str], prompt: str, own: str, words: list[str]) -> None:
    """Add the evidence of a prompt's form: pasted output, length, marks."""
    pasted = own[:_PASTED] if len(own) <= _PASTED else own[: _PASTED // 2] + "\n" + prompt[-_PASTED // 2 :]
    if _tells_failure(pasted.lower()):
        found.add("pasted_failure")
    if _TASK.match(own[:80].lower()):
        found.add("pasted_task")
    if _PICK.match(own[:40]):
        found.add("pick")
    head = own[:_LOOKED_AT]
    if any(mark in head for mark in _EXCLAIMED) or (len(head) > _SHOUTED and head.isupper()):
        found.add("exclaimed")
    if any(mark in head for mark in _DOUBTING) or head[:5].lower().startswith(_HUMS):
        found.add("hesitation")
    if len(prompt) > _LONG:
        found.add("very_long" if len(prompt) > _VERY_LONG else "long")
    if len(words) <= _BRIEF and found & {"approval", "go_on"} and not _heavy(found):
        found.add("brief_go")


def _tells_failure(text: str) -> bool:
    """Say whether a text in lower case holds what tools say when they fail."""
    for mark in _FAILURES if text.isascii() else _FAILURES + _FAILURES_ABROAD:
        if mark in text:
            return True
    if _PLACE.search(text):
        return True
    return any(word in text for word in _COUNTED) and _COUNT.search(text) is not None


def _weighed(found: set[str], *, redo: bool) -> Judgement:
    """Add evidence up, and name what it is evidence for."""
    names = tuple(sorted(found, key=lambda name: (-EVIDENCE[name].weight, name)))
    logit = BASE + math.fsum(EVIDENCE[name].weight for name in names)
    score = round(1 / (1 + math.exp(-logit)), 3)
    heavy = _heavy(names) or names[:1]
    reasons = dict.fromkeys(EVIDENCE[name].reason for name in (*heavy, *(_FACTS_SEEN & found)))
    told = tuple(reason for reason in reasons if reason and (score >= THRESHOLD or reason in _FACTS))
    return Judgement(score, told, redo, names)


def _heavy(names: Iterable[str]) -> list[str]:
    """Pick the evidence that is a reason by itself."""
    return [name for name in names if EVIDENCE[name].weight >= _TELLING]


@cache
def _phrases() -> Phrases:
    return Phrases((*ENGLISH.items(), *WITH_SPACES.items()))


@cache
def _substrings() -> tuple[tuple[str, str], ...]:
    return tuple((folded(part), name) for name, parts in WITHOUT_SPACES.items() for part in parts)


def _near_equal(prompt: str, previous: str) -> bool:
    """Compare word sets; short answers ("continue", "yes") repeat without meaning a redo."""
    limit = min(len(prompt), len(previous), 500)
    if max(len(prompt[:500]), len(previous)) > 1.25 * limit:
        return False
    ours, theirs = _words(prompt[:500]), _words(previous[:500])
    if min(len(ours), len(theirs)) < _BRIEF or len(ours & theirs) < _ALIKE * len(ours | theirs):
        return False
    return _names_in(ours) == _names_in(theirs)


def _goes_on(prompt: str, previous: str) -> bool:
    """Say whether a prompt is the one before with more at its end."""
    if previous[:_BRIEF].lower() != prompt[:_BRIEF].lower():
        return False
    head = " ".join(previous[:500].split()).rstrip(".…?! ").lower()
    return head.count(" ") >= _BRIEF - 1 and " ".join(prompt[:600].split()).lower().startswith(head)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?") for word in text.lower().split()}


def _names_in(words: set[str]) -> set[str]:
    """Pick words that name a thing: with another number or path, the same sentence is new work."""
    return {word for word in words if "/" in word or any(map(str.isdigit, word))}

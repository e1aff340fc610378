"""What a commit's message says in plain words: without prefixes, numbers of tickets, people. Pure."""

from __future__ import annotations

import re

#: Characters of a subject, and of what follows it.
SUBJECT_MAX, BODY_MAX = 160, 500
#: Telling words that a subject needs.
WORDS_MIN = 2

_KINDS = "feat|feature|fix|hotfix|bugfix|chore|docs?|style|refactor|perf|tests?|build|ci|wip|release|deps"
_PREFIX = re.compile(rf"^(?:{_KINDS})(?:\(([^()]{{1,60}})\))?!?:\s+", re.IGNORECASE)
_TICKET = r"(?!(?:UTF|SHA|ISO|RFC|HTTP|CVE|PEP|AES|MD|CP|GPT|BASE|IPV|ES|EC|RS|X)-)[A-Z][A-Z0-9]{1,9}-\d{1,7}"
_IN_FRONT = re.compile(
    rf"^(?:\[[^\]]{{1,40}}\]|{_TICKET}|(?:gh-|#)\d{{1,7}}|:[a-z0-9_+-]{{2,40}}:)[\s:,–—-]*", re.IGNORECASE
)
_ANYWHERE = re.compile(
    rf"\s*[(\[](?:{_TICKET}|(?:gh-|#|!)\d{{1,7}}|(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|refs?|see)\s[^()\[\]]{{1,60}})[)\]]"
    r"|\s*\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|refs?|see)\s+(?:[\w.-]+/[\w.-]+)?(?:gh-|#)\d{1,7}\b"
    r"|\s*(?<!\w)#\d{1,7}\b",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    r"^[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)+:\s|^\(cherry picked from |^(?:Generated|Created) (?:with|by) ",
    re.IGNORECASE,
)
_PEOPLE = re.compile(r"\s*<?[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+>?|(?<!\w)@[A-Za-z0-9-]{2,40}\b(?!/)")
_ADDRESS = re.compile(r"\s*\(?\bhttps?://[^\s)]{1,300}\)?")
_PICTURES = re.compile(r"[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_REVERT = re.compile(r"^revert\b|^back(?:ed)? out\b|\bthis reverts commits?\b", re.IGNORECASE | re.MULTILINE)
_TO_FOLD = re.compile(r"^(?:fixup|squash|amend)! ")

#: Words that say nothing of what a commit does.
_VAGUE_WORDS = """\
wip fix fixes fixed fixing update updates updated updating change changes changed misc minor various stuff
tweak tweaks tmp temp work progress cleanup clean typo typos bump release version merge commit initial first
more some small again test tests testing refactor refactoring improvement improvements improve code file files
the and for with this that from into of bug bugs issue issues review comments feedback address lint format
formatting formatted save checkpoint snapshot done finally now also try
"""
_VAGUE = frozenset(_VAGUE_WORDS.split())


def is_revert(message: str) -> bool:
    """Say whether a commit takes another one back."""
    return _REVERT.search(message[:4000]) is not None


def is_to_fold(message: str) -> bool:
    """Say whether a commit was made to be folded into another."""
    return _TO_FOLD.match(message) is not None


def subject_of(message: str) -> str:
    """Give the subject in plain words; empty where it says too little."""
    text = _plain(message.lstrip().partition("\n")[0][:1000]).strip()
    while True:
        shorter = _PREFIX.sub(
            lambda found: f"{found[1]}: " if found[1] else "", _IN_FRONT.sub("", text), count=1
        )
        if shorter == text:
            break
        text = shorter
    text = " ".join(_ANYWHERE.sub("", text).split()).strip(" .,;:-–—")
    return _cut(text, SUBJECT_MAX) if says_something(text) else ""


def body_of(message: str) -> str:
    """Give what a message says below its subject, in one paragraph, without trailers; cut at a word."""
    lines = [line.strip() for line in message.lstrip().partition("\n")[2][:8000].split("\n")]
    kept = [_plain(line) for line in lines if line and not _TRAILER.match(_PICTURES.sub("", line).strip())]
    return _cut(" ".join(_ANYWHERE.sub("", " ".join(kept)).split()), BODY_MAX)


def says_something(subject: str) -> bool:
    """Say whether a subject has enough words that tell what was done."""
    telling = {word.lower() for word in _WORD.findall(subject)} - _VAGUE
    return len(telling) + len(_WITHOUT_SPACES.findall(subject)) // 3 >= WORDS_MIN


def _plain(text: str) -> str:
    """Take out people, addresses, pictures, and what is no text."""
    text = " ".join(text.split())  # a run of blanks is looked at once
    text = _PICTURES.sub("", _ADDRESS.sub("", _PEOPLE.sub("", text)))
    return "".join(char if char.isprintable() else " " for char in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rsplit(' ', 1)[0]}…"

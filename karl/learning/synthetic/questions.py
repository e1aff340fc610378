"""Questions and answers made from commits, by a rule, and how many of them a data set may hold. Pure.

A question asks what a change did that a commit's message describes; the answer says what the patch really
did, each statement checked. Nothing is invented: no plan, no call, no reward.

Invariants:
- A row made here says so (`About.synthetic`); it is for training alone, never to validate or judge with.
- The same commit gives the same question, answer and id, on every machine.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from karl.learning.row import About, Row
from karl.learning.shingles import Ties, alike, words
from karl.learning.synthetic.commits import Told
from karl.learning.synthetic.facts import facts_of
from karl.learning.synthetic.grounding import Evidence, Sides, grounded
from karl.learning.synthetic.subjects import body_of, subject_of
from karl.schema.event import event_id
from karl.schema.learning import SyntheticBody

#: Share of a data set's rows that may be synthetic, where nobody says otherwise.
SHARE = 0.1
#: Statements that an answer needs beside how many files there were, and the most that it may have.
FACTS_MIN, FACTS_MAX = 2, 40
#: What the session and the trajectory of a synthetic row are called by; no session of an agent is.
SESSION = "synthetic-"

_ASKED = re.compile(r"What did the change “(.*)” do in (.*?)\?(?: It was described so: (.*))?", re.DOTALL)

#: Takes secrets out of a text; gives it with the number of them by rule.
Redact = Callable[[str], tuple[str, dict[str, int]]]


class By(NamedTuple):
    """Who makes a record, and on which machine."""

    person: str
    node: str


class Worked(NamedTuple):
    """A session that is not trained with: its project, when it began (Unix time, ms), files that it named."""

    project: str
    since_ms: int
    files: frozenset[str] = frozenset()


class TooLittle(Exception):
    """Raised where nothing is made of a commit; carries the reason, and what of it was dropped."""

    def __init__(self, reason: str, dropped: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.dropped = reason, dropped


class Made(NamedTuple):
    """A question with its answer, the statements that did not hold, and the secrets that were taken out."""

    body: SyntheticBody
    dropped: int
    redacted: dict[str, int]


def id_of(commit: str) -> str:
    """Give the id of what is made of a commit: in every clone and fork the same."""
    return event_id("synthetic", commit)


def made_of(told: Told, repository: str, by: By, redact: Redact) -> Made:
    """Make a question and an answer of a commit; `time_ms` is when the commit was made. Raises TooLittle."""
    subject = subject_of(told.message)
    if not subject:
        raise TooLittle("its subject says too little")
    said = facts_of(told)
    if len(said) > FACTS_MAX:
        raise TooLittle("too large")
    facts = grounded(said, evidence_of(told))
    dropped = len(said) - len(facts)
    redacted: Counter[str] = Counter()
    clean = []
    for fact in facts:
        text, found = redact(fact)
        redacted.update(found)
        if not found:  # a name that is a secret is no fact that anybody should learn
            clean.append(text)
    files = tuple(change.name for change in told.files if any(f"`{change.name}`" in fact for fact in clean))
    telling = [fact for fact in clean if "`" in fact]
    if len(telling) < FACTS_MIN:
        raise TooLittle("too little to say", dropped)
    question, found = redact(_question(subject, body_of(told.message), repository))
    redacted.update(found)
    body = SyntheticBody(
        id=id_of(told.commit),
        question=question,
        answer=_answer(clean),
        repository=repository,
        commit=told.commit,
        files=files,
        facts=tuple(clean),
        person=by.person,
        node=by.node,
        time_ms=told.time_s * 1000,
    )
    return Made(body, dropped, dict(redacted))


def evidence_of(told: Told) -> Evidence:
    """Give what statements about a commit are checked against."""
    files = {change.name: Sides(change.was, change.before, change.after) for change in told.files}
    return Evidence(files, told.touched)


def _question(subject: str, body: str, repository: str) -> str:
    asked = f"What did the change “{subject}” do in {repository}?"
    return f"{asked} It was described so: {body}" if body else asked


def _answer(facts: Sequence[str]) -> str:
    head = "; ".join(fact for fact in facts if "`" not in fact)
    rest = [f"- {fact}" for fact in facts if "`" in fact]
    return "\n".join([f"{head[0].upper()}{head[1:]}.", *rest] if head else rest)


def once(bodies: Sequence[SyntheticBody], asked_before: Sequence[str] = ()) -> list[bool]:
    """Say of each whether no question like it was asked before it, nor in `asked_before` (questions)."""
    texts = [_said(question) for question in (*asked_before, *(body.question for body in bodies))]
    tied = Ties(len(texts))
    first: dict[tuple[str, ...], int] = {}
    for at, text in enumerate(texts):
        tied.tie(first.setdefault(tuple(words(text)), at), at)  # `alike` says nothing of short ones
    for one, other in alike(texts):
        tied.tie(one, other)
    return [tied.of(at) == at for at in range(len(asked_before), len(texts))]


def _said(question: str) -> str:
    """Give what of a question is the commit's own."""
    found = _ASKED.fullmatch(question)
    return f"{found[1]} {found[3] or ''}" if found else question


def apart(bodies: Iterable[SyntheticBody], kept_away: Iterable[Worked]) -> list[SyntheticBody]:
    """Give those that can not tell what became of sessions that are judged by, or validated with.

    A commit made after such a session began may hold that session's own work: left out is what was committed
    since then in its project, and in any repository what changed a file that the session named.
    """
    worked = list(kept_away)
    since: dict[str, int] = {}
    for one in worked:
        if one.project:
            since[one.project] = min(one.since_ms, since.get(one.project, one.since_ms))
    return [
        body
        for body in bodies
        if body.time_ms < since.get(body.repository, body.time_ms + 1)
        and not any(body.time_ms >= one.since_ms and _names(one.files, body.files) for one in worked)
    ]


def _names(named: frozenset[str], files: Iterable[str]) -> bool:
    return any(path == file or path.endswith(f"/{file}") for file in files for path in named)


def rows(bodies: Iterable[SyntheticBody], share: float, of_rows: int, seed: int) -> list[Row]:
    """Give synthetic rows, at most such a share of all rows where `of_rows` are not synthetic.

    Which ones, a hash of the seed and their ids says; they come in the order of their ids. Each is there
    once, and what was removed is not. Raises ValueError for a share that is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError("the share of synthetic rows is from 0 up to, but not, 1")
    usable = {body.id: body for body in bodies}
    usable = {name: body for name, body in usable.items() if not body.removed}
    drawn = sorted(usable, key=lambda name: (hashlib.sha256(f"{seed} {name}".encode()).digest(), name))
    return [_row(usable[name]) for name in sorted(drawn[: most_of(share, of_rows)])]


def most_of(share: float, of_rows: int) -> int:
    """Give how many rows may be synthetic beside so many others, for them to be such a share of all."""
    most = int(share * of_rows / (1 - share))
    return most + ((most + 1) <= share * (of_rows + most + 1))  # what rounding took away


def _row(body: SyntheticBody) -> Row:
    return Row(
        messages=[
            {"role": "user", "content": body.question},
            {"role": "assistant", "content": body.answer},
        ],
        karl=About(
            trajectory=body.id,
            session=f"{SESSION}{body.id}",
            project=body.repository,
            time_ms=body.time_ms,
            synthetic=True,
        ),
    )

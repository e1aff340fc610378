"""What counts for and against a prompt being a correction, and how much: a table of weights.

A weight is added to the log-odds: 0.7 doubles the odds, 1.4 makes them four times as high, a negative one
lowers them. Each evidence counts once, however often it is found. The weights were set by hand; a ridge
regression on half of the labelled set (docs/reward.md, "Corrections") found none that did better in
cross-validation, so they stay round.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: Log-odds of a correction where nothing speaks for or against it.
BASE = -2.1

#: Why a turn was corrected. `interrupted`, `rejected` (a call was refused), `edited` and `reverted` (by the
#: person's own hand) are facts of the session too; the others are what a prompt says.
Reason = Literal[
    "wrong_target",
    "redo",
    "reverted",
    "factual_challenge",
    "scope",
    "steering",
    "frustration",
    "verify_first",
    "still_broken",
    "incomplete",
    "rule",
    "interrupted",
    "rejected",
    "edited",
]


class Evidence(NamedTuple):
    """`reason` is the class that it is evidence for; null where it is for none."""

    name: str
    reason: Reason | None
    weight: float


_TABLE = (
    # said
    Evidence("refusal", "steering", 2.4),  # no; stop
    Evidence("prohibition", "steering", 2.2),  # don't do this; I don't want that
    Evidence("replacement", "steering", 2.1),  # instead of that, use this; another way
    Evidence("meant_otherwise", "wrong_target", 3.0),  # I meant; not what I asked for
    Evidence("wrong_place", "wrong_target", 2.6),  # the wrong file; not the right place
    Evidence("says_wrong", "factual_challenge", 2.6),  # that is not right; there is no such thing
    Evidence("contradiction", "factual_challenge", 2.1),  # but I thought; you said
    Evidence("negative_question", "factual_challenge", 2.1),  # doesn't it already; isn't that
    Evidence("why_you", "factual_challenge", 2.4),  # why did you; why don't we
    Evidence("why", "factual_challenge", 1.0),  # why is the
    Evidence("doubt", "verify_first", 2.3),  # are you sure; did you test it; check again
    Evidence("still_fails", "still_broken", 3.0),  # still failing; the same error
    Evidence("fails", "still_broken", 2.3),  # it doesn't work; the tests fail; there is a bug
    Evidence("to_fix", "still_broken", 1.5),  # fix the failing tests
    Evidence("left_out", "incomplete", 2.1),  # you forgot; that was only one
    Evidence("too_much", "scope", 2.3),  # too complicated; redundant; I only asked for
    Evidence("your_doing", "scope", 2.0),  # you deleted my
    Evidence("taken_back", "reverted", 2.8),  # undo that; I removed your
    Evidence("anger", "frustration", 2.3),  # swearing; how many times
    Evidence("rule", "rule", 1.7),  # we always; from now on
    Evidence("again", "redo", 1.2),  # try again
    Evidence("approval", None, -1.3),  # yes; great; thanks; no problem
    Evidence("go_on", None, -1.8),  # continue; commit and push
    Evidence("new_work", None, -0.9),  # can you add; what is; now
    Evidence("own_slip", None, -1.6),  # sorry, wrong window; never mind
    # seen in the prompt or around it
    Evidence("pasted_failure", "still_broken", 3.0),  # what tools print when they fail
    Evidence("exclaimed", "frustration", 0.8),  # !!, an angry face, capitals
    Evidence("hesitation", None, 0.7),  # hmm; :| ; ...?
    Evidence("same_request", "redo", 1.4),  # the prompt before once more, or with more at its end
    Evidence("cut_off", "interrupted", 2.0),  # the agent was interrupted at work
    Evidence("refused_last", "rejected", 1.4),  # the last call was refused by the person
    Evidence("refused_before", "rejected", 0.2),  # an earlier call was
    Evidence("edited_by_hand", "edited", 1.0),  # an edit was changed by the person before it was made
    Evidence("reverted_by_hand", "reverted", 2.4),  # the person ran git restore and the like in between
    Evidence("worked", None, 0.2),  # the agent made calls at all
    Evidence("retyped", None, -4.0),  # interrupted before any work, and typed anew
    Evidence("unstarted", None, -1.5),  # interrupted before any work
    Evidence("answer", None, -0.7),  # a no to the agent's own question
    Evidence("pick", None, -3.0),  # an option's number or letter; a /command
    Evidence("brief_go", None, -1.0),  # nothing but assent
    Evidence("long", None, -0.7),  # more than 600 characters: new work, mostly
    Evidence("very_long", None, -0.8),  # more than 2,000
    Evidence("pasted_task", None, -3.0),  # a plan or a role to carry out
)

#: All evidence, by name.
EVIDENCE: dict[str, Evidence] = {one.name: one for one in _TABLE}

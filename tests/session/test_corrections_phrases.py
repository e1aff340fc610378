"""The small language of phrase tables: what a phrase finds, and what not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.session.correction_evidence import EVIDENCE
from karl.session.correction_phrases import ENGLISH
from karl.session.correction_phrases_abroad import WITH_SPACES, WITHOUT_SPACES
from karl.session.phrases import Phrases, folded, words_of

CASES = [
    ("still failing", "it is still failing", True),
    ("still failing", "still, failing", False),
    ("is|are you sure", "are you sure?", True),
    ("is|are you sure", "you are sure", False),
    ("^ no ,", "no, that one", True),
    ("^ no ,", "ok no, that one", True),
    ("^ no ,", "the answer is no, thanks", False),
    ("dont !forget|worry", "don't push", True),
    ("dont !forget|worry", "don't worry", False),
    ("dont !forget|worry", "don't", False),
    ("are you ?really sure", "are you sure", True),
    ("are you ?really sure", "are you really sure", True),
    ("are you ?really sure", "are you rather sure", False),
    ("?just try again", "try again", True),
    ("?just try again", "just try again", True),
    ("wrong $|.", "wrong", True),
    ("wrong $|.", "wrong.", True),
    ("wrong $|.", "wrong file", False),
    ("use * instead", "use pnpm instead", True),
    ("use * instead", "use instead", False),
    ("nao funciona", "não funciona", True),
    ("one / two", "two", True),
]


@pytest.mark.parametrize(("phrase", "text", "is_there"), CASES)
def test_a_phrase_finds_what_it_says(phrase: str, text: str, is_there: bool) -> None:
    assert bool(Phrases([("it", phrase)]).found(words_of(folded(text)))) is is_there


def test_every_name_in_the_tables_has_a_weight() -> None:
    assert {*ENGLISH, *WITH_SPACES, *WITHOUT_SPACES} <= EVIDENCE.keys()


def test_what_is_said_for_a_correction_has_a_reason_and_what_speaks_against_it_has_none() -> None:
    for name in {*ENGLISH, *WITH_SPACES, *WITHOUT_SPACES}:
        assert (EVIDENCE[name].weight > 0) is bool(EVIDENCE[name].reason)


@given(st.text(max_size=300))
def test_no_text_is_too_odd_to_be_searched(text: str) -> None:
    assert Phrases([*ENGLISH.items(), *WITH_SPACES.items()]).found(words_of(folded(text))) <= EVIDENCE.keys()


WORDS = st.lists(
    st.sampled_from(["no", ",", "don't", "worry", "still", "failing", "you", "forgot", "x"]), max_size=12
)
TABLE = Phrases(ENGLISH.items())


@given(WORDS, WORDS)
def test_more_words_after_a_sentence_take_no_phrase_that_stood_in_it_away(
    head: list[str], tail: list[str]
) -> None:
    before = TABLE.found(words_of(folded(" ".join([*head, "."]))))
    assert before <= TABLE.found(words_of(folded(" ".join([*head, ".", *tail]))))

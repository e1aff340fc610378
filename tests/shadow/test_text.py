"""What of a prompt routing looks at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.encoders import encoder
from karl.routing.text import TEXT_MAX, asked


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Deploy it", "Deploy it"),
        ("/deploy the service", "the service"),
        ("/shop:deploy-all now", "now"),
        ("/deploy", ""),
        ("  /deploy\n\nthe service  ", "the service"),
        ("/usr/bin/env is missing", "/usr/bin/env is missing"),
        ("see /deploy for that", "see /deploy for that"),
        ("<ide_selection>a</ide_selection>\nWhat is this?", "What is this?"),
        ("<ide_opened_file>x</ide_opened_file>/fix the test", "the test"),
        ("<system-reminder>x</system-reminder>", "<system-reminder>x</system-reminder>"),
        ("/ 2", "/ 2"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_a_persons_words_are_left_without_the_name_they_typed(prompt: str, text: str) -> None:
    assert asked(prompt) == text


def test_as_much_is_looked_at_as_by_encoders() -> None:
    assert TEXT_MAX == encoder.TEXT_MAX
    assert len(asked("/name " + "x" * 10_000)) == TEXT_MAX


names = st.from_regex(r"/[a-z][a-z0-9_-]{0,20}", fullmatch=True)


@given(st.text())
def test_what_is_given_stands_so_in_the_prompt(prompt: str) -> None:
    text = asked(prompt)
    assert text in prompt
    assert text == text.strip()
    assert len(text) <= TEXT_MAX


@given(names, st.text(max_size=TEXT_MAX))
def test_a_typed_name_changes_nothing_of_what_follows(name: str, rest: str) -> None:
    if not asked(rest).startswith(("/", "<")):
        assert asked(f"{name} {asked(rest)}") == asked(rest)
        assert name not in asked(f"{name} {asked(rest)}") or name in rest

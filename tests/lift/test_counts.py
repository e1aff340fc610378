"""Tables that only count."""

from __future__ import annotations

from karl.learning.counts import before, bigram, majority
from karl.learning.row import About, Row
from tests.lift.planted import row


def test_the_bigram_foretells_what_most_often_followed() -> None:
    table = bigram(
        [
            row("a", 0, "Read", "x.py"),
            row("b", 0, "Read", "y.py"),
            row("c", 0, "Bash", "ls"),
            row("a", 1, "Edit", "x.py", before=("Read", "x.py")),
            row("b", 1, "Edit", "y.py", before=("Read", "y.py")),
            row("c", 1, "Bash", "pytest", before=("Read", "z.py")),
        ]
    )
    assert table.foretold(row("n"))[0] == "Read"
    assert table.foretold(row("n", before=("Read", "x.py"))) == ("Edit", "x.py")
    assert table.foretold(row("n", before=("Read", "y.py"))) == ("Edit", "y.py")


def test_after_a_tool_never_seen_the_most_frequent_one_is_foretold() -> None:
    rows = [row("a", 0, "Read"), row("b", 0, "Bash"), row("c", 0, "Bash")]
    assert bigram(rows).foretold(row("n", before=("Grep", "x"))) == ("Bash", "ls")


def test_a_target_falls_back_from_the_place_to_the_pair_of_tools_to_the_tool() -> None:
    rows = [
        row("a", 1, "Bash", "make", before=("Edit", "a.py")),
        row("b", 1, "Bash", "tox", before=("Edit", "b.py")),
        row("c", 1, "Bash", "tox", before=("Edit", "c.py")),
        row("d", 1, "Bash", "ls", before=("Read", "d.py")),
    ]
    table = bigram(rows)
    assert table.foretold(row("n", before=("Edit", "a.py"))) == ("Bash", "make")
    assert table.foretold(row("n", before=("Edit", "new.py"))) == ("Bash", "tox")
    assert table.foretold(row("n", before=("Grep", "new.py"))) == ("Bash", "tox")


def test_the_majority_foretells_one_thing_always() -> None:
    table = majority([row("a", 0, "Read", "x"), row("b", 0, "Bash", "ls"), row("c", 0, "Bash", "ls")])
    assert table.foretold(row("n", before=("Read", "x"))) == table.foretold(row("n")) == ("Bash", "ls")


def test_of_equally_frequent_ones_the_first_by_name_is_taken_whatever_the_order() -> None:
    rows = [row("a", 0, "Read"), row("b", 0, "Bash")]
    assert bigram(rows).foretold(row("n")) == bigram(rows[::-1]).foretold(row("n")) == ("Bash", "ls")


def test_a_right_target_on_a_wrong_tool_is_wrong() -> None:
    table = majority([row("a", 0, "Bash", "ls")])
    right = table.judge([row("n", 0, "Bash", "ls"), row("n", 1, "Bash", "cd"), row("n", 2, "Read", "ls")])
    assert right == [(True, True), (True, False), (False, False)]


def test_a_table_of_nothing_is_never_right() -> None:
    assert bigram([]).judge([row("n", 0), row("n", 1, "")]) == [(False, False)] * 2


def test_what_came_before_is_read_from_the_history_and_from_nothing_else() -> None:
    assert before(row("a", 1, "Edit", "answer", before=("Read", "x.py"))) == "x.py"
    assert before(row("a")) == ""
    prose = Row(
        [{"role": "assistant", "content": "I look."}, {"role": "assistant", "content": ""}], About("t", "s")
    )
    assert before(prose) == ""

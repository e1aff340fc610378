"""A statement that is not so does not hold, whatever made it; what was found by the patch and the syntax does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.learning.synthetic.facts import facts_of
from karl.learning.synthetic.grounding import Evidence, Sides, grounded, holds
from karl.learning.synthetic.questions import evidence_of
from tests.synthetic.making import told

OLD = "def a():\n    return 1\n\n\nclass C:\n    def m(self):\n        return 1\n"
NEW = "def b():\n    return 1\n\n\nclass C:\n    def m(self):\n        return 2\n\n    def n(self):\n        pass\n"
EVIDENCE = Evidence(
    {
        "x.py": Sides("x.py", OLD, NEW),
        "new.go": Sides("", None, "package p\nfunc Go() {}\n"),
        "tests/t.js": Sides("old/t.js", "function one() {\n}\n", "function one() {\n1\n}\n"),
    },
    ("x.py", "new.go", "tests/t.js", "logo.png"),
)

TRUE = [
    "files touched: 4",
    "tests among them: 1",
    "changed `x.py`: 5 lines added, 2 removed",
    "`x.py`: added method `C.n`",
    "`x.py`: changed method `C.m`",
    "`x.py`: renamed function `a` to `b`",
    "added `new.go`: 2 lines",
    "`new.go`: added function `Go`",
    "renamed `old/t.js` to `tests/t.js`",
    "`tests/t.js`: changed below `function one() {`",
]
FALSE = [
    "files touched: 3",
    "tests among them: none",
    "tests among them: 2",
    "changed `x.py`: 6 lines added, 2 removed",
    "changed `x.py`: 50 lines added, 47 removed",
    "changed `x.py`: 3 lines added, 0 removed",
    "changed `y.py`: 1 line added, 0 removed",
    "`x.py`: added method `C.m`",
    "`x.py`: added function `n`",
    "`x.py`: removed method `C.m`",
    "`x.py`: changed method `C.n`",
    "`x.py`: changed class `D`",
    "`x.py`: renamed function `a` to `c`",
    "`x.py`: renamed method `C.m` to `C.n`",
    "added `x.py`: 10 lines",
    "added `new.go`: 3 lines",
    "removed `new.go`: 2 lines",
    "`new.go`: added function `Stop`",
    "`new.go`: removed function `Go`",
    "renamed `tests/t.js` to `old/t.js`",
    "renamed `x.py` to `x.py`",
    "`tests/t.js`: changed below `}`",
    "`tests/t.js`: changed below `function two() {`",
    "made everything better",
    "`x.py`: improved function `a`",
    "",
]


@pytest.mark.parametrize("fact", TRUE)
def test_a_true_statement_holds(fact: str) -> None:
    assert holds(fact, EVIDENCE)


@pytest.mark.parametrize("fact", FALSE)
def test_a_false_statement_does_not(fact: str) -> None:
    assert not holds(fact, EVIDENCE)


def test_only_what_holds_is_kept_in_its_order() -> None:
    mixed = [fact for pair in zip(TRUE, FALSE, strict=False) for fact in pair]
    assert grounded(mixed, EVIDENCE) == TRUE


_NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])


@st.composite
def modules(draw: st.DrawFn) -> str:
    """Modules of a few functions and classes, each name once."""
    parts = []
    for name in draw(st.lists(_NAMES, unique=True, max_size=4)):
        value = draw(st.integers(0, 3))
        if draw(st.booleans()):
            parts.append(f"def {name}(x):\n    # {draw(st.integers(0, 9))}\n    return {value}\n")
        else:
            methods = draw(st.lists(_NAMES, unique=True, max_size=3))
            inner = "".join(f"    def {one}(self):\n        return {value}\n\n" for one in methods)
            parts.append(f"class {name}:\n    KIND = {value}\n\n{inner}")
    return "\n\n".join(parts)


@settings(max_examples=150, deadline=None)
@given(modules(), modules())
def test_what_the_syntax_tree_tells_of_plain_modules_is_found_again_in_their_lines(
    old: str, new: str
) -> None:
    if old == new:
        return
    made = told("m.py", old, new)
    said = [fact for fact in facts_of(made) if re.match(r"`m\.py`: ", fact)]
    assert grounded(said, evidence_of(made)) == said


@settings(max_examples=150, deadline=None)
@given(modules(), modules(), st.sampled_from(["added", "removed", "changed"]), _NAMES)
def test_what_holds_of_a_function_is_so_by_its_syntax(old: str, new: str, word: str, name: str) -> None:
    made = told("m.py", old, new)
    fact = f"`m.py`: {word} function `{name}`"
    there = [f"def {name}(" in re.sub(r"(?m)^ .*$", "", text) for text in (old, new)]
    if holds(fact, evidence_of(made)) and not any(f"class {name}:" in text for text in (old, new)):
        assert there == {"added": [False, True], "removed": [True, False], "changed": [True, True]}[word]

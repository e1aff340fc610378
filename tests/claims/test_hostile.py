"""Records that say what they like: a check finds them out, and none of it raises."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from karl.learning import claims
from karl.learning.claims import status
from karl.learning.proof import Known
from karl.schema.learning import Arm, ArmRun, Contrast, EvaluationBody
from tests.lift import planted

BITS = st.one_of(st.sampled_from(["", "zz", "ff", "0f0f0f0f0f0f"]), st.binary(max_size=8).map(bytes.hex))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
RUNS = st.builds(
    ArmRun, seed=st.integers(-1, 6), tools=BITS, targets=BITS, nll=st.lists(NUMBERS, max_size=13).map(tuple),
    adapter=st.sampled_from(["", "a" * 64]), rows=st.integers(-1, 10), ess=NUMBERS,
)  # fmt: skip
ARMS = st.builds(
    Arm,
    st.sampled_from(["base", "all", "random", "advantage", "bigram", "?"]),
    st.lists(RUNS, max_size=6).map(tuple),
)
FACTS: dict[str, st.SearchStrategy[Any]] = {
    "arms": st.lists(ARMS, max_size=6).map(tuple),
    "items": st.integers(-2, 60),
    "sessions": st.lists(st.integers(-3, 9), max_size=13).map(tuple),
    "labels": st.dictionaries(st.sampled_from(["Bash", "Edit"]), BITS),
    "guard": st.dictionaries(st.sampled_from(["base", "advantage"]), NUMBERS),
    "verdict": st.sampled_from(["lift", "no lift", "harm"]),
    "primary": st.builds(Contrast, st.text(max_size=5), st.just("tool"), NUMBERS, NUMBERS, NUMBERS),
    "contrasts": st.just(()),
    "holdouts": st.lists(st.text(max_size=3), max_size=2).map(tuple),
}


@pytest.fixture(scope="module")
def body() -> EvaluationBody:
    return planted.evaluation(0.5, items=48, sessions=12)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_an_evaluation_says_its_checks_come_to_an_end_and_to_no_support(
    body: EvaluationBody, data: st.DataObject
) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(FACTS)), min_size=1))
    changed = msgspec.structs.replace(body, **{name: data.draw(FACTS[name]) for name in sorted(names)})
    found = claims.checks("lift", Known(of={"evaluation": "e"}, evaluation=changed))
    assert status("lift", found) != "supported"

"""The same honest work in other styles scores about alike: tools, languages, places, kinds of work."""

from __future__ import annotations

import pytest

from karl.reward.basis import NOTHING, Basis
from tests.gaming import styles
from tests.gaming.scripted import Turn
from tests.gaming.test_gaming import USUAL, reward

#: What a style may cost or pay: less than any of the things that a reward is to tell apart.
BOUND = 0.05

_WORK: dict[str, Turn] = {
    **{f"in {name}": styles.in_language(one) for name, one in styles.LANGUAGES.items()},
    **{f"checked {name}": turn for name, turn in styles.PLACES.items()},
    **{f"looked at {name}": turn for name, turn in styles.LOOKS.items()},
    **{f"changed {name}": turn for name, turn in styles.EDITS.items()},
    **{f"renamed {name}": turn for name, turn in styles.RENAMES.items()},
    **{f"with {name}": turn for name, turn in styles.AROUND.items()},
}
_BASES = [pytest.param(NOTHING, id="first turns"), pytest.param(USUAL, id="many turns known")]


@pytest.mark.parametrize("basis", _BASES)
@pytest.mark.parametrize("name", _WORK)
def test_honest_work_scores_about_alike_in_whatever_style(name: str, basis: Basis) -> None:
    assert reward(_WORK[name], basis=basis) == pytest.approx(reward(styles.PLAIN, basis=basis), abs=BOUND)


@pytest.mark.parametrize("basis", _BASES)
@pytest.mark.parametrize("group", [styles.ANSWERS, styles.PROSE, styles.SETTINGS], ids=["answers", "prose", "settings"])  # fmt: skip
def test_work_of_one_kind_scores_about_alike_in_whatever_style(group: dict[str, Turn], basis: Basis) -> None:
    first, *others = (reward(turn, basis=basis) for turn in group.values())
    assert others == pytest.approx([first] * len(others), abs=BOUND)

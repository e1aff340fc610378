"""How good the detector of corrections is: measured on real prompts that were labelled by hand.

The labels hold no text: they name a prompt, with the one before it, by a hash of both. A label is true
where the person showed, by the prompt or by what they did just before it, that the turn before went
wrong. Each prompt was read twice, the second time in another order and without the first label, and a
third time where the two differed.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from karl.session.corrections import judge
from tests.session.earlier_detectors import by_phrases, by_prefix, by_words
from tests.session.real_prompts import Case, real_cases

LABELS = Path(__file__).with_name("correction_labels.jsonl")
#: Phrases and weights were tuned on the one half, by hash; figures are told of both, and judged by the other.
TUNED_ON = frozenset("01234567")
_ENOUGH = 300
FOLDERS = (
    *["claude-code", "claude-code-odd", "codex", "copilot", "hook-payloads", "entire-compact"],
    "specstory-md",
    "aider-md",
)


class Label(msgspec.Struct, frozen=True):
    sha256: str
    label: bool
    classes: list[str]
    source: str


class Known(NamedTuple):
    case: Case
    label: Label
    score: float
    found: bool
    reasons: tuple[str, ...]


class Found(NamedTuple):
    """Counts of one detector: right, wrongly found, missed."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + self.missed, 1)

    def told(self) -> str:
        precision = wilson(self.right, self.right + self.wrong)
        recall = wilson(self.right, self.right + self.missed)
        return (
            f"precision {self.precision:.2f} [{precision[0]:.2f}, {precision[1]:.2f}]  "
            f"recall {self.recall:.2f} [{recall[0]:.2f}, {recall[1]:.2f}]  "
            f"({self.right} right, {self.wrong} wrong, {self.missed} missed)"
        )


def wilson(right: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    share, edge = right / of, z * z / of
    half = z * math.sqrt(share * (1 - share) / of + edge / (4 * of))
    return (share + edge / 2 - half) / (1 + edge), (share + edge / 2 + half) / (1 + edge)


def labels() -> Iterator[Label]:
    for line in LABELS.read_bytes().splitlines():
        yield msgspec.json.decode(line, type=Label)


@pytest.fixture(scope="module")
def known(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    folder = tmp_path_factory.mktemp("prompts")
    with tarfile.open(real_data / "fixtures.tar.xz", "r|xz") as archive:
        for member in archive:
            if any(f"/{name}/" in f"/{member.name}" for name in FOLDERS):
                archive.extract(member, folder, filter="data")
    root = next(path.parent for path in folder.rglob("hook-payloads"))
    cases = real_cases(root)
    out = []
    for label in labels():
        case = cases.get(label.sha256)
        if case is not None:
            said = judge(case.prompt, case.previous, case.signs)
            out.append(Known(case, label, said.score, said.is_correction, said.reasons))
    if len(out) < _ENOUGH:
        pytest.skip(f"{len(out)} of the labelled prompts are in the real data")
    return out


def counted(known: Iterable[Known], found: Callable[[Known], bool]) -> Found:
    pairs = [(found(one), one.label.label) for one in known]
    return Found(pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))


DETECTORS: dict[str, Callable[[Known], bool]] = {
    "evidence-1": lambda one: one.found,
    "phrases-1": lambda one: by_phrases(one.case.prompt),
    "first word": lambda one: by_prefix(one.case.prompt),
    "ten openers": lambda one: by_words(one.case.prompt),
}


def is_reported(one: Known) -> bool:
    return one.label.sha256[0] not in TUNED_ON


def was_stopped(one: Known) -> bool:
    return one.case.signs.interrupted or bool(one.case.signs.refused)


def test_labels_name_prompts_without_telling_them() -> None:
    said = list(labels())
    assert len({one.sha256 for one in said}) == len(said) >= 300
    assert all(len(one.sha256) == 64 and int(one.sha256, 16) >= 0 for one in said)
    assert all(one.label is bool(one.classes) for one in said)


def test_on_labelled_prompts_the_detector_finds_more_than_phrases_did_and_little_that_is_none(
    known: list[Known], capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {
        "all": known,
        "tuned on": [one for one in known if not is_reported(one)],
        "reported on": [one for one in known if is_reported(one)],
        "after an interruption or a refusal": [one for one in known if was_stopped(one)],
        "after an interruption": [one for one in known if one.case.signs.interrupted],
    }
    with capsys.disabled():
        print()
        for name, chosen in sets.items():
            corrections = sum(one.label.label for one in chosen)
            print(f"{name}: {len(chosen)} prompts, {corrections} corrections")
            for detector, found in DETECTORS.items():
                print(f"  {detector:12} {counted(chosen, found).told()}")
        _print_classes(known)
        _print_calibration(sets["reported on"])
    ours = counted(sets["reported on"], DETECTORS["evidence-1"])
    for name in ("phrases-1", "first word", "ten openers"):
        theirs = counted(sets["reported on"], DETECTORS[name])
        assert ours.recall > theirs.recall
    assert wilson(ours.right, ours.right + ours.wrong)[0] > 0.5  # more right than wrong, beyond doubt


def _print_classes(known: list[Known]) -> None:
    names = sorted({name for one in known for name in one.label.classes})
    print("by class (found: the class is among the reasons of a correction)")
    for name in names:
        found = Found(
            sum(name in one.label.classes and one.found and name in one.reasons for one in known),
            sum(name not in one.label.classes and one.found and name in one.reasons for one in known),
            sum(name in one.label.classes and not (one.found and name in one.reasons) for one in known),
        )
        seen = sum(name in one.label.classes and one.found for one in known)
        print(f"  {name:18} {found.told()}; {seen} found as a correction of any class")


def _print_calibration(known: list[Known]) -> None:
    brier = sum((one.score - one.label.label) ** 2 for one in known) / len(known)
    print(f"score as a chance, on the half reported on: Brier {brier:.3f}")
    for low in range(0, 10, 2):
        chosen = [one for one in known if low / 10 <= one.score < (low + 2) / 10 + (low == 8)]
        if chosen:
            mean = sum(one.score for one in chosen) / len(chosen)
            share = sum(one.label.label for one in chosen) / len(chosen)
            print(f"  {len(chosen):4} of mean score {mean:.2f}: {share:.2f} are corrections")


def test_the_score_orders_corrections_before_the_rest(known: list[Known]) -> None:
    yes = [one.score for one in known if is_reported(one) and one.label.label]
    no = [one.score for one in known if is_reported(one) and not one.label.label]
    pairs = sum((a > b) + (a == b) / 2 for a in yes for b in no)
    assert pairs / (len(yes) * len(no)) > 0.8

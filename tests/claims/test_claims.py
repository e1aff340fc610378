"""What holds of a claim follows from records and files: whoever changes one of them changes the status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.errors import NotFound, Refused
from karl.learning import claims, manifests
from karl.learning.claims import status
from karl.learning.lift import pack, unpack
from karl.learning.marks import mark
from karl.learning.proof import Check, Known, Result
from karl.ledger.frame import erase_line
from karl.ledger.reader import walk
from karl.schema.learning import Arm, ClaimKind, EvaluationBody, Measured, Recipe
from karl.views.rebuild import rebuild
from tests.adapters.scene import HELD, TRAIN, VALID, Scene
from workers.claims import add, withdraw
from workers.proofs import Judged


def claimed(scene: Scene, kind: ClaimKind, boundary: str = "", **of: str) -> str:
    body = add(scene.doors, kind, "so it is", of, boundary=boundary, person="ann")
    scene.catch_up()
    return body.id


def judged(scene: Scene, claim: str) -> Judged:
    with scene.views as views:
        return scene.proofs(views).judge(views.claim(claim))


def found(scene: Scene, claim: str) -> dict[str, Result]:
    return {check.name: check.result for check in judged(scene, claim).checks}


def says(scene: Scene, claim: str, name: str) -> str:
    return " | ".join(check.says for check in judged(scene, claim).checks if check.name == name)


# --- lift ---


def test_a_lift_is_supported_when_every_check_holds(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    whole = judged(scene, claim)
    assert whole.status == "supported", [check for check in whole.checks if check.result != "yes"]
    assert {check.name for check in whole.checks} == {
        "evaluation", "figures", "verdict", "interval", "seeds", "held out", "export", "manifest", "ledger",
        "trainings", "adapter's files",
    }  # fmt: skip


def test_without_a_lift_it_is_not_supported(scene: Scene) -> None:
    scene.earned(effect=0.0)
    claim = claimed(scene, "lift", evaluation="ev1")
    assert judged(scene, claim).status == "not supported"
    assert {name for name, result in found(scene, claim).items() if result == "no"} == {"verdict", "interval"}


def test_a_flipped_byte_of_an_adapter_breaks_it(scene: Scene) -> None:
    made = scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    weights = scene.settings.adapters / made.adapter / "adapters.safetensors"
    data = bytearray(weights.read_bytes())
    data[100] ^= 0x20
    weights.write_bytes(data)
    assert judged(scene, claim).status == "broken"
    assert "adapters.safetensors has the sha256" in says(scene, claim, "adapter's files")


def test_files_that_are_elsewhere_leave_it_as_it_is(scene: Scene, tmp_path: Path) -> None:
    made = scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    (scene.settings.adapters / made.adapter).rename(tmp_path / "away")
    assert found(scene, claim)["adapter's files"] == "elsewhere"
    assert judged(scene, claim).status == "supported"


@pytest.mark.parametrize("arm", ["advantage", "random", "all", "bigram"])
def test_a_bit_of_a_run_that_is_changed_breaks_it(scene: Scene, arm: str) -> None:
    scene.earned()
    body = read(scene, "ev1")
    changed = msgspec.structs.replace(
        body, id="ev2", arms=tuple(flipped(one, arm, body.items) for one in body.arms)
    )
    scene.send("evaluation", changed)
    claim = claimed(scene, "lift", evaluation="ev2")
    assert found(scene, claim)["figures"] == "broken"
    assert judged(scene, claim).status == "broken"


def flipped(arm: Arm, name: str, items: int) -> Arm:
    if arm.name != name:
        return arm
    first, *rest = arm.runs
    bits = [bool(bit) for bit in unpack(first.tools, items)]
    bits[3] = not bits[3]
    return Arm(arm.name, (msgspec.structs.replace(first, tools=pack(bits)), *rest))


def read(scene: Scene, name: str) -> EvaluationBody:
    with scene.views as views:
        known = scene.proofs(views).of_evaluation(name)
    assert known.evaluation is not None
    return known.evaluation


@pytest.mark.parametrize("bits", ["", "zz", "ff"])
def test_runs_that_make_no_sense_break_it_and_nothing_else(scene: Scene, bits: str) -> None:
    scene.earned()
    body = read(scene, "ev1")
    first, *arms = body.arms
    odd = Arm(first.name, (msgspec.structs.replace(first.runs[0], tools=bits),))
    scene.send("evaluation", msgspec.structs.replace(body, id="ev2", arms=(odd, *arms)))
    claim = claimed(scene, "lift", evaluation="ev2")
    assert "make no sense" in says(scene, claim, "figures")
    assert judged(scene, claim).status == "broken"


def test_four_seeds_are_not_enough_however_they_were_recorded(scene: Scene) -> None:
    scene.earned()
    body = read(scene, "ev1")
    arms = tuple(Arm(one.name, one.runs[:4]) for one in body.arms)
    scene.send("evaluation", msgspec.structs.replace(body, id="ev2", arms=arms))
    claim = claimed(scene, "lift", evaluation="ev2")
    assert says(scene, claim, "seeds") == "4 seeds in both arms, at least 5 are needed"
    assert found(scene, claim)["verdict"] == "no"


@pytest.mark.parametrize(("train", "valid"), [((*TRAIN, HELD[3]), VALID), (TRAIN, (*VALID, HELD[3]))])
def test_a_held_out_session_planted_in_the_manifest_is_found(
    scene: Scene, train: tuple[str, ...], valid: tuple[str, ...]
) -> None:
    scene.sessions(*TRAIN, *VALID)
    scene.holdout(*HELD)
    parts = {"train": tuple(sorted(map(mark, train))), "valid": tuple(sorted(map(mark, valid)))}
    export = scene.export(held_out=("hold1",), sessions=parts)
    made = scene.training(export.id)
    scene.evaluation(export.id, made.adapter, holdouts=("hold1",))
    lift = claimed(scene, "lift", evaluation="ev1")
    held = claimed(scene, "holdout")
    assert judged(scene, lift).status == judged(scene, held).status == "not supported"
    assert found(scene, lift)["held out"] == found(scene, held)["untouched"] == "no"


def test_a_manifest_that_was_changed_after_its_id_was_made_breaks_it(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    scene.holdout(*HELD)
    body = scene.export(held_out=("hold1",))
    other = msgspec.structs.replace(body.manifest, reward_version="9")
    scene.send("export", msgspec.structs.replace(body, manifest=other))
    claim = claimed(scene, "export", export=body.id)
    assert found(scene, claim)["manifest"] == "broken"
    assert manifests.id_of(body.manifest) == body.id


def test_an_export_of_another_ledger_breaks_it(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    made = scene.export()
    forged = msgspec.structs.replace(
        made.manifest, ledger=msgspec.structs.replace(made.manifest.ledger, head="0" * 64)
    )
    body = msgspec.structs.replace(made, manifest=forged, id=manifests.id_of(forged))
    beyond = msgspec.structs.replace(
        made.manifest, ledger=msgspec.structs.replace(made.manifest.ledger, to_seq=99_999)
    )
    later = msgspec.structs.replace(made, manifest=beyond, id=manifests.id_of(beyond))
    scene.send("export", body, later)
    assert found(scene, claimed(scene, "export", export=made.id))["ledger"] == "yes"
    assert "the manifest seals 000000000000" in says(
        scene, claimed(scene, "export", export=body.id), "ledger"
    )
    assert "has no line 99,999" in says(scene, claimed(scene, "export", export=later.id), "ledger")


def test_more_sessions_than_the_holdout_has_break_it(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    scene.holdout(*HELD[:5])
    export = scene.export()
    made = scene.training(export.id)
    scene.evaluation(export.id, made.adapter, holdouts=("hold1",))
    claim = claimed(scene, "lift", evaluation="ev1")
    assert says(scene, claim, "held out") == "it counts 12 sessions, the holdouts have 5"


def test_a_holdout_that_is_not_there_breaks_it(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    export = scene.export()
    made = scene.training(export.id)
    scene.evaluation(export.id, made.adapter, holdouts=("hold9",))
    assert found(scene, claimed(scene, "lift", evaluation="ev1"))["held out"] == "broken"


def test_judged_by_what_chose_the_checkpoint_it_is_unproven(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    parts = {"train": (mark(TRAIN[0]),), "valid": tuple(sorted(map(mark, HELD)))}
    export = scene.export(sessions=parts)
    for word, every, is_ in (("one", 5, "unproven"), ("two", 20, "supported")):
        made = scene.training(export.id, word, recipe=Recipe(iters=20, every=every))
        scene.evaluation(export.id, made.adapter, name=f"ev-{word}")
        claim = claimed(scene, "lift", evaluation=f"ev-{word}")
        assert judged(scene, claim).status == is_, judged(scene, claim).checks


def test_an_adapter_of_another_export_or_of_no_training_breaks_it(scene: Scene) -> None:
    made = scene.earned()
    other = scene.training("ff" * 32, "two")
    scene.evaluation(made.export, other.adapter, name="ev2", holdouts=("hold1",))
    scene.evaluation(made.export, "0" * 64, name="ev3", holdouts=("hold1",))
    assert "was trained with export ffff" in says(
        scene, claimed(scene, "lift", evaluation="ev2"), "trainings"
    )
    assert "no training gave adapter 0000" in says(
        scene, claimed(scene, "lift", evaluation="ev3"), "trainings"
    )


def test_a_claim_about_an_adapter_that_was_not_judged_is_not_supported(scene: Scene) -> None:
    made = scene.earned()
    other = scene.training(made.export, "two")
    claim = claimed(scene, "lift", evaluation="ev1", adapter=other.adapter[:12])
    assert judged(scene, claim).status == "not supported"
    assert judged(scene, claimed(scene, "lift", evaluation="ev1", adapter=made.adapter)).status == "supported"


def test_an_evaluation_that_was_erased_breaks_it_before_and_after_the_views_know(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    with scene.views as views:
        place = views.evaluation("ev1").place
    line = next(line for line in walk(scene.settings.ledger) if line.seq == place.seq)
    path = scene.settings.ledger / line.segment
    data = path.read_bytes()
    path.write_bytes(data[: line.offset] + erase_line(data[line.offset : line.end]) + data[line.end :])
    assert "its body was erased" in says(scene, claim, "evaluation")
    assert judged(scene, claim).status == "broken"
    rebuild(scene.settings.views, scene.settings.ledger, "2")
    assert "the ledger has no such record" in says(scene, claim, "evaluation")
    assert judged(scene, claim).status == "broken"


def test_a_flipped_byte_of_the_ledger_breaks_it(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    with scene.views as views:
        place = views.evaluation("ev1").place
    path = scene.settings.ledger / place.segment
    data = bytearray(path.read_bytes())
    data[(place.offset + place.end) // 2] ^= 1
    path.write_bytes(data)
    assert judged(scene, claim).status == "broken"


# --- exports, trainings, holdouts, free ones ---


def test_an_export_with_rows_on_both_sides_is_not_supported(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    dirty = scene.export(contamination={"sessions": 0, "prompts": 2})
    claim = claimed(scene, "export", export=dirty.id)
    assert judged(scene, claim).status == "not supported"
    assert says(scene, claim, "clean") == "rows were found on both sides: prompts 2"
    assert judged(scene, claimed(scene, "export", export=scene.export().id)).status == "supported"


def test_a_training_is_supported_by_its_curve_its_export_and_its_files(scene: Scene) -> None:
    made = scene.earned()
    claim = claimed(scene, "training", training=made.id)
    assert judged(scene, claim).status == "supported", judged(scene, claim).checks
    assert "smallest loss in validation, 2.5000" in says(scene, claim, "curve")


@pytest.mark.parametrize(
    ("facts", "is_"),
    [
        ({"best": 20}, "not supported"),
        ({"best": 15}, "broken"),
        ({"curve": ()}, "unproven"),
        ({"curve": (Measured(0, None, 1.0), Measured(10, 2.0, 2.5))}, "supported"),
        ({"ended": "canceled"}, "not supported"),
        ({"files": {"adapters.safetensors": "0" * 64, "adapter_config.json": "1" * 64}}, "broken"),
        ({"export": "e" * 64}, "broken"),
    ],
)
def test_a_training_with_a_fault_is_not(scene: Scene, facts: dict[str, Any], is_: str) -> None:
    made = scene.earned()
    scene.send("training", msgspec.structs.replace(made, id="run-x", **facts))
    assert judged(scene, claimed(scene, "training", training="run-x")).status == is_


def test_a_holdout_is_untouched_until_a_training_uses_a_session_of_it(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "holdout", holdout="hold1")
    assert judged(scene, claim).status == "supported"
    later = scene.export(sessions={"train": (mark(HELD[0]),), "valid": ()})
    scene.training(later.id, "two")
    assert judged(scene, claim).status == "not supported"
    assert f"used 1 session of it (export {later.id[:12]})" in says(scene, claim, "untouched")


def test_a_training_whose_export_nobody_knows_leaves_a_holdout_unproven(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "holdout", holdout="hold1")
    scene.training("ab" * 32, "two")
    assert judged(scene, claim).status == "unproven"


def test_a_released_holdout_is_not_supported_any_more(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "holdout", holdout="hold1")
    scene.holdout(name="rel1", released="hold1")
    assert judged(scene, claim).status == "not supported"


def test_a_free_claim_is_stated_and_nothing_more(scene: Scene) -> None:
    made = scene.earned()
    assert judged(scene, claimed(scene, "free")).status == "stated"
    claim = claimed(scene, "free", adapter=made.adapter, export=made.export[:8])
    assert judged(scene, claim).status == "stated"
    gone = Known(of={"export": "x"}, missing={"export x": "gone"})
    assert status("free", claims.checks("free", gone)) == "broken"


def test_nothing_held_out_is_nothing_proven(scene: Scene) -> None:
    scene.sessions(*TRAIN)
    assert judged(scene, claimed(scene, "holdout")).status == "unproven"


# --- making and taking back ---


def test_a_claim_names_whole_ids_and_what_its_kind_needs(scene: Scene) -> None:
    made = scene.earned()
    claim = claimed(scene, "lift", evaluation="ev", boundary="one model")
    with scene.views as views:
        row = views.claim(claim)
    assert (row.of, row.boundary) == ({"evaluation": "ev1"}, "one model")
    with pytest.raises(Refused, match="is checked by its evaluation: name it with --evaluation"):
        claimed(scene, "lift", export=made.export)
    with pytest.raises(NotFound, match="no evaluation has an id that begins with 'nope'"):
        claimed(scene, "lift", evaluation="nope")


def test_a_claim_that_is_withdrawn_is_listed_no_more(scene: Scene) -> None:
    scene.earned()
    claim = claimed(scene, "lift", evaluation="ev1")
    withdraw(scene.doors, claim[:10], person="ann", reason="too bold")
    scene.catch_up()
    with scene.views as views:
        assert views.claims() == []
    with pytest.raises(Refused, match="withdrawn already"):
        withdraw(scene.doors, claim, person="ann", reason="again")


@pytest.mark.parametrize(
    ("results", "is_"),
    [
        ((), "supported"),
        (("yes", "elsewhere"), "supported"),
        (("yes", "unknown"), "unproven"),
        (("unknown", "no"), "not supported"),
        (("no", "broken", "unknown"), "broken"),
    ],
)
def test_the_worst_check_decides(results: tuple[Result, ...], is_: str) -> None:
    assert status("lift", [Check("one", result, "") for result in results]) == is_


def test_every_kind_of_claim_has_checks_for_what_is_missing() -> None:
    kinds: tuple[ClaimKind, ...] = ("lift", "export", "training")
    for kind in kinds:
        assert status(kind, claims.checks(kind, Known())) == "broken"

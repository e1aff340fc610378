"""Which adapter is in use: put there by what it has earned, taken back, and never by two at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.errors import NotFound, Refused
from karl.schema.learning import Contrast
from karl.stream import keys
from tests.adapters.scene import HELD, TRAIN, VALID, Scene
from workers import adapters
from workers.adapter_files import send as send_files
from workers.adapters import before, linked


def promote(scene: Scene, name: str, **more: Any) -> adapters.Decided:
    done = adapters.promote(scene.doors, name, person="ann", **more)
    scene.catch_up()
    return done


def in_use(scene: Scene) -> str:
    with scene.views as views:
        return views.current()


def test_an_adapter_with_a_lift_goes_into_use_as_a_record_and_a_link(scene: Scene) -> None:
    made = scene.earned()
    done = promote(scene, made.adapter[:10])
    assert {check.result for check in done.checks} <= {"yes"}
    assert in_use(scene) == made.adapter == linked(scene.settings)
    body = scene.decisions()[-1]
    assert (body.action, body.evaluation, body.forced) == ("promote", "ev1", False)
    weights = scene.settings.adapters / "current" / "adapters.safetensors"
    assert weights.read_bytes() == (scene.settings.adapters / made.adapter / weights.name).read_bytes()
    # Said again, nothing is decided; a link that is gone comes back.
    (scene.settings.adapters / "current").unlink()
    assert promote(scene, made.adapter).body is None
    assert linked(scene.settings) == made.adapter
    assert len(scene.decisions()) == 1


def test_no_lift_is_refused_with_the_reason_and_can_be_forced_on_the_record(scene: Scene) -> None:
    made = scene.earned(effect=0.0)
    with pytest.raises(Refused, match=r"(?s)verdict: no lift.*interval: advantage-random in tool"):
        promote(scene, made.adapter)
    assert in_use(scene) == ""
    done = promote(scene, made.adapter, force=True, reason="to try it")
    assert done.body is not None
    assert (done.body.forced, done.body.reason) == (True, "to try it")
    assert in_use(scene) == made.adapter


def test_what_was_not_evaluated_is_refused(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    made = scene.training(scene.export().id)
    with pytest.raises(Refused, match="evaluated: no evaluation judged it"):
        promote(scene, made.adapter)


def test_an_evaluation_of_another_adapter_is_not_this_ones(scene: Scene) -> None:
    first = scene.earned()
    other = scene.training(first.export, "two")
    with pytest.raises(Refused, match="no evaluation judged it"):
        promote(scene, other.adapter)


def test_the_newest_evaluation_counts_whatever_an_older_one_said(scene: Scene) -> None:
    made = scene.earned()
    scene.evaluation(made.export, made.adapter, 0.0, name="ev2", holdouts=("hold1",))
    with pytest.raises(Refused, match="verdict: no lift"):
        promote(scene, made.adapter)


def test_how_often_it_was_asked_before_a_lift_came_stands_beside_the_lift(scene: Scene) -> None:
    made = scene.earned(effect=0.0)
    scene.evaluation(made.export, made.adapter, name="ev2", holdouts=("hold1",))
    (asked,) = (check for check in promote(scene, made.adapter).checks if check.name == "evaluated")
    assert asked.says == "by ev2, the newest that judged it; 1 before it said no lift"


def test_each_look_at_the_same_sessions_asks_more_of_a_lift(scene: Scene) -> None:
    made = scene.earned(effect=0.0)
    for number in range(2, 8):
        scene.evaluation(made.export, made.adapter, 0.0, name=f"ev{number}", holdouts=("hold1",))
    # What needs no more than 95 % is a lift by itself, and is none as the eighth that was tried.
    scene.evaluation(made.export, made.adapter, 0.2, name="ev8", holdouts=("hold1",))
    with pytest.raises(Refused) as refused:
        promote(scene, made.adapter)
    assert "verdict" not in str(refused.value)
    assert "99.4 %: 7 before it had the same held-out sessions" in str(refused.value)
    # Judged by others it is the first; a large effect is one however often it was looked for.
    scene.holdout("elsewhere", name="hold2")
    scene.evaluation(made.export, made.adapter, 0.2, name="ev9", holdouts=("hold2",))
    with scene.views as views:
        assert [scene.proofs(views).of_evaluation(name).look for name in ("ev1", "ev8", "ev9")] == [1, 8, 1]
    scene.evaluation(made.export, made.adapter, 0.35, name="ev10", holdouts=("hold1",))
    assert promote(scene, made.adapter).body is not None


def test_a_verdict_that_its_runs_do_not_give_is_refused_however_it_was_recorded(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    scene.holdout(*HELD)
    export = scene.export()
    made = scene.training(export.id)
    scene.evaluation(
        export.id, made.adapter, 0.0, holdouts=("hold1",), verdict="lift",
        primary=Contrast("advantage-random", "tool", 0.3, 0.2, 0.4),
    )  # fmt: skip
    with pytest.raises(Refused, match=r"(?s)figures: the verdict is no lift, not lift.*verdict: no lift"):
        promote(scene, made.adapter)


@pytest.mark.parametrize("touched", [TRAIN[0], VALID[1]])
def test_an_export_that_has_a_held_out_session_is_refused(scene: Scene, touched: str) -> None:
    scene.sessions(*TRAIN, *VALID)
    scene.holdout(*HELD, touched)
    export = scene.export()
    made = scene.training(export.id)
    scene.evaluation(export.id, made.adapter, holdouts=("hold1",))
    with pytest.raises(Refused, match="held out: sessions of the holdouts are in the export"):
        promote(scene, made.adapter)


def test_files_that_are_others_are_not_put_to_use_not_even_by_force(scene: Scene) -> None:
    made = scene.earned()
    weights = scene.settings.adapters / made.adapter / "adapters.safetensors"
    data = bytearray(weights.read_bytes())
    data[7] ^= 1
    weights.write_bytes(data)
    with pytest.raises(Refused, match="files: "):
        promote(scene, made.adapter, force=True, reason="whatever")
    assert in_use(scene) == ""
    assert linked(scene.settings) is None


@pytest.mark.parametrize("damaged", [False, True])
def test_files_that_are_elsewhere_or_damaged_are_fetched(
    scene: Scene, tmp_path: Path, *, damaged: bool
) -> None:
    made = scene.earned()
    folder = scene.settings.adapters / made.adapter
    send_files(scene.redis, folder)
    if damaged:
        (folder / "adapters.safetensors").write_bytes(b"x")
    else:
        folder.rename(tmp_path / "away")
    promote(scene, made.adapter)
    assert linked(scene.settings) == made.adapter
    assert (folder / "adapters.safetensors").is_file()


def test_an_adapter_of_sessions_that_were_erased_since_is_refused(scene: Scene) -> None:
    scene.sessions(*TRAIN[1:], *VALID)
    scene.holdout(*HELD)
    export = scene.export(held_out=("hold1",))
    made = scene.training(export.id)
    scene.evaluation(export.id, made.adapter, holdouts=("hold1",))
    with pytest.raises(Refused, match="erased: 1 of the sessions that it was trained with were erased since"):
        promote(scene, made.adapter)


def test_a_training_without_an_adapter_and_a_name_of_nothing_are_told_apart(scene: Scene) -> None:
    scene.earned()
    broken = scene.training("ex", "two", ended="failed")
    scene.send("training", msgspec.structs.replace(broken, id="run-three", adapter="", label="failed-one"))
    with pytest.raises(Refused, match="no adapter came of the training run-three: it ended failed"):
        promote(scene, "failed-one")
    with pytest.raises(NotFound):
        promote(scene, "nothing")


# --- taken back ---


def test_going_back_goes_to_what_was_in_use_before_and_at_last_to_none(scene: Scene) -> None:
    first = scene.earned()
    second = scene.training(first.export, "two")
    promote(scene, first.adapter)
    promote(scene, second.adapter, force=True, reason="newer")

    def back() -> str:
        adapters.rollback(scene.doors, None, person="ann", reason="worse")
        scene.catch_up()
        return in_use(scene)

    assert back() == first.adapter == linked(scene.settings)
    assert back() == ""
    assert linked(scene.settings) is None
    with pytest.raises(Refused, match="nothing to take back"):
        back()
    adapters.rollback(scene.doors, second.adapter, person="ann", reason="it was better")
    scene.catch_up()
    assert in_use(scene) == second.adapter


def test_going_back_to_what_was_never_in_use_is_refused(scene: Scene) -> None:
    first = scene.earned()
    second = scene.training(first.export, "two")
    promote(scene, first.adapter)
    with pytest.raises(Refused, match="was never in use"):
        adapters.rollback(scene.doors, second.adapter, person="ann", reason="why not")
    with pytest.raises(Refused, match="is in use already"):
        adapters.rollback(scene.doors, first.adapter, person="ann", reason="why not")


def test_before_is_a_stack_of_promotions() -> None:
    class Row:
        def __init__(self, action: str, adapter: str) -> None:
            self.action, self.adapter = action, adapter

    def of(*said: tuple[str, str]) -> str:
        return before([Row(*one) for one in reversed(said)])  # type: ignore[misc]

    assert of() == ""
    assert of(("promote", "a")) == ""
    assert of(("promote", "a"), ("promote", "b")) == "a"
    assert of(("promote", "a"), ("promote", "b"), ("rollback", "a")) == ""
    assert of(("promote", "a"), ("promote", "b"), ("rollback", "a"), ("promote", "c")) == "a"
    assert of(("promote", "a"), ("rollback", ""), ("promote", "b")) == ""


# --- at once ---


def test_of_two_decisions_upon_the_same_state_one_counts(scene: Scene) -> None:
    first = scene.earned()
    second = scene.training(first.export, "two")

    doors = scene.doors
    late = adapters._body(doors, "", adapters.Said("promote", first.adapter, "ann", ""))
    promote(scene, second.adapter, force=True, reason="sooner")
    with pytest.raises(Refused, match=f"another decision came meanwhile: {second.adapter[:12]} is in use"):
        adapters._decide(doors, "", late)
    assert in_use(scene) == second.adapter
    assert len(scene.decisions()) == 1
    assert scene.redis.get(keys.ADAPTERS_CLAIM) is None


def test_while_somebody_decides_nobody_else_does(scene: Scene) -> None:
    made = scene.earned()
    scene.redis.set(keys.ADAPTERS_CLAIM, "somebody", px=60_000)
    with pytest.raises(Refused, match="somebody else decides"):
        promote(scene, made.adapter)
    scene.redis.delete(keys.ADAPTERS_CLAIM)
    promote(scene, made.adapter)
    assert in_use(scene) == made.adapter

"""How long a row takes to train with, as the ledger knows of it: what an evaluation or a training took."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from karl.learning.cost import of_evaluation, of_training
from karl.schema.learning import EvaluationBody, TrainingBody
from karl.views.lineage import Lineage
from karl.views.routing import body_at

if TYPE_CHECKING:
    from karl.settings import Settings

#: Evaluations and trainings, the newest, among which one of the model is looked for.
_LATEST = 200


class Speed(NamedTuple):
    """Seconds of a row (karl.learning.cost), null where nobody knows; `basis` says what that follows from."""

    row_s: float | None
    basis: str

    def seconds(self, rows: float) -> int | None:
        """Say how long so many rows take."""
        return None if self.row_s is None else round(self.row_s * rows)


def speed_of(settings: Settings, model: str) -> Speed:
    """Give the speed of a model as its last evaluation, or else its last training, had it.

    A row of another length takes another time, and another node is another speed: it is an estimate.
    """
    with Lineage(settings.views) as views:
        valid = {row.id: row.valid_rows for row in views.exports(-1)}
        judged = next((row for row in views.evaluations(_LATEST) if row.model == model), None)
        done = (row for row in views.trainings(_LATEST) if row.model == model and row.ended == "done")
        trained = next((row for row in done if row.seconds > 0), None)
    if judged is not None:
        body = body_at(settings.ledger, judged.place, EvaluationBody)
        count = valid.get(body.export, 0) if body.options.get("exported") else 0
        rows, seconds, what = of_evaluation(body, valid=count), body.seconds, f"the evaluation {body.id[:12]}"
    elif trained is not None:
        made = body_at(settings.ledger, trained.place, TrainingBody)
        rows = of_training(made.recipe, valid=valid.get(made.export, 0))
        seconds, what = made.seconds, f"the training {made.id[:12]} on {made.device}"
    else:
        return Speed(None, f"{model} was never trained with: `karl sft-preflight` measures how fast it is")
    row_s = seconds / rows
    told = f"{row_s:.2g} s a row, as {what} had it; a row that is judged taken for a third of one"
    return Speed(row_s, told)

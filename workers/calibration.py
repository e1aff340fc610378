"""What was learned of agents' outcomes, on its way: as records to the ledger, and to whoever scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from karl.errors import LineDown
from karl.reward.calibration import of_record
from karl.stream.basis import publish_calibration, withdraw_calibration
from workers.records import Outgoing, send

if TYPE_CHECKING:
    from redis import Redis

    from karl.schema.record import CalibrationBody


def apply(redis: Redis, bodies: Sequence[CalibrationBody], wait: Callable[[float], None]) -> None:
    """Send records to the ledger; then have each agent's scores made with its record, or with none.

    Raises LineDown when Redis does not answer; said again, it goes on from there.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    send(redis, [Outgoing("calibration", body.agent, body) for body in bodies], wait)
    try:
        for body in bodies:
            if body.applied:
                publish_calibration(redis, of_record(body))
            else:
                withdraw_calibration(redis, body.agent)
    except RedisError as error:
        raise LineDown(
            f"Redis does not answer: {error}; the records are on their way, say it again"
        ) from error

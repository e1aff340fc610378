"""An erased session's prompts leave the stream that they wait in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from karl.stream import keys
from tests.shadow.conftest import waiting
from tests.workers.conftest import Feed
from tests.workers.test_erasure import SECRET, Moving, everything, fill, moving

__all__ = ["moving"]


@pytest.mark.usefixtures("on")
def test_prompts_that_wait_for_a_prediction_are_erased_with_their_session(
    redis: Redis, moving: Moving, feed: Callable[..., Feed], tmp_path: Path
) -> None:
    fill(moving, feed)
    while len(waiting(redis)) < 4:
        moving.step()
    assert SECRET in "".join(one.text for one in waiting(redis))
    moving.eraser("mine").run()
    assert [one.session for one in waiting(redis)] == ["yours", "yours"]
    assert SECRET.encode() not in everything(tmp_path, redis)


@pytest.mark.usefixtures("on")
def test_prompts_before_a_time_are_erased_with_it(
    redis: Redis, moving: Moving, feed: Callable[..., Feed]
) -> None:
    fill(moving, feed)
    while len(waiting(redis)) < 4:
        moving.step()
    last = max(one.time_ms for one in waiting(redis))
    moving.eraser(before_ms=last).run()
    assert {one.time_ms for one in waiting(redis)} == {last}


@pytest.mark.usefixtures("on")
def test_an_erasure_takes_what_is_no_prompt_too(
    redis: Redis, moving: Moving, feed: Callable[..., Feed]
) -> None:
    fill(moving, feed)
    redis.xadd(keys.PROMPTS, {"d": b"torn"})
    moving.eraser("mine").run()
    assert {one.session for one in waiting(redis)} <= {"yours"}

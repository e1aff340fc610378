"""Which prompts the sessions worker puts up for routing, and when."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from karl.errors import Unreadable
from karl.schema.event import TRANSCRIPT, Event
from karl.stream import keys, prompts, routing
from tests.shadow.conftest import put_up, waiting
from tests.workers.conftest import Feed, Line
from workers.sessions import SessionsWorker


def fold(line: Line, *workers: SessionsWorker) -> None:
    """Run workers until all is folded and their next read has gone out."""
    line.drain(*workers)
    for worker in workers:
        worker.run_once(line.stop)


def told(feed: Feed, **fields: Any) -> Event:
    """Push the last event once more, as something else."""
    event = msgspec.structs.replace(feed.sent[-1], id=f"ev{len(feed.sent):022d}", **fields)
    feed.push(event)
    return event


def test_while_routing_is_off_nothing_is_put_up(redis: Redis, line: Line, feed: Callable[..., Feed]) -> None:
    feed().turn()
    fold(line, line.sessions())
    assert not redis.exists(keys.PROMPTS)
    assert len(line.records("trajectory")) == 1


@pytest.mark.usefixtures("on")
def test_a_persons_prompt_is_put_up_while_its_turn_is_open(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    asked = feed("s-1").prompt("/ship   the new version\n")
    fold(line, line.sessions())
    assert waiting(redis) == [
        prompts.Prompt(
            event=asked.id,
            session="s-1",
            text="the new version",
            time_ms=asked.time_ms or 0,
            node="n1",
            agent="claude-code",
            project="p",
        )
    ]
    assert line.records("trajectory") == []
    assert routing.waiting(redis) == 1


@pytest.mark.usefixtures("on")
def test_what_no_person_asks_just_now_is_not_put_up(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    one = feed("s-1")
    one.prompt("<task-notification>done</task-notification>")
    one.prompt("[Request interrupted by user]")
    one.prompt("/clear")
    one.prompt("  ")
    one.event("UserPromptSubmit", prompt="Look for it", agent_id="a1")
    one.event("UserPromptSubmit", prompt="Wake up", source="scheduled")
    one.event("UserPromptSubmit", prompt=["Look"])
    one.event("PreToolUse", tool_name="Bash", tool_input={"prompt": "x"}, tool_use_id="c", prompt="Look")
    other = feed("s-2")
    other.prompt("Deploy it")
    for source in (TRANSCRIPT, "import", "replay", "gateway"):
        told(other, source=source, session=f"s-{source}")
    fold(line, line.sessions())
    assert [one.event for one in waiting(redis)] == [other.sent[0].id]


@pytest.mark.usefixtures("on")
def test_other_agents_names_for_the_moment_count(redis: Redis, line: Line, feed: Callable[..., Feed]) -> None:
    feed().event("beforeSubmitPrompt", prompt="Deploy it")
    fold(line, line.sessions())
    assert [one.text for one in waiting(redis)] == ["Deploy it"]


@pytest.mark.usefixtures("on")
def test_who_takes_over_puts_up_the_open_turns_prompt_alone_and_under_the_same_id(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    stays = feed("s-1").prompt("Take your time")
    fold(line, first := line.sessions())
    partition = keys.partition_of("s-1")
    neighbour = next(f"n-{n}" for n in range(10_000) if keys.partition_of(f"n-{n}") == partition)
    short = feed(neighbour)
    left = short.prompt("Be quick")
    short.stop()
    fold(line, first)
    assert [one.event for one in waiting(redis)] == [stays.id, left.id]
    first.close()
    fold(line, line.sessions())
    assert [one.event for one in waiting(redis)] == [stays.id, left.id, stays.id]


@pytest.mark.usefixtures("on")
def test_an_event_that_is_sent_twice_is_put_up_once(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    one = feed()
    asked = one.prompt("Deploy it")
    one.push(asked)
    fold(line, worker := line.sessions())
    one.push(asked)
    fold(line, worker)
    assert [prompt.event for prompt in waiting(redis)] == [asked.id]


@pytest.mark.usefixtures("on")
def test_a_server_that_takes_no_prompts_does_not_hold_up_the_line(
    redis: Redis, line: Line, feed: Callable[..., Feed], caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(keys.PROMPTS, "no stream")
    worker = line.sessions()
    for number in range(5):
        feed(f"s-{number}").turn()
        fold(line, worker)
    assert len(line.records("trajectory")) == 5
    assert [r.message for r in caplog.records if "not routed" in r.message] == [
        "sessions: prompts are not routed: WRONGTYPE Operation against a key holding the wrong kind of value"
    ]


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("has_arrived", [True, False])
@pytest.mark.parametrize("is_closed", [True, False])
def test_a_connection_that_breaks_costs_no_prompt(
    redis: Redis,
    line: Line,
    feed: Callable[..., Feed],
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_arrived: bool,
    is_closed: bool,
) -> None:
    one = feed()
    asked = one.prompt("Deploy it")
    if is_closed:
        one.stop()
    worker = line.sessions()
    place, name = (worker._prompts, "put_up") if is_closed else (worker._partitions, "read")
    if not is_closed:
        worker.run_once(line.stop)
    sends = getattr(place, name)

    def broken(*given: Any) -> None:
        if has_arrived:
            sends(*given)
        raise RedisConnectionError("no answer came")

    monkeypatch.setattr(place, name, broken)
    with pytest.raises(RedisConnectionError):
        worker.run_once(line.stop)
    monkeypatch.setattr(place, name, sends)
    worker.forget()
    fold(line, worker)
    assert {prompt.event for prompt in waiting(redis)} == {asked.id}
    assert len(line.records("trajectory")) == is_closed


@pytest.mark.usefixtures("on")
def test_a_worker_that_is_killed_once_a_turn_was_handed_on_has_put_its_prompt_up(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    one = feed()
    asked = one.prompt("Deploy it")
    one.stop()
    line.drain(line.sessions(lease_ttl_s=0.2))  # it never reads again
    assert len(line.records("trajectory")) == 1
    assert [prompt.event for prompt in waiting(redis)] == [asked.id]


@pytest.mark.usefixtures("on")
def test_halves_of_characters_and_long_prompts_are_put_up_as_they_can_be(
    redis: Redis, line: Line, feed: Callable[..., Feed]
) -> None:
    one = feed()
    one.prompt("x" * 100_000)
    event = one.event("Stop")
    whole = {"session_id": "s-9", "hook_event_name": "UserPromptSubmit", "prompt": "half \ud83d"}
    raw = msgspec.Raw(json.dumps(whole).encode())
    one.push(msgspec.structs.replace(event, id="ev9", kind="UserPromptSubmit", session="s-9", payload=raw))
    fold(line, line.sessions())
    found = {prompt.session: prompt.text for prompt in waiting(redis)}
    assert len(found["s-1"]) == 4000
    assert set(found) <= {"s-1", "s-9"}
    assert line.waiting() == 0


def test_the_stream_is_bounded(redis: Redis) -> None:
    pipe = redis.pipeline(transaction=False)
    data = prompts.encode_prompt(prompts.Prompt("e", "s", "t", 1))
    for _ in range(prompts.PROMPTS_MAX + 2000):
        pipe.execute_command(*prompts.putting(data))  # type: ignore[no-untyped-call]
    pipe.execute()
    assert redis.xlen(keys.PROMPTS) < prompts.PROMPTS_MAX + 1000


texts = st.text(alphabet=st.characters(codec="utf-8"))


@given(st.builds(prompts.Prompt, texts, texts, texts, st.integers(0, 2**53), *[texts] * 4))
def test_a_prompt_is_read_as_it_was_written(prompt: prompts.Prompt) -> None:
    data = prompts.encode_prompt(prompt)
    assert b"\n" not in data
    assert prompts.decode_prompt(data) == prompt


@given(st.binary(max_size=200))
def test_whatever_lies_in_the_stream_is_a_prompt_or_unreadable(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        prompts.decode_prompt(data)


def test_dropping_looks_at_all_that_wait(redis: Redis) -> None:
    put_up(redis, 2500)
    assert prompts.drop(redis, lambda prompt: prompt.session == "s-3") == 357
    assert len(waiting(redis)) == 2143
    assert "s-3" not in {prompt.session for prompt in waiting(redis)}

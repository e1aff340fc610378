"""Routing in miniature: skills with rules, a router over the static table, and prompts that wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.routing import model
from karl.routing.policy import Catalogue, Policy
from karl.routing.router import Exemplar, train
from karl.schema.routing import Rule, SkillEntry
from karl.settings import Settings, read_settings
from karl.stream import keys, prompts, routing
from karl.stream.connect import command
from karl.stream.prompts import Prompt, encode_prompt
from tests.workers.conftest import feed, line
from workers import sessions
from workers.shadow import Shadow, Told

__all__ = ["feed", "line"]

SKILLS = {
    "deploy": (
        "deploy the service to production", "roll the release out to the servers", "ship the new version today",
        "put the build on staging", "release version two to the cluster", "push the container to production",
    ),
    "invoice": (
        "write the invoice for the customer", "bill the client for march", "make an invoice of these hours",
        "send the customer a bill", "sum up what the client owes", "the invoice lacks the tax number",
    ),
    "translate": (
        "translate the manual into french", "what is this in german", "put the page into spanish",
        "translate these strings for japan", "say that in italian", "render the menu in portuguese",
    ),
}  # fmt: skip

CATALOGUE = Catalogue(
    skills=tuple(SkillEntry(name=name) for name in SKILLS),
    rules=(Rule("deploy", r"\bdeploy\b"), Rule("invoice", r"\binvoice\b")),
)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for events that do not come."""
    monkeypatch.setattr(sessions, "BLOCK_MS", 5)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return read_settings({"KARL_REDIS_URL": redis_url, "KARL_DATA_DIR": str(tmp_path), "KARL_NODE": "n1"})


@pytest.fixture(scope="session")
def router_data() -> bytes:
    """A router's bytes, trained with the static encoder."""
    pytest.importorskip("wordllama")
    from karl.encoders.static import Static

    encoder = Static()
    exemplars = [Exemplar(skill, text) for skill, texts in SKILLS.items() for text in texts]
    vectors = encoder.encode([one.text for one in exemplars])
    return model.dumps(train(exemplars, vectors, encoder=encoder.name, encoder_version=encoder.version))


@pytest.fixture
def on(redis: Redis) -> None:
    """Routing is on, with rules alone."""
    routing.publish_catalogue(redis, CATALOGUE)
    routing.publish_policy(redis, Policy())


def put_up(redis: Redis, count: int, text: str = "deploy it, number {}") -> list[str]:
    """Let prompts wait as a sessions worker puts them up; gives the ids of their events."""
    ids = [f"ev{number:022d}" for number in range(count)]
    pipe = redis.pipeline(transaction=False)
    for number, event in enumerate(ids):
        one = Prompt(event, f"s-{number % 7}", text.format(number), 1_760_000_000_000 + number, node="n1")
        pipe.execute_command(*prompts.putting(encode_prompt(one)))  # type: ignore[no-untyped-call]
    pipe.execute()
    return ids


def waiting(redis: Redis) -> list[Prompt]:
    """The prompts that wait, in their order."""
    rows = command(redis, "XRANGE", keys.PROMPTS, "-", "+")
    return [prompts.decode_prompt(flat[1]) for _, flat in rows]


def said(redis: Redis) -> list[dict[str, Any]]:
    """What shadow records are on their way to the ledger, in the order of their streams."""
    found = []
    for partition in range(keys.PARTITIONS):
        for _, flat in command(redis, "XRANGE", keys.records_key(partition), "-", "+"):
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            if fields[b"k"] == b"shadow":
                found.append(msgspec.json.decode(fields[b"b"]))
    return found


@pytest.fixture
def route(redis: Redis, settings: Settings) -> Callable[..., Told]:
    """Do the job until nothing waits."""

    def run(**more: Any) -> Told:
        shadow = Shadow(redis, settings, **{"linger_s": 0.0, "silent_s": 0.0, **more})
        while redis.xlen(keys.PROMPTS):
            shadow.run(lambda *_: None)
        return shadow.told

    return run

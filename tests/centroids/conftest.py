"""A ledger with turns that used skills, and routers trained from it with the static encoder."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.jobs import table
from karl.schema.routing import SkillEntry, SkillsBody
from karl.settings import Settings, read_settings
from karl.stream import routing
from karl.stream.connect import connect
from karl.views.rebuild import begin
from karl.views.sources import Sources
from tests.workers.conftest import Feed, Line, line
from workers.centroids import Report, centroids
from workers.doors import Doors
from workers.exemplars import Material, material
from workers.records import ROUTING, Outgoing, send

__all__ = ["line"]

PROMPTS = {
    "deploy": (
        "roll the release out to production", "deploy the service to the cluster", "ship version two today",
        "put the new build on staging", "push the container to the servers", "release the api to production",
        "bring the hotfix onto all servers", "start the rollout of the web service",
    ),
    "invoice": (
        "write the invoice for the customer", "bill the client for march", "make a bill of these hours",
        "the invoice lacks the tax number", "sum up what the client owes us", "send the customer his bill",
        "charge the customer for the support hours", "correct the amount on the last invoice",
    ),
    "translate": (
        "translate the manual into french", "what does this mean in german", "put the page into spanish",
        "translate these strings for japan", "say that sentence in italian", "the menu in portuguese please",
        "give me the polish wording of this letter", "localise the help texts for sweden",
    ),
}  # fmt: skip
OTHERS = (
    "why does this test fail", "explain the loop in this function", "rename the variable everywhere",
    "how much memory does it use", "add a comment to the class", "which file has the settings",
)  # fmt: skip
ENTRIES = tuple(
    SkillEntry(name, description)
    for name, description in (
        ("deploy", "Brings a new version of a service onto servers."),
        ("invoice", "Writes bills for customers."),
        ("translate", "Puts texts into other languages."),
    )
)


class Scene:
    """A line with a ledger of past turns, its views, and what acts on both."""

    def __init__(self, line: Line, redis_url: str, began_ms: int = 1_760_000_000_000) -> None:
        self.line = line
        self.redis: Redis = line.redis
        self.redis_url = redis_url
        self.data_dir = line.folder.parent
        self.settings = read_settings(
            {
                "KARL_DATA_DIR": str(self.data_dir),
                "KARL_REDIS_URL": redis_url,
                "KARL_NODE": "n1",
                "KARL_EMBED_ENCODER": "static",
            }
        )
        self.now_ms = 1_760_100_000_000
        self._began_ms = began_ms
        self._worker = line.sessions()
        if not self.settings.views.exists():
            self.settings.views.parent.mkdir(parents=True)
            begin(self.settings.views, "2")

    def past(
        self, prompts: Mapping[str, tuple[str, ...]] = PROMPTS, others: tuple[str, ...] = OTHERS
    ) -> None:
        """Turns that called the skills of their prompts, a session each, and turns that used none."""
        for skill, texts in prompts.items():
            for at, text in enumerate(texts):
                self.turn(f"s-{skill}-{at}", text, skill)
        for at, text in enumerate(others):
            self.turn(f"s-none-{at}", text, None)
        self.settle()

    def turn(self, session: str, text: str, skill: str | None) -> None:
        one = self.session(session)
        one.prompt(text)
        if skill:
            one.call("Skill", skill=skill)
        one.call()
        one.stop()

    def session(self, name: str) -> Feed:
        """A session that begins a minute after the one before it."""
        self._began_ms += 60_000
        return Feed(self.redis, name, self._began_ms)

    def settle(self) -> None:
        self.line.drain(self._worker)
        self.move()

    def move(self, _seconds: float = 0.0) -> None:
        """What other processes do while somebody waits."""
        self.line.catch_up(self.settings.views)

    def skills(self, *entries: SkillEntry) -> None:
        body = SkillsBody("sk1", "~/skills", "user", entries or ENTRIES, "n1", self.now_ms)
        send(self.redis, [Outgoing("skills", ROUTING, body)], self.move)
        self.move()

    def doors(self, progress: Callable[[int, int, object], None] = lambda *_: None) -> Doors:
        return Doors(self.settings, self.redis, progress, lambda: self.now_ms, self.move)

    def train(self, **asked: Any) -> Report:
        self.now_ms += 60_000
        report = centroids(table.Centroids(**asked), self.doors())
        self.move()
        return report

    def material(self) -> Material:
        with Sources(self.settings.views) as views:
            return material(views, self.settings.ledger)

    @property
    def in_use(self) -> str:
        with Sources(self.settings.views) as views:
            return views.policy().router

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Have the line move by itself, as its processes do, for commands that wait for it."""
        stop = threading.Event()

        def go_on() -> None:
            while not stop.wait(0.01):
                self.move()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.move()

    def close(self) -> None:
        self._worker.close()


@pytest.fixture
def scene(line: Line, redis_url: str) -> Iterator[Scene]:
    pytest.importorskip("wordllama", reason="the encoder static is not installed")
    made = Scene(line, redis_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def template(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a line with skills, past turns, and a first router in use."""
    pytest.importorskip("wordllama", reason="the encoder static is not installed")
    folder = tmp_path_factory.mktemp("template")
    client = connect(redis_url)
    client.flushall()
    line = Line(client, folder / "ledger")
    made = Scene(line, redis_url)
    made.skills()
    made.past()
    made.train(why="bootstrap")
    made.close()
    line.ledger.forget()
    client.close()
    return folder


@pytest.fixture
def trained(template: Path, redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Scene]:
    """With skills, past turns, and a first router in use."""
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    line = Line(redis, folder / "ledger")
    made = Scene(line, redis_url, 1_760_050_000_000)
    with Sources(made.settings.views) as views:
        policy = views.policy()
    routing.publish_policy(redis, policy)
    routing.publish_router(redis, (made.settings.routers / policy.router).read_bytes())
    yield made
    made.close()
    line.ledger.forget()


def files(settings: Settings) -> list[Path]:
    return sorted(settings.routers.iterdir()) if settings.routers.exists() else []

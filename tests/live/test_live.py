"""Live routing: a real hook asks a real endpoint, and an agent is told of a skill, or of nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from redis import Redis

from karl.encoders.choose import Wanted, best, open_encoder
from karl.live.routes import STALE_S, Routes
from karl.routing.experiment import told
from karl.routing.model import dumps
from karl.routing.policy import Catalogue, Policy
from karl.routing.predict import Predictor
from karl.routing.router import Exemplar, train
from karl.schema.routing import Rule, SkillEntry
from karl.stream import routing
from karl.stream.routing import Published
from producers.hook import Asked, hook_command
from producers.hook_line import find_program, socket_of
from producers.redact import Redactor
from producers.spool import Spool
from tests.conftest import wait_until
from workers.opened import Opened

ACTIVE = Policy(mode="active", share=1.0, id="p1", since_ms=1)
SKILLS = (SkillEntry("pdf"), SkillEntry("deploy", model_invocable=False), SkillEntry("`rm`\nnow"))
CATALOGUE = Catalogue(
    SKILLS,
    (
        Rule("pdf", r"\bpdf\b"),
        Rule("deploy", r"\bdeploy\b"),
        Rule("`rm`\nnow", r"\binject\b"),
        Rule("gone", r"\bgone\b"),
    ),
)


def prompt(text: str, session: str = "s1", **more: object) -> bytes:
    whole = {"hook_event_name": "UserPromptSubmit", "session_id": session, "prompt": text, "cwd": "/", **more}
    return json.dumps(whole).encode()


class Live:
    """A data folder with `karl routing serve`, and a hook that asks it."""

    def __init__(self, folder: Path, redis_url: str, redis: Redis) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(mode=0o700)
        self.redis = redis
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KARL_")},
            "KARL_DATA_DIR": str(folder),
            "KARL_REDIS_URL": redis_url,
        }
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def publish(self, policy: Policy = ACTIVE, catalogue: Catalogue = CATALOGUE) -> None:
        routing.publish_catalogue(self.redis, catalogue)
        routing.publish_policy(self.redis, policy)

    def start(self, said: str = "live, policy") -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "karl.cli", "routing", "serve"], env=self.environ, stderr=log
            )
        wait_until(lambda: said in self.log.read_text(), f"the endpoint says {said!r}")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        return self.process.wait(20)

    def hook(self, payload: bytes) -> bytes:
        """Run the hook as an agent does; gives what it prints."""
        asked = Asked(socket_of(self.folder), find_program("curl"))
        line = hook_command(self.spool, "claude-code", find_program("cat"), asked)
        # A loaded machine is no reason to say nothing here: what is tested is what is said.
        line = line.replace("-m 0.05", "-m 20")
        done = subprocess.run(["/bin/sh", "-c", line], input=payload, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    def left(self, kind: str) -> list[dict[str, object]]:
        """Give the events of a kind that the spool holds."""
        files = sorted(file for file in self.spool.iterdir() if file.stat().st_size)
        events = [json.loads(file.read_bytes()) for file in files]
        return [event for event in events if event["hook_event_name"] == kind]


@pytest.fixture
def live(tmp_path: Path, redis_url: str, redis: Redis) -> Iterator[Live]:
    folder = Live(tmp_path, redis_url, redis)
    yield folder
    if folder.process and folder.process.poll() is None:
        folder.end(signal.SIGKILL)


def test_a_prompt_is_answered_with_the_skill_that_was_picked_and_an_event_says_so(live: Live) -> None:
    live.publish()
    live.start()
    said = json.loads(live.hook(prompt("Turn this pdf by 90 degrees", prompt_id="q1")))
    output = said["hookSpecificOutput"]
    assert output["hookEventName"] == "UserPromptSubmit"
    assert "`pdf`" in output["additionalContext"]
    (event,) = live.left("SkillSuggested")  # before the hook was answered
    assert event == {
        "hook_event_name": "SkillSuggested",
        "session_id": "s1",
        "skill": "pdf",
        "policy": "p1",
        "told": True,
        "prompt_id": "q1",
        "cwd": "/",
    }
    assert len(live.left("UserPromptSubmit")) == 1
    # As the shipper orders them: behind the prompt, before what the agent does next.
    items = Spool(live.spool).scan(10, frozenset())
    assert [json.loads(item.path.read_bytes())["hook_event_name"] for item in items] == [
        "UserPromptSubmit", "SkillSuggested",
    ]  # fmt: skip
    assert live.end() == 0


def test_what_can_not_be_recorded_is_not_told(live: Live, tmp_path: Path) -> None:
    live.publish()
    live.start()
    body = prompt("this pdf")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_of(tmp_path)))) as client:
        assert client.post("http://karl/v1/route/claude-code", content=body).status_code == 200
        (live.spool / "full").touch()
        assert client.post("http://karl/v1/route/claude-code", content=body).status_code == 204
    assert len(live.left("SkillSuggested")) == 1
    assert live.end() == 0


def test_sessions_of_the_control_are_told_nothing_and_are_counted(live: Live) -> None:
    policy = Policy(mode="active", share=0.5, id="p1", since_ms=1)
    control = next(name for name in map(str, range(100)) if not told(name, policy))
    treated = next(name for name in map(str, range(100)) if told(name, policy))
    live.publish(policy)
    live.start()
    assert live.hook(prompt("this pdf", control)) == b""
    assert live.hook(prompt("this pdf", treated)) != b""
    live.end()
    assert {event["session_id"]: event["told"] for event in live.left("SkillSuggested")} == {
        control: False,
        treated: True,
    }


#: Payloads that are answered with nothing, each with the reason.
NOTHING = {
    "no rule knows it": prompt("nothing that any rule knows"),
    "typed": prompt("/pdf turn it"),
    "a machine's": prompt("<task-notification>the pdf is there</task-notification>"),
    "not for models": prompt("please deploy it"),
    "a name that drives": prompt("inject this"),
    "no such skill": prompt("gone"),
    "a subagent's": prompt("a pdf", agent_id="a1"),
    "empty": prompt(""),
    "another event": json.dumps({"hook_event_name": "Stop", "session_id": "s1", "prompt": "pdf"}).encode(),
    "no session": b'{"hook_event_name":"UserPromptSubmit","session_id":7,"prompt":"pdf"}',
    "no text": b'{"hook_event_name":"UserPromptSubmit","session_id":"s","prompt":["pdf"]}',
    "no JSON": b"no json pdf",
    "nothing": b"",
    "deep": b"[" * 5000,
    "huge": prompt("x" * 400_000 + " pdf"),
}


def test_a_hook_prints_nothing_and_keeps_the_event(live: Live) -> None:
    live.publish()
    live.start()
    for why, payload in NOTHING.items():
        assert live.hook(payload) == b"", why
        (kept,) = live.spool.iterdir()
        assert kept.read_bytes() == payload
        kept.unlink()


def test_a_hook_prints_nothing_before_a_promotion_and_after_a_rollback(live: Live) -> None:
    live.publish(Policy())
    live.start("hooks are answered")
    assert live.hook(prompt("this pdf")) == b""
    live.publish()
    wait_until(lambda: live.hook(prompt("this pdf")), "the promotion is heard of")
    live.publish(Policy())
    wait_until(lambda: not live.hook(prompt("this pdf")), "the rollback is heard of")


def test_a_hook_prints_nothing_where_nobody_listens_or_nobody_answers(live: Live) -> None:
    assert live.hook(prompt("this pdf")) == b""
    path = socket_of(live.folder)
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(path))
        assert live.hook(prompt("this pdf")) == b""  # refused
        silent.listen()
        threading.Thread(target=_answer_half, args=(silent,), daemon=True).start()
        assert live.hook(prompt("this pdf")) == b""
    assert len(live.left("UserPromptSubmit")) == 3


def _answer_half(silent: socket.socket) -> None:
    client, _ = silent.accept()
    client.recv(1 << 16)
    client.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops")
    client.close()


def test_a_killed_endpoint_is_followed_by_another_and_two_at_once_are_refused(live: Live) -> None:
    live.publish()
    live.start()
    second = subprocess.run(
        [sys.executable, "-m", "karl.cli", "routing", "serve"],
        env=live.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1
    assert "already" in second.stderr
    live.end(signal.SIGKILL)
    assert live.hook(prompt("this pdf")) == b""
    live.log.write_text("")
    live.start()
    assert live.hook(prompt("this pdf"))


def test_requests_that_are_none_are_refused_and_the_socket_is_its_owners_alone(live: Live) -> None:
    live.publish()
    live.start()
    path = socket_of(live.folder)
    assert path.parent.stat().st_mode & 0o077 == 0
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://karl") as client:
        assert client.post("/v1/route/claude-code", content=b"{").status_code == 400
        assert client.post("/v1/route/../x", content=prompt("pdf")).status_code == 400
        assert client.post("/v1/events/claude-code", content=prompt("pdf")).status_code == 400
        assert client.post("/v1/route/claude-code", content=iter([b"x"])).status_code == 400
        assert client.post("/v1/route/claude-code", content=b"x" * 300_000).status_code == 413
        assert client.get("/v1/route/claude-code").status_code == 501
        assert client.post("/v1/route/claude-code", content=prompt("no such")).status_code == 204
        assert client.post("/v1/route/claude-code", content=prompt("a pdf")).status_code == 200


def test_what_was_read_last_counts_while_redis_is_away_and_not_for_ever() -> None:
    clock = [0.0]
    opened = Opened(Published(ACTIVE, CATALOGUE, "", CATALOGUE.digest), Predictor(CATALOGUE, ACTIVE))
    routes = Routes(lambda: opened, str, lambda: clock[0])
    ask: Callable[[], object] = lambda: routes.ask(prompt("this pdf"), lambda _cwd: "")  # noqa: E731
    assert ask() is None
    routes.refresh()
    clock[0] = STALE_S
    assert ask()
    clock[0] += 1
    assert ask() is None
    routes.refresh()
    assert ask()


def test_an_encoder_is_given_no_secret() -> None:
    seen: list[str] = []

    class Spy:
        name, version, dim = "spy", "1", 2

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            seen.extend(texts)
            return np.zeros((len(texts), 2), dtype=np.float32)

    published = Published(ACTIVE, CATALOGUE, "", CATALOGUE.digest)
    opened = Opened(published, Predictor(CATALOGUE, ACTIVE), Spy())
    routes = Routes(lambda: opened, lambda text: Redactor().text(text)[0], lambda: 0.0)
    routes.refresh()
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    assert routes.ask(prompt(f"turn this pdf with {key} <private>at home</private>"), lambda _cwd: "")
    assert seen[-1].startswith("turn this pdf with [REDACTED:")
    assert "at home" not in seen[-1]


def test_a_skill_that_the_vector_router_has_earned_is_told_by_meaning(live: Live) -> None:
    name = best()
    if not name:
        pytest.skip("no encoder is installed")
    encoder = open_encoder(Wanted(name=name))
    exemplars = [
        *(
            Exemplar("pdf", f"{verb} the pages of this document")
            for verb in ("turn", "merge", "split", "extract")
        ),
        *(
            Exemplar("deploy", f"roll the {part} out to production")
            for part in ("api", "site", "worker", "app")
        ),
    ]
    vectors = encoder.encode([one.text for one in exemplars])
    router = train(exemplars, vectors, encoder=encoder.name, encoder_version=encoder.version)
    routing.publish_router(live.redis, dumps(router))
    live.publish(msgspec.structs.replace(ACTIVE, ready=("pdf",)))
    live.start()
    said = live.hook(prompt("merge the pages of these two documents"))
    assert b"`pdf`" in said
    assert live.hook(prompt("roll the worker out to production, please")) == b""  # not earned
    live.end()
    (event,) = live.left("SkillSuggested")
    assert 0 < float(str(event["chance"])) <= 1

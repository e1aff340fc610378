"""Secrets planted at every door of the real line are in nothing that it writes, answers or prints."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from redis import Redis

from karl.stream import keys
from karl.stream.connect import connect
from producers import python_api
from producers.hook import hook_command
from producers.http import is_listening
from tests.cli.running import KARL, environ, real_karl
from tests.conftest import wait_until
from tests.producers.claude_log import Log as Transcript
from tests.producers.gateway_log import Log as Events
from tests.producers.test_http import free_port
from tests.secrets import planting
from tests.secrets.planting import KINDS, PLACES, WRAPPINGS, Planted

SEED = int(os.environ.get("KARL_SECRETS_SEED", "4"))
PLANTED = 200


class Secrets:
    """Gives texts with a secret in them, and keeps what must not be found again."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sought: dict[str, str] = {}

    def planted(self) -> Iterator[Planted]:
        for planted in planting.plant(SEED, PLANTED):
            self.seek(planted)
            yield planted

    def text(self, where: str) -> str:
        """Give a token with words around it, on one line."""
        kind = self.random.choice([name for name in KINDS if name.startswith("token:")])
        snippet = KINDS[kind](self.random)
        self.sought.update(
            (part, f"{kind} in {where}") for part in planting.needles(snippet.secrets[0], "plain", "")
        )
        return snippet.text.strip()

    def seek(self, planted: Planted) -> None:
        where = f"{planted.kind}, {planted.wrapping}, in {planted.place}"
        self.sought.update((needle, where) for needle in planted.needles)

    def found_in(self, data: bytes) -> list[str]:
        return [
            f"{where}: {needle}"
            for needle, where in self.sought.items()
            if any(form.encode() in data for form in planting.forms(needle))
        ]


class Up(NamedTuple):
    """A running `karl up`."""

    folder: Path
    port: int
    redis: Redis

    def karl(self, *arguments: str) -> bytes:
        done = real_karl(self.folder, *arguments, KARL_HTTP_PORT=str(self.port))
        return done.stdout + done.stderr


def spool(up: Up) -> Path:
    return up.folder / "spool"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up") / "karl"
    port = free_port()
    variables = {**os.environ, **environ(folder, KARL_HTTP_PORT=str(port), KARL_NODE="n1")}
    given = {name: value for name, value in variables.items() if value is not None}
    folder.mkdir(mode=0o700)
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen([KARL, "up"], env=given, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), f"`karl up` listens: {(folder / 'up.log').read_text()}")
        wait_until(lambda: list(folder.rglob("*.sock")), "the server's socket is there")
        client = connect(f"unix://{next(folder.rglob('*.sock'))}")
        yield Up(folder, port, client)
        client.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def hooks(up: Up, payloads: list[bytes]) -> None:
    """Let the real hook leave each payload."""
    command = hook_command(spool(up), "claude-code")
    for payload in payloads:
        subprocess.run(["sh", "-c", command], input=payload, check=True)


def post(up: Up, body: bytes, path: str = "/v1/events/codex?karl-hook=1") -> bytes:
    token = (up.folder / "http.token").read_text().strip()
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=20)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {token}"})
        return connection.getresponse().read()
    finally:
        connection.close()


def dressed(planted: Planted) -> list[bytes]:
    """Give a turn's payloads: a prompt, what was planted, and the end."""
    session = planted.payload["session_id"]
    around = [
        {"session_id": session, "hook_event_name": "UserPromptSubmit", "prompt": "Do it"},
        planted.payload,
        {"session_id": session, "hook_event_name": "Stop"},
    ]
    return [json.dumps(payload).encode() for payload in around]


def unreadable(secrets: Secrets) -> list[bytes]:
    """Give payloads that end as dead letters, each with a secret."""
    texts = [secrets.text("a dead letter") for _ in range(8)]
    whole = json.dumps({"session_id": "s", "hook_event_name": "Stop", "x": texts[0]}).encode()
    long = texts[6] + " " + "y" * (64 * 1024 - 40 - 2 * len(texts[6])) + " "
    return [
        whole[:-1] + b",",
        json.dumps({"hook_event_name": "Stop", "x": texts[1]}).encode(),
        json.dumps([texts[2]]).encode(),
        texts[3].encode(),
        b"\xff\xfe" + json.dumps({"x": texts[4]}).encode("utf-16-le"),
        b"\xff " + texts[5].encode(),
        f"{long}{texts[6]} {texts[6]} and more".encode(),
        json.dumps({"session_id": texts[7] + "x" * 300, "hook_event_name": "Stop"}).encode(),
    ]


def ids_and_names(secrets: Secrets) -> list[dict[str, Any]]:
    """Give payloads whose ids and names hold a secret."""
    names = ("session_id", "cwd", "tool_name", "tool_use_id", "model", "agent_id", "agent_version", "transcript_path", "permission_mode", "git_repo", "timestamp", "prompt_id", "hook_event_name")  # fmt: skip
    made = []
    for name in names:
        text = secrets.text(name)[: 250 if name != "hook_event_name" else 64]
        payload = {
            "session_id": f"n-{name}",
            "hook_event_name": "PostToolUse",
            "tool_name": "Bash",
            "tool_input": {},
        }
        made.append({**payload, name: text})
        made.append({"session_id": f"n-{name}", "hook_event_name": "Stop"})
    return made


def plant_everywhere(
    up: Up, secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[bytes]:
    """Go through every door; gives what was answered."""
    said = []
    for number, planted in enumerate(secrets.planted()):
        for at, payload in enumerate(dressed(planted)):
            hidden = up.folder / "incoming"
            hidden.write_bytes(payload)
            hidden.rename(spool(up) / f"claude-code.{1_000_000_000 + 3 * number + at}")
    hooks(up, [json.dumps(payload).encode() for payload in ids_and_names(secrets)] + unreadable(secrets))
    for number in range(4):
        event = {
            "session_id": f"http-{number}",
            "hook_event_name": "UserPromptSubmit",
            "prompt": secrets.text("a post"),
        }
        said.append(post(up, json.dumps(event).encode()))
    said.append(post(up, f'{{"session_id": "x", {secrets.text("a broken post")}'.encode()))
    said.append(post(up, b"{}", f"/v1/events/{secrets.text('a path').split()[0]}".replace("\x1b", "")))
    said += told_in_python(up, secrets, monkeypatch)
    said.append(imported(up, secrets, tmp_path))
    return said


def told_in_python(up: Up, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    for name, value in environ(up.folder).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    given = secrets.text("the Python interface")
    python_api.init_session_buffer("python-1", prompt_text=given, skill_name=secrets.text("a skill's name"))
    python_api.append_tool_event(
        "python-1", secrets.text("a tool's name"), {"command": secrets.text("an input")}
    )
    python_api.flush_session("python-1", {"note": secrets.text("signals")})
    return []


def imported(up: Up, secrets: Secrets, folder: Path) -> bytes:
    log = Transcript("told-1")
    log.prompt(secrets.text("a transcript's prompt"))
    log.calls("toolu_1", command=secrets.text("a transcript's call"))
    log.result("toolu_1", secrets.text("a transcript's result"), {"stdout": secrets.text("its answer")})
    log.says(secrets.text("its words"), stop="end_turn")
    log.write(folder / "projects")
    broken = folder / "projects" / "broken.jsonl"
    broken.write_text(f'{{"type": "user", "sessionId": "x", "message": "{secrets.text("a broken line")}\n')
    events = Events(folder / "events")
    events.start("nightly", note=secrets.text("a flow"))
    events.step(0, error=secrets.text("a step's error"), ok=False)
    events.complete(first_error=secrets.text("a flow's error"))
    events.write(f"no json {secrets.text('a broken envelope')}\n".encode())
    return up.karl("import", "claude", str(folder / "projects")) + up.karl(
        "import", "gateway", str(folder / "events")
    )


def test_two_hundred_planted_secrets_are_found_in_nothing(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = Secrets(SEED)
    said = plant_everywhere(up, secrets, tmp_path, monkeypatch)
    wait_until(lambda: not list(spool(up).glob("*.[0-9]*")), "the spool is empty", 60)
    settled(up)
    sessions = json.loads(up.karl("sessions", "--json", "--limit", "1000"))
    said.append(json.dumps(sessions).encode())
    rows = sessions if isinstance(sessions, list) else sessions["sessions"]
    for row in rows[:1]:
        said.append(up.karl("show", row["session"], "--json"))
    page = tmp_path / "page.html"
    said.append(up.karl("replay", rows[0]["session"], "--html", str(page)))
    for form in ("jsonl", "atif"):
        said.append(up.karl("export", "--format", form, "--output", str(tmp_path / f"out-{form}.jsonl")))
    said += [
        up.karl("doctor", "--json"),
        up.karl("status", "--json"),
        up.karl("dead-letters", "list", "--json"),
    ]
    written = [path for path in up.folder.rglob("*") if path.is_file()]
    written += [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and not {"projects", "events"} & set(path.parts)
    ]
    found = [f"{path.name}: {leak}" for path in written for leak in secrets.found_in(bytes_of(path))]
    found += [f"said: {leak}" for leak in secrets.found_in(b"\n".join(said))]
    assert len(secrets.sought) > 2 * PLANTED
    assert b"[REDACTED:" in b"\n".join(said)
    assert not found, "\n".join(sorted(set(found)))


def bytes_of(path: Path) -> bytes:
    """Read a file; what the shipper keeps for a few seconds may be gone by now."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        assert ".sent" in path.parts
        return b""


def settled(up: Up) -> None:
    """Wait until what was sent is in the ledger and in the views."""

    def waiting() -> int:
        return sum(up.redis.xlen(keys.records_key(partition)) for partition in range(keys.PARTITIONS))

    def has(session: str) -> bool:
        return session.encode() in up.karl("sessions", "--json", "--limit", "1000")

    wait_until(lambda: waiting() == 0, "the ledger has the records", 60)
    wait_until(lambda: has("told-1"), "the views have the last session", 60)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_hides_no_secret(place: str) -> None:
    assert not leaks(Random(f"{SEED} {place}"), [(kind, "plain", place) for kind in KINDS])


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_wrapping_hides_no_token(wrapping: str) -> None:
    tokens = [(kind, wrapping, "stdout") for kind in KINDS if kind.startswith("token:")]
    assert not leaks(Random(f"{SEED} {wrapping}"), tokens)


def leaks(random: Random, wanted: list[tuple[str, str, str]]) -> list[str]:
    """Make envelopes of planted payloads; gives what of the secrets is in them."""
    from producers.envelope import EnvelopeMaker

    maker = EnvelopeMaker(node="n")
    found = []
    for kind, wrapping, place in wanted:
        planted = planting.one(random, kind, wrapping, place)
        raw = json.dumps(planted.payload).encode()
        data = bytes(maker.make(raw, name="e").payload)
        found += [
            f"{kind} ({wrapping}, {place}): {needle}"
            for needle in planted.needles
            if any(form.encode() in data for form in planting.forms(needle))
        ]
    return found


if __name__ == "__main__":
    sys.exit("run by pytest")

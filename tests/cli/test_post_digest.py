"""`karl post-digest`: what is sent, in which form, and what happens when it is not taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from karl.errors import KarlError, SettingsError
from karl.views.rebuild import rebuild
from tests.cli.running import karl, real_karl
from tests.export.telling import drafts, emissions
from tests.session.making import Script
from tests.views import ledgers
from workers import webhook


class Hook:
    """A webhook on loopback: keeps what it gets, and answers as it is told to, the last answer for ever."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.answers: list[tuple[int, dict[str, str]]] = [(204, {})]
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status, headers = hook.answers[0] if len(hook.answers) == 1 else hook.answers.pop(0)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/s3cret-token"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    script = Script()
    script.prompt("Say nothing of this prompt", project="shop")
    script.stop()
    ledgers.write(tmp_path / "data" / "ledger", drafts(emissions(script)))
    rebuild(tmp_path / "data" / "views" / "views.sqlite", tmp_path / "data" / "ledger", "2")
    return tmp_path / "data"


def test_a_digest_is_sent_and_the_address_is_shown_nowhere(data: Path, hook: Hook) -> None:
    told = real_karl(data, "post-digest", KARL_WEBHOOK_URL=hook.url)
    assert told.returncode == 0, told.stderr.decode()
    assert told.stdout.decode().splitlines()[-1] == "sent to 127.0.0.1: status 204"
    (body,) = hook.bodies
    assert body["text"].startswith("KARL, last 7 days")
    assert set(body["digest"]) >= {"agents", "findings", "routing", "version"}
    assert "Say nothing" not in json.dumps(body)
    assert "s3cret" not in karl(data, "config", KARL_WEBHOOK_URL=hook.url).stdout
    assert "http://127.0.0.1" in karl(data, "config", KARL_WEBHOOK_URL=hook.url).stdout


def test_a_dry_run_needs_no_address_and_prints_the_body(data: Path) -> None:
    told = karl(data, "post-digest", "--dry-run", "--form", "discord")
    assert told.exit_code == 0, told.output
    body = json.loads(told.stdout)
    assert body["allowed_mentions"] == {"parse": []}
    assert body["content"].startswith("KARL, last 7 days")


def test_without_an_address_it_is_a_misuse(data: Path) -> None:
    told = real_karl(data, "post-digest")
    assert told.returncode == 2
    assert b"KARL_WEBHOOK_URL is not set" in told.stderr


def test_nothing_is_sent_when_only_worse_is_asked_for_and_nothing_is(data: Path, hook: Hook) -> None:
    told = karl(data, "post-digest", "--if-worse", "--json", KARL_WEBHOOK_URL=hook.url)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == {"form": "json", "sent": False, "worse": False}
    assert not hook.bodies


def test_a_webhook_that_refuses_ends_the_command_with_1(data: Path, hook: Hook) -> None:
    hook.answers = [(404, {})]
    told = real_karl(data, "post-digest", KARL_WEBHOOK_URL=hook.url)
    assert told.returncode == 1
    assert b"the webhook at 127.0.0.1 did not take it: status 404" in told.stderr
    assert b"s3cret" not in told.stderr
    assert len(hook.bodies) == 1


def test_a_busy_webhook_is_asked_again_when_it_says_so(hook: Hook) -> None:
    hook.answers = [(429, {"Retry-After": "7"}), (503, {}), (200, {})]
    waits: list[float] = []
    assert webhook.post(hook.url, {}, waits.append) == 200
    assert waits == [7.0, 2.0]


def test_a_webhook_that_stays_busy_is_given_up(hook: Hook) -> None:
    hook.answers = [(500, {})]
    with pytest.raises(KarlError, match="status 500"):
        webhook.post(hook.url, {}, lambda _: None)
    assert len(hook.bodies) == webhook.TRIES


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    hook.answers = [(302, {"Location": hook.url})]
    with pytest.raises(KarlError, match="status 302"):
        webhook.post(hook.url, {}, lambda _: None)
    assert len(hook.bodies) == 1


def test_nobody_there_is_an_error_that_names_the_host_alone() -> None:
    with pytest.raises(KarlError, match=r"the webhook at 127\.0\.0\.1 did not take it: ConnectError"):
        webhook.post("http://127.0.0.1:9/s3cret", {}, lambda _: None)


@pytest.mark.parametrize("url", ["", "ftp://x/y", "no url", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        webhook.post(url, {}, lambda _: None)


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://discord.com/api/webhooks/1/x", "discord"), ("https://ptb.discord.com/api/x", "discord"),
        ("https://hooks.slack.com/services/x", "slack"), ("https://discord.com.example.org/x", "json"),
    ],
)  # fmt: skip
def test_the_form_follows_from_the_host(url: str, form: str) -> None:
    assert webhook.form_of(url) == form


def test_a_text_is_cut_to_what_discord_takes_and_escaped_for_slack() -> None:
    assert len(webhook.body_of("discord", "x" * 5000, None)["content"]) == 2000
    assert webhook.body_of("slack", "<!channel> & co", None) == {"text": "&lt;!channel&gt; &amp; co"}

"""Events over HTTP: real requests to a real `karl ship`, and what is in the spool after the answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from karl.errors import Refused
from karl.settings import Settings
from producers import http as module
from producers import http_request
from producers.hook import hook_url, is_ours
from producers.http import BODY_MAX, Endpoint, is_listening, token_of
from producers.spool import Spool
from tests.cli.running import KARL, environ
from tests.conftest import wait_until

EVENT = {"session_id": "s-1", "hook_event_name": "Stop"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ship:
    """A `karl ship` whose Redis is away, so that the spool keeps what it takes."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.data = folder
        self.port = port or free_port()
        self.spool = Spool(folder / "spool")
        variables = {**os.environ, **environ(folder, KARL_HTTP_PORT=str(self.port))}
        variables["KARL_REDIS_URL"] = f"unix://{folder}/nobody.sock"
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [KARL, "ship"], env={k: v for k, v in variables.items() if v is not None}, stderr=log
            )

    def ready(self) -> Ship:
        wait_until(lambda: is_listening(self.port), f"port {self.port} is open: {self.log.read_text()}")
        return self

    @property
    def token(self) -> str:
        return (self.data / "http.token").read_text().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(20)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def headers(self, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.token}", **named}

    def post(
        self, body: object, agent: str = "claude-code", method: str = "POST", **headers: str
    ) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with Connection(self.port) as connection:
            connection.request(method, f"/v1/events/{agent}?karl-hook=1", data, self.headers(**headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(item.path.read_bytes()) for item in self.spool.scan(100_000)]

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; give all that comes back until the other side ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while more := connection.recv(65536):
                answer += more
            return answer

    def head(self, *lines: str, host: str | None = None) -> bytes:
        first = "POST /v1/events/codex HTTP/1.1"
        known = (f"Host: {host or f'localhost:{self.port}'}", f"Authorization: Bearer {self.token}")
        return "\r\n".join((first, *known, *lines, "", "")).encode()


class Connection(http.client.HTTPConnection):
    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    with Ship(tmp_path_factory.mktemp("http") / "karl") as made:
        yield made.ready()
        assert made.end() == 0


@pytest.fixture
def ship(running: Ship) -> Iterator[Ship]:
    yield running
    running.spool.remove(running.spool.scan(100_000))
    running.spool.switch_on()
    running.spool.clear_full()


def test_a_payload_is_in_the_spool_as_it_was_sent_and_the_answer_has_no_body(ship: Ship) -> None:
    data = b' {"session_id": "s-1",  "hook_event_name":"Stop"}\n'
    assert ship.post(data) == (200, b"")
    (item,) = ship.spool.scan(10)
    assert (item.agent, item.path.read_bytes()) == ("claude-code", data)
    assert stat.S_IMODE(item.path.stat().st_mode) == 0o600


def test_an_array_becomes_an_event_each_in_its_order(ship: Ship) -> None:
    events = [{**EVENT, "n": number} for number in range(200)]
    assert ship.post(events, agent="codex") == (200, b"")
    assert ship.taken() == events
    assert ship.post([]) == (200, b"")
    assert len(ship.taken()) == 200


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with Ship(tmp_path / "karl") as ship:
        ship.ready()
        for number in range(20):
            assert ship.post({**EVENT, "n": number})[0] == 200
        ship.end(signal.SIGKILL)
    assert [event["n"] for event in ship.taken()] == list(range(20))


def test_one_connection_takes_many_events_in_order(ship: Ship) -> None:
    with Connection(ship.port) as connection:
        for number in range(50):
            connection.request("POST", "/v1/events/x", json.dumps({**EVENT, "n": number}), ship.headers())
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
    assert [event["n"] for event in ship.taken()] == list(range(50))


def test_a_body_may_come_in_chunks(ship: Ship) -> None:
    with Connection(ship.port) as connection:
        pieces = (piece.encode() for piece in ('{"session_id": "s",', ' "hook_event_name"', ': "Stop"}'))
        connection.request("POST", "/v1/events/x", pieces, ship.headers(), encode_chunked=True)
        assert connection.getresponse().status == 200
    assert ship.taken() == [{"session_id": "s", "hook_event_name": "Stop"}]


def test_requests_may_follow_each_other_without_waiting(ship: Ship) -> None:
    body = b'{"a":1}'
    one = ship.head("Content-Length: 7") + body
    chunked = ship.head("Transfer-Encoding: chunked") + b"3;x=y\r\n" + body[:3] + b"\r\n4\r\n" + body[3:]
    answer = ship.raw(one + chunked + b"\r\n0\r\nTrailer: x\r\n\r\n" + one)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert len(ship.taken()) == 3


def test_http_1_0_is_answered_and_ended(ship: Ship) -> None:
    answer = ship.raw(ship.head("Content-Length: 2").replace(b"HTTP/1.1", b"HTTP/1.0") + b"{}")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(ship: Ship) -> None:
    answer = ship.raw(ship.head("Content-Length: 2", "Expect: 100-continue") + b"{}")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_whoever_has_no_token_is_refused(ship: Ship) -> None:
    for wrong in ("", "Bearer", "Bearer x", ship.token, f"Basic {ship.token}", f"Bearer {ship.token}é"):
        status, text = ship.post(EVENT, Authorization=wrong)
        assert status == 401
        assert ship.token.encode() not in text
    assert ship.taken() == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:1", "0.0.0.0", ""])
def test_another_host_is_refused(ship: Ship, host: str) -> None:
    assert ship.post(EVENT, Host=host)[0] == 403
    assert ship.taken() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machine_may_be_named_in_any_way(ship: Ship, host: str) -> None:
    assert ship.post(EVENT, Host=host)[0] == 200
    assert ship.post(EVENT, Host=f"{host}:{ship.port}")[0] == 200


def test_a_page_in_a_browser_is_given_no_leave(ship: Ship) -> None:
    with Connection(ship.port) as connection:
        wants = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
        connection.request("OPTIONS", "/v1/events/x", headers=wants)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 401
        assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "agent", "body", "headers", "status"),
    [
        ("GET", "x", b"", {}, 405),
        ("PUT", "x", b"{}", {}, 405),
        ("POST", "", b"{}", {}, 404),
        ("POST", "../x", b"{}", {}, 404),
        ("POST", "A", b"{}", {}, 404),
        ("POST", "x" * 33, b"{}", {}, 404),
        ("POST", "x", b"", {}, 400),
        ("POST", "x", b" \n", {}, 400),
        ("POST", "x", b"[{]", {}, 400),
        ("POST", "x", b"[" * 100_000, {}, 400),
        ("POST", "x", b"{}", {"Content_Encoding": "gzip"}, 415),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    ship: Ship, method: str, agent: str, body: bytes, *, headers: dict[str, str], status: int
) -> None:
    found, text = ship.post(body, agent, method, **headers)
    assert found == status
    assert text
    assert ship.taken() == []


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        (["Content-Length: 2", "Content-Length: 2"], b"{}", 400),
        (["Content-Length: 2", "Transfer-Encoding: chunked"], b"{}", 400),
        (["Transfer-Encoding: gzip, chunked"], b"{}", 400),
        (["Content-Length: -2"], b"{}", 400),
        (["Content-Length: 2", "Host: localhost"], b"{}", 400),
        (["Content-Length: 2", " folded: x"], b"{}", 400),
        (["Content-Length: 2", "x\x01y: z"], b"{}", 400),
        ([], b"{}", 411),
        (["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n", 400),
        (["Transfer-Encoding: chunked"], b"2\r\n{}xx0\r\n\r\n", 400),
        ([f"Content-Length: {BODY_MAX + 1}"], b"{}", 413),
        (["Transfer-Encoding: chunked"], b"ffffffff\r\n{}", 413),
        (["Long: " + "x" * 40_000], b"", 431),
    ],
)
def test_what_could_be_read_in_two_ways_or_is_too_large_is_refused(
    ship: Ship, lines: list[str], body: bytes, status: int
) -> None:
    assert ship.raw(ship.head(*lines) + body).startswith(f"HTTP/1.1 {status} ".encode())
    assert ship.taken() == []


@pytest.mark.parametrize(
    "data", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"]
)
def test_what_is_no_http_is_refused(ship: Ship, data: bytes) -> None:
    assert ship.raw(data).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_breaks_off_leaves_nothing(ship: Ship) -> None:
    assert ship.raw(ship.head("Content-Length: 100") + b'{"a":') == b""
    assert ship.raw(ship.head("Transfer-Encoding: chunked") + b'5\r\n{"a":\r\n') == b""
    assert ship.taken() == []


def test_a_large_event_is_taken_and_a_larger_one_is_told_so(ship: Ship) -> None:
    large = json.dumps({**EVENT, "text": "x" * (8 << 20)}).encode()
    assert ship.post(large)[0] == 200
    assert ship.spool.scan(1)[0].size == len(large)
    status, text = ship.post(b" " * (BODY_MAX + 1))
    assert (status, b"64 MiB" in text) == (413, True)


def test_where_the_hook_does_nothing_so_does_this(ship: Ship) -> None:
    ship.spool.switch_off()
    assert ship.post(EVENT) == (200, b"")
    ship.spool.switch_on()
    assert ship.taken() == []
    assert ship.post(EVENT) == (200, b"")
    assert len(ship.taken()) == 1


def test_slow_clients_do_not_hold_others(ship: Ship) -> None:
    slow = [socket.create_connection(("127.0.0.1", ship.port), timeout=20) for _ in range(100)]
    try:
        for at, connection in enumerate(slow):
            connection.sendall(ship.head("Content-Length: 100")[: 10 + at] if at % 2 else b"P")
        assert [ship.post(EVENT)[0] for _ in range(10)] == [200] * 10
    finally:
        for connection in slow:
            connection.close()


def test_many_at_once_lose_nothing(ship: Ship) -> None:
    statuses: list[int] = []

    def send(worker: int) -> None:
        for number in range(25):
            statuses.append(ship.post({**EVENT, "worker": worker, "n": number})[0])

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 200
    by_worker: dict[int, list[int]] = {}
    for event in ship.taken():
        by_worker.setdefault(event["worker"], []).append(event["n"])
    assert by_worker == {worker: list(range(25)) for worker in range(8)}


def test_a_port_that_is_taken_is_said_and_taken_once_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = Endpoint(spool, other.getsockname()[1], "t" * 20)
        thread = threading.Thread(target=endpoint.run)
        thread.start()
        wait_until(lambda: "is not to be had" in caplog.text, "the trouble is logged")
    wait_until(lambda: is_listening(endpoint._port), "the port is taken")
    endpoint.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert caplog.text.count("is not to be had") == 1


def test_the_shipper_ships_while_its_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with Ship(tmp_path / "karl", other.getsockname()[1]) as ship:
            wait_until(lambda: "events stay in the spool" in ship.log.read_text(), "it tries to ship")
            wait_until(lambda: "is not to be had" in ship.log.read_text(), "the trouble is logged")
            assert ship.end() == 0


def test_the_end_does_not_wait_for_a_silent_connection(tmp_path: Path) -> None:
    with (
        Ship(tmp_path / "karl").ready() as ship,
        socket.create_connection(("127.0.0.1", ship.port)) as silent,
        Connection(ship.port) as kept,
    ):
        silent.sendall(b"PO")
        kept.request("POST", "/v1/events/x", b"{}", ship.headers())
        assert kept.getresponse().status == 200
        assert ship.end() == 0


def test_the_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "karl")
    token = token_of(settings)
    path = tmp_path / "karl" / "http.token"
    assert token_of(settings) == token == path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["http.token"]
    path.chmod(0o644)
    assert token_of(settings) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_begin_together_agree_on_the_token(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from karl.settings import Settings;"
        "from producers.http import token_of; print(token_of(Settings(data_dir=Path(sys.argv[1]))))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_a_token_of_the_environment_counts_and_a_useless_one_is_refused(tmp_path: Path) -> None:
    assert token_of(Settings(data_dir=tmp_path, http_token="a" * 20)) == "a" * 20
    with pytest.raises(Refused, match="KARL_HTTP_TOKEN holds no token"):
        token_of(Settings(data_dir=tmp_path, http_token="short"))
    (tmp_path / "http.token").write_text("two words in it, so no token")
    with pytest.raises(Refused, match="may be removed"):
        token_of(Settings(data_dir=tmp_path))


def test_the_address_is_known_as_ours_again() -> None:
    assert is_ours(hook_url(4517, "claude-code"))
    assert not is_ours("http://127.0.0.1:4517/v1/events/claude-code")
    assert not is_ours("http://example.org:4517/v1/events/claude-code?karl-hook=1")


def test_a_client_that_is_too_slow_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", 0.1)
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    endpoint = Endpoint(spool, free_port(), "t" * 20)
    thread = threading.Thread(target=endpoint.run)
    thread.start()
    wait_until(lambda: is_listening(endpoint._port), "the port is open")
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", endpoint._port), timeout=30) as slow:
        slow.sendall(b"POST /v1")
        assert slow.recv(100) == b""
    assert time.monotonic() - started < 20
    endpoint.stop()
    thread.join(20)


def test_blanks_in_a_header_cost_nothing(ship: Ship) -> None:
    many = "X: a" + " " * 30_000 + "b"
    started = time.process_time()
    found = http_request._headers([many.encode()])
    assert time.process_time() - started < 1  # 30,000 times the work, where each blank is tried again
    assert found["x"] == many[3:]
    assert ship.raw(ship.head(many, "Content-Length: 2") + b"{}").startswith(b"HTTP/1.1 200")


def test_who_is_silent_makes_room_for_who_speaks(ship: Ship) -> None:
    silent = [socket.create_connection(("127.0.0.1", ship.port), timeout=20) for _ in range(300)]
    try:
        assert [ship.post(EVENT)[0] for _ in range(10)] == [200] * 10
    finally:
        for connection in silent:
            connection.close()


def test_the_end_is_quiet_about_connections_that_are_kept(tmp_path: Path) -> None:
    with Ship(tmp_path / "karl").ready() as ship, Connection(ship.port) as kept:
        kept.request("POST", "/v1/events/x", b"{}", ship.headers())
        assert kept.getresponse().status == 200
        assert ship.end() == 0
        assert "Traceback" not in ship.log.read_text()


@pytest.mark.parametrize(("member", "status"), [(b"{}", 413), (b"1", 400)])
def test_an_array_of_too_many_is_refused_whole(ship: Ship, member: bytes, status: int) -> None:
    array = b"[" + b",".join([member] * (module.MEMBERS_MAX + 1)) + b"]"
    assert ship.post(array)[0] == status
    assert ship.taken() == []


def test_commas_within_events_are_no_events(ship: Ship) -> None:
    wide = {**EVENT, "list": [1] * module.MEMBERS_MAX}
    assert ship.post([wide, EVENT])[0] == 200
    assert len(ship.taken()) == 2

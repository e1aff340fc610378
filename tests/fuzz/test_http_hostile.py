"""The endpoint under attack: raw bytes over a real socket to a real `karl ship`, with and without the token."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.producers.test_http import EVENT, Ship

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_BODY = b'{"session_id":"s-1","hook_event_name":"Stop"}'
#: A second request that a confused reader would take out of the first one's body.
_HIDDEN = b"POST /v1/events/smuggled HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    with Ship(tmp_path_factory.mktemp("http") / "karl") as made:
        yield made.ready()
        assert made.end() == 0
        assert "Traceback" not in made.log.read_text()


@pytest.fixture
def ship(running: Ship) -> Iterator[Ship]:
    yield running
    running.spool.remove(running.spool.scan(100_000))


def agents(ship: Ship) -> set[str]:
    return {item.agent for item in ship.spool.scan(100_000)}


def told(ship: Ship, text: bytes) -> bytes:
    return text.replace(b"PORT", str(ship.port).encode()).replace(b"TOKEN", ship.token.encode())


def sent(ship: Ship, data: bytes) -> list[int]:
    """Send bytes as they are; give the statuses of all answers. The connection may be reset under us."""
    with socket.create_connection(("127.0.0.1", ship.port), timeout=20) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                answer += more
        except (BrokenPipeError, ConnectionResetError):
            pass
    return [int(found) for found in _STATUS.findall(answer)]


#: What a request is made of, whole and spoiled.
_PIECES = (
    b"POST ", b"GET ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"/v1/events/codex", b"http://localhost:PORT/v1/events/codex",
    b"/v1/events/../../x", b"/v1/events/%2e%2e", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0",
    b"Host: localhost:PORT\r\n", b"Host: evil.example\r\n", b"Authorization: Bearer TOKEN\r\n", b"Authorization: Bearer x\r\n",
    b"Content-Length: 45\r\n", b"Content-Length: 0\r\n", b"Content-Length: +45\r\n", b"Content-Length: 4_5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: keep-alive, Upgrade\r\n", b"X: a\r\n b\r\n", b"Origin: https://evil.example\r\n",
    b"2d\r\n", b"0\r\n\r\n", b"0;x=y\r\n", b"-1\r\n", b"0x2d\r\n", b"ffffffffffffffff\r\n", _BODY, b"{}", b"[{}]", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\xff" * 20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(_PIECES) | st.binary(max_size=20), min_size=1, max_size=14))
def test_any_bytes_are_answered_or_let_go_and_what_was_taken_is_in_the_spool(
    ship: Ship, parts: list[bytes]
) -> None:
    ship.spool.remove(ship.spool.scan(100_000))
    statuses = sent(ship, told(ship, b"".join(parts)))
    assert all(status in {100, 200, 400, 401, 403, 404, 405, 411, 413, 415, 431} for status in statuses)
    taken = ship.spool.scan(100_000)
    assert bool(taken) <= (200 in statuses)
    assert {item.agent for item in taken} <= {"codex"}


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 200\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2, 200\r\n",
        b"Content-Length: 2\r\nContent-Length : 200\r\n",
        b"Content-Length:\r\n 200\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: \x00chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: 2\rTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_no_request_is_smuggled_in_another_ones_body(ship: Ship, headers: bytes) -> None:
    head = b"POST /v1/events/codex HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: Bearer TOKEN\r\n"
    for body in (b"{}", b"0\r\n\r\n", b""):
        statuses = sent(ship, told(ship, head + headers + b"\r\n" + body + _HIDDEN))
        assert statuses == [400]
    assert agents(ship) == set()


@pytest.mark.parametrize(
    "line",
    [
        b"POST http://localhost:PORT/v1/events/codex HTTP/1.1",
        b"POST //v1/events/codex HTTP/1.1",
        b"POST /v1/events/../events/codex HTTP/1.1",
        b"POST /v1/events/..%2f..%2fetc HTTP/1.1",
        b"POST /v1/events/codex%00 HTTP/1.1",
        b"POST /v1/events/.ship.lock HTTP/1.1",
        b"POST /v1/events/codex/../../../../tmp/x HTTP/1.1",
        b"POST /v1/events/CODEX HTTP/1.1",
        b"POST /v1/events/" + b"a" * 33 + b" HTTP/1.1",
        b"POST * HTTP/1.1",
    ],
)
def test_no_target_names_another_file(ship: Ship, line: bytes) -> None:
    rest = b"\r\nHost: localhost:PORT\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 2\r\n\r\n{}"
    assert sent(ship, told(ship, line + rest)) == [404]
    assert agents(ship) == set()


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "[::1]", "localhost:1", "", "localhost:PORT, evil.example", "evil@localhost:PORT"])  # fmt: skip
def test_a_name_that_was_rebound_to_this_machine_is_refused_even_with_the_token(
    ship: Ship, host: str
) -> None:
    named = host.replace("PORT", str(ship.port))
    assert sent(ship, ship.head("Content-Length: 2", host=named or " ") + b"{}") == [403]
    head = b"POST /v1/events/codex HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 2\r\n\r\n{}"
    assert sent(ship, told(ship, head)) == [403]


@pytest.mark.parametrize("kind", ["silent", "half a request", "a wrong token", "a wrong host"])
def test_who_has_no_token_can_not_keep_others_out_by_taking_all_connections(ship: Ship, kind: str) -> None:
    said = {
        "silent": b"",
        "half a request": b"P",
        "a wrong token": b"POST /v1/events/x HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: Bearer no\r\n\r\n",
        "a wrong host": b"POST /v1/events/x HTTP/1.1\r\nHost: evil\r\n\r\n",
    }[kind]
    greedy = [socket.create_connection(("127.0.0.1", ship.port), timeout=20) for _ in range(300)]
    try:
        for connection in greedy:
            try:
                connection.sendall(told(ship, said))
            except OSError:  # it has made room
                continue
        assert [ship.post(EVENT)[0] for _ in range(10)] == [200] * 10
    finally:
        for connection in greedy:
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of another process is read from /proc")
def test_a_body_without_end_is_refused_before_it_fills_the_memory(ship: Ship) -> None:
    def peak_mib() -> int:
        status = Path(f"/proc/{ship.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) >> 10  # type: ignore[index]

    before = peak_mib()
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", ship.port), timeout=20) as connection:
        connection.sendall(ship.head("Transfer-Encoding: chunked"))
        answer = b""
        try:
            for _ in range(100):
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        with suppress(ConnectionResetError):
            answer = connection.recv(1000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert peak_mib() - before < 200
    assert ship.taken() == []


def test_giant_heads_are_refused(ship: Ship) -> None:
    for head in (b"POST /" + b"a" * 100_000, b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"X" * 200_000):
        assert sent(ship, head)[:1] in ([431], [400], [])
    assert ship.post(EVENT)[0] == 200


def test_nothing_but_the_whole_token_is_enough(ship: Ship) -> None:
    for wrong in (ship.token[:-1], ship.token + "x", ship.token.swapcase(), "", ship.token[:-1] + "\xe9"):
        head = f"POST /v1/events/codex HTTP/1.1\r\nHost: localhost:{ship.port}\r\nAuthorization: Bearer {wrong}\r\nContent-Length: 2\r\n\r\n{{}}"
        assert sent(ship, head.encode("latin-1")) == [401]

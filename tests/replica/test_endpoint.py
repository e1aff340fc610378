"""What a source answers to whom: nobody without the token, nothing but segments, and never for long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import httpx
import msgspec
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import LineDown, Refused, Unreadable
from karl.replica import endpoint, serve
from karl.replica.client import Client
from karl.replica.protocol import AHEAD, PREFIX, Ahead, Asked, Listing, read_target, target_of
from karl.replica.serve import Served, Serving, Tls
from tests.conftest import wait_until
from tests.replica.conftest import TOKEN, Origin

FIRST = f"{PREFIX}/0000000001-000000.jsonl"


def ask(ledger: Origin, target: str, token: str = TOKEN, method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, ledger.url + target, headers=headers, trust_env=False)


def raw(ledger: Origin, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", ledger.source_port), timeout=10) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    return answer


@pytest.mark.parametrize("token", ["", "wrong-token-entirely", TOKEN + "x", TOKEN[:-1], "é" * 20])
def test_without_the_token_nothing_is_said(ledger: Origin, token: str) -> None:
    for target in (PREFIX, FIRST, "/", "/etc/passwd"):
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        answer = raw(ledger, head.encode())
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"jsonl" not in answer


def test_a_client_with_another_token_is_told_what_to_do(ledger: Origin) -> None:
    with ledger.client("another-token-0000") as client, pytest.raises(LineDown, match="KARL_LEDGER_TOKEN"):
        client.listing()


@pytest.mark.parametrize(
    "target",
    [
        "/", "/metrics", f"{PREFIX}/", f"{PREFIX}/LOCK", f"{PREFIX}/../LOCK", f"{PREFIX}/..%2fLOCK",
        f"{PREFIX}/0000000001-000000.jsonl/..", f"{PREFIX}//etc/passwd", f"{PREFIX}/0000000001-000000.jsonl.torn-1",
        f"{PREFIX}/0000000001-000000.jsonl%00", f"{FIRST}?from=-1", f"{FIRST}?from=1e3", f"{FIRST}?from=٣",
        f"{FIRST}?from=0&from=1", f"{FIRST}?head=abc", f"{FIRST}?wait=-1", f"{FIRST}?wait=nan", f"{FIRST}?wait=1e9",
        f"{FIRST}?follower=a%20b", f"{FIRST}?follower={'x' * 65}", f"{FIRST}?x=1", f"{FIRST}?from", f"{FIRST}?" + "a=1&" * 20,
    ],
)  # fmt: skip
def test_what_is_no_request_for_a_segment_is_refused(ledger: Origin, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    assert raw(ledger, head.encode()).split(b" ")[1] == b"400"


def test_a_segment_that_does_not_count_is_not_there(ledger: Origin) -> None:
    (ledger.folder / "0000000009-000000.jsonl").write_bytes(b"{}\n")
    assert ask(ledger, f"{PREFIX}/0000000009-000000.jsonl").status_code == 404
    assert ask(ledger, f"{PREFIX}/0000000001-000009.jsonl").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_nothing_but_get_is_understood(ledger: Origin, method: str) -> None:
    assert ask(ledger, PREFIX, method=method).status_code == 501


def test_a_body_on_a_request_is_refused(ledger: Origin) -> None:
    head = f"GET {PREFIX} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 5\r\n\r\nabcde"
    assert raw(ledger, head.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x00" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 300 + b"\r\n"],
)  # fmt: skip
def test_nonsense_is_answered_or_cut_off_and_others_are_served(ledger: Origin, request_bytes: bytes) -> None:
    answer = raw(ledger, request_bytes)
    assert not answer or b" 200 " not in answer[:20]
    assert ask(ledger, PREFIX).status_code == 200


def test_who_sends_its_request_too_slowly_is_cut_off(ledger: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "HEAD_S", 0.2)
    with socket.create_connection(("127.0.0.1", ledger.source_port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                try:
                    client.sendall(b"a")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            pass
        finally:
            stop.set()
            dripping.join()


def test_more_clients_than_allowed_are_turned_away_and_room_is_made_again(
    ledger: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", ledger.source_port)) for _ in range(endpoint.CLIENTS_MAX)
    ]
    try:
        wait_until(lambda: len(ledger.serving._endpoint.open) == endpoint.CLIENTS_MAX, "all are connected")
        with pytest.raises(httpx.TransportError):
            ask(ledger, PREFIX)
    finally:
        for one in silent:
            one.close()
    wait_until(lambda: not ledger.serving._endpoint.open, "they are gone")
    assert ask(ledger, PREFIX).status_code == 200


def test_a_long_wait_ends_with_news_and_with_the_end_of_serving(ledger: Origin) -> None:
    with ledger.client() as client:
        end = msgspec.json.decode(ask(ledger, PREFIX).content, type=Listing)
        place = Asked(end.segments[0].segment, end.segments[0].length, end.end.head, 20.0, None)
        later = threading.Timer(0.05, ledger.append)
        later.start()
        _, data = client.ask(place)
        later.join()
        assert data.endswith(b"}\n")
        ahead, _ = client.ask(place._replace(wait_s=0.0))
        at = place._replace(offset=ahead.length, head=ahead.end.head)
        ending = threading.Timer(0.05, ledger.serving.stop)
        ending.start()
        with contextlib.suppress(LineDown):  # it may have been cut off
            client.ask(at)
        ending.join()


def test_a_source_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def answer() -> None:
            client, _ = taken.accept()
            with client:
                client.recv(10_000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        answering = threading.Thread(target=answer)
        answering.start()
        with (
            Client(f"http://127.0.0.1:{port}", TOKEN) as client,
            pytest.raises(LineDown, match="as a ledger does"),
        ):
            client.listing()
        answering.join()


@pytest.mark.parametrize(
    "url", ["", "ledger", "ftp://x", "http://", "http://x:99999", "http://x?y=1", "file:///etc"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="KARL_LEDGER_PORT"):
        Client(url, TOKEN)


def test_a_port_that_is_taken_is_waited_for(
    ledger: Origin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "RETRY_S", 0.02)
    port = ledger.source_port
    second = Serving(ledger.folder, Served("127.0.0.1", port, TOKEN))
    wait_until(lambda: "nobody can follow" in caplog.text, "it says so")
    ledger.serving.stop()
    wait_until(lambda: second.port == port, "it gets the port")
    second.stop()


def test_with_a_certificate_the_ledger_is_served_under_tls_only(
    ledger: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    for name, blob in (
        ("cert.pem", issued.cert_chain_pems[0]),
        ("key.pem", issued.private_key_pem),
        ("ca.pem", ca.cert_pem),
    ):
        blob.write_to_path(str(tmp_path / name))
    serving = Serving(
        ledger.folder, Served("127.0.0.1", 0, TOKEN, Tls(tmp_path / "cert.pem", tmp_path / "key.pem"))
    )
    wait_until(lambda: serving.port, "it listens")
    ledger.append(1)
    serving.source.confirm(ledger.writer.segment, (ledger.folder / ledger.writer.segment).stat().st_size)
    try:
        with (
            Client(f"https://localhost:{serving.port}", TOKEN) as client,
            pytest.raises(LineDown, match="certificate"),
        ):
            client.listing()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with Client(f"https://localhost:{serving.port}", TOKEN) as client:
            assert client.listing().end.seq == 2
        with Client(f"http://localhost:{serving.port}", TOKEN) as client, pytest.raises(LineDown):
            client.listing()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", serving.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(f"GET {PREFIX} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert client.recv(15).startswith(b"HTTP/1.1 200")
    finally:
        serving.stop()


_segments = st.builds("{:010d}-{:06d}.jsonl".format, st.integers(0, 10**10 - 1), st.integers(0, 10**6 - 1))
_asked = st.builds(
    Asked,
    _segments,
    st.integers(0, 10**15 - 1),
    st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(0, 20_000).map(lambda ms: ms / 1000),
    st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
)


@given(_asked)
def test_a_request_is_understood_as_it_was_meant(asked: Asked) -> None:
    assert read_target(target_of(asked)) == asked


@given(st.text() | st.text("?&=%./-0123456789abcdefjlnorswmit").map(lambda rest: f"{PREFIX}/{rest}"))
def test_any_target_is_understood_or_refused(target: str) -> None:
    try:
        asked = read_target(target)
    except Unreadable:
        return
    assert asked is None or "/" not in asked.segment


def test_the_end_of_a_segment_names_the_next_one(tmp_path: Path) -> None:
    ledger = Origin(tmp_path / "ledger", segment_max_bytes=1500)
    ledger.append(3)
    found = msgspec.json.decode(ask(ledger, PREFIX).content, type=Listing)
    assert len(found.segments) > 1
    first, second = found.segments[:2]
    answer = ask(ledger, f"{PREFIX}/{first.segment}?from={first.length}&head={second.prev}")
    ahead = msgspec.json.decode(answer.headers[AHEAD], type=Ahead)
    assert (answer.content, ahead.next, ahead.length) == (b"", second.segment, first.length)
    assert ahead.behind == sum(part.length for part in found.segments[1:])
    ledger.end()

"""TLS to the server with a CA of one's own: it works whole, and whatever is wrong with it is said, and nothing goes out."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from redis.exceptions import ConnectionError as NoConnection

from karl.errors import LineDown
from karl.stream.connect import connect
from karl.stream.server import Server, socket_path
from producers.hook import hook_command
from tests.cli.running import karl
from tests.conftest import ROOT, wait_until
from workers.processes import LINE

DAY = dt.timedelta(days=1)


class Scene:
    """A server, a CA, certificates good and bad, and what stands before the server with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server(folder / "server")
        self.server.start()
        self._running: list[subprocess.Popen[bytes]] = []
        now = dt.datetime.now(dt.UTC)
        ours, other = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(str(folder / "ca.crt"))
        other.cert_pem.write_to_path(str(folder / "other.crt"))
        for name, made in {
            "server": ours.issue_cert("localhost", not_after=now + 400 * DAY),
            "ending": ours.issue_cert("localhost", not_after=now + 3 * DAY),
            "expired": ours.issue_cert("localhost", not_before=now - 9 * DAY, not_after=now - DAY),
            "elsewhere": ours.issue_cert("redis.example"),
            "machine": ours.issue_cert("agents-1.example"),
            "stranger": other.issue_cert("agents-1.example"),
        }.items():
            made.private_key_and_cert_chain_pem.write_to_path(str(self.pem(name)))
        self.ports = {
            name: self.front(self.pem(name)) for name in ("server", "ending", "expired", "elsewhere")
        } | {"strict": self.front(self.pem("server"), folder / "ca.crt")}

    def pem(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def front(self, certificate: Path, *clients_ca: Path) -> int:
        """Put TLS before the server; gives the port."""
        words = ["127.0.0.1", "0", socket_path(self.folder / "server"), certificate, *clients_ca]
        made = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.machines.tls_front", *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        self._running.append(made)
        assert made.stdout
        return int(made.stdout.readline())

    def url(self, port: str, ca: str = "ca", **words: str) -> str:
        told = {"ssl_ca_certs": str(self.folder / f"{ca}.crt"), **words}
        query = "&".join(f"{name}={value}" for name, value in told.items() if value)
        return f"rediss://localhost:{self.ports[port]}/0?{query}"

    def close(self) -> None:
        for one in self._running:
            one.kill()
            one.wait()
            assert one.stdout
            one.stdout.close()
        self.server.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("tls"))
    yield made
    made.close()


def doctor(url: str, folder: Path) -> str:
    return karl(folder, "doctor", "--only", "redis", KARL_REDIS_URL=url).output


def encryption(url: str, folder: Path) -> str:
    """Give the line in which the doctor speaks of it."""
    return next(line for line in doctor(url, folder).splitlines() if " encryption" in line)


def said(url: str) -> str:
    """Give what a connection is refused with."""
    try:
        client = connect(url)
    except LineDown as error:
        return str(error)
    try:
        client.ping()
    except NoConnection as error:
        return str(error)
    finally:
        client.close()
    return "connected"


def test_a_whole_line_runs_under_tls_with_a_certificate_for_each_machine(
    scene: Scene, tmp_path: Path
) -> None:
    mine = str(scene.pem("machine"))
    url = scene.url("strict", ssl_certfile=mine, ssl_keyfile=mine)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ = {**clean, "KARL_DATA_DIR": str(tmp_path), "KARL_REDIS_URL": url}
    running = []
    with (tmp_path / "log").open("wb") as log:
        for process in LINE:
            words = [sys.executable, "-P", "-m", "karl.cli", *process.words]
            if process.name in ("ship", "sessions", "ledger"):
                running.append(subprocess.Popen(words, env=environ, stderr=log))
    spool = tmp_path / "spool"
    wait_until(spool.exists, "the shipper works")
    for kind in ("UserPromptSubmit", "Stop"):
        payload = f'{{"session_id": "s", "hook_event_name": "{kind}", "prompt": "x"}}'
        subprocess.run(
            ["/bin/sh", "-c", hook_command(spool, "claude-code")], input=payload.encode(), check=True
        )
    ledger = tmp_path / "ledger"
    wait_until(
        lambda: any(b'"traj_' in path.read_bytes() for path in ledger.glob("*.jsonl")), "the turn is on disk"
    )
    for one in running:
        one.terminate()
    assert [one.wait(30) for one in running] == [0, 0, 0]
    assert " E " not in (tmp_path / "log").read_text()


#: What is wrong: a port, words of the URL, and what is said of it.
WRONG = {
    "another CA": ("server", {"ca": "other"}, "from another CA than those trusted here; name the CA's file"),
    "no CA": ("server", {"ssl_ca_certs": ""}, "name the CA's file in KARL_REDIS_URL: ?ssl_ca_certs=PATH"),
    "expired": ("expired", {}, "has expired; give the server a new one"),
    "name": ("elsewhere", {}, "is for another name; write a name of the certificate"),
    "no certificate": ("strict", {}, "ssl_certfile"),
    "no such CA": ("server", {"ssl_ca_certs": "/nowhere/ca.crt"}, "/nowhere/ca.crt: No such file"),
    "no PEM": ("server", {"ssl_ca_certs": "/proc/version"}, "no certificate in PEM there"),
    "no key": ("server", {"ssl_certfile": "/proc/version"}, "no certificate and its key in PEM there"),
    "no such check": ("server", {"ssl_cert_reqs": "perhaps"}, "perhaps"),
    "no such version": ("server", {"ssl_min_version": "9"}, "ssl_min_version"),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_wrong_is_said_with_what_to_do_and_shows_no_password(
    scene: Scene, tmp_path: Path, what: str
) -> None:
    port, words, told = WRONG[what]
    url = scene.url(port, **words).replace("//localhost", "//ship:hush@localhost")
    seen = [
        said(url),
        karl(tmp_path, "status", KARL_REDIS_URL=url).stderr,
        " ".join(doctor(url, tmp_path).split()),
    ]
    assert [told in text for text in seen] == [True, True, True], seen
    assert "hush" not in "".join(seen)
    assert "is it running" not in seen[2]


def test_a_tls_port_that_is_spoken_to_in_plain_says_so(scene: Scene, tmp_path: Path) -> None:
    url = f"redis://:hush@localhost:{scene.ports['server']}/0"
    for text in (said(url), karl(tmp_path, "status", KARL_REDIS_URL=url).stderr, doctor(url, tmp_path)):
        assert "write rediss://" in " ".join(text.split())
        assert "hush" not in text


@pytest.mark.parametrize("answers", [b"", b"-ERR unknown command\r\n"])
def test_a_plain_port_hears_neither_password_nor_event_under_tls(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bytes
) -> None:
    monkeypatch.setattr("karl.stream.connect.CONNECT_S", 0.5)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            taken, _ = listener.accept()
            with taken, contextlib.suppress(ConnectionError):
                heard.append(taken.recv(65_536))
                taken.sendall(answers)
                while piece := taken.recv(65_536):
                    heard.append(piece)

        thread = threading.Thread(target=listen)
        thread.start()
        scene.ports["plain"] = listener.getsockname()[1]
        text = said(scene.url("plain").replace("//localhost", "//ship:hush@localhost"))
        thread.join(30)
    assert "this port does not speak TLS" in text
    assert heard[0].startswith(b"\x16\x03")
    assert b"hush" not in b"".join(heard)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on PATH to be a server of another making")
@pytest.mark.parametrize(
    ("words", "certificate", "told"),
    [
        ((), "", "it wants a certificate of this machine; add ssl_certfile=PATH"),
        ((), "stranger", "it does not trust the CA of this machine's certificate"),
        (("-tls1_2",), "", "it may want a certificate of this machine"),
    ],
)
def test_a_server_that_refuses_this_machines_certificate_is_understood(
    scene: Scene, words: tuple[str, ...], certificate: str, told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        scene.ports["openssl"] = free.getsockname()[1]
    good, ca = scene.pem("server"), scene.folder / "ca.crt"
    server = subprocess.Popen(
        [
            "openssl", "s_server", "-accept", f"127.0.0.1:{scene.ports['openssl']}", "-cert", good, "-key", good,
            "-CAfile", ca, "-Verify", "1", "-verify_return_error", "-quiet", *words,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: "refused" not in said(scene.url("openssl")), "openssl listens")
        mine = str(scene.pem(certificate)) if certificate else ""
        assert told in said(scene.url("openssl", ssl_certfile=mine))
    finally:
        server.kill()
        server.communicate()


@pytest.mark.skipif(not shutil.which("openssl"), reason="deploy/certificates needs openssl on PATH")
def test_the_certificates_of_deploy_let_machines_in_and_none_of_them_passes_for_the_server(
    scene: Scene, tmp_path: Path
) -> None:
    def certificates(*words: str) -> int:
        tool = [sys.executable, str(ROOT / "deploy" / "certificates"), *words, "--folder", str(tmp_path)]
        return subprocess.run(tool, capture_output=True, timeout=60, check=False).returncode

    assert certificates("server", "localhost", "127.0.0.1") == 0
    ca = (tmp_path / "ca.crt").read_bytes()
    assert certificates("machine", "agents-1") == 0
    assert (tmp_path / "ca.crt").read_bytes() == ca
    assert [certificates("machine", name) for name in ("ca", "../x", "")] == [2, 2, 2]
    assert {path.name for path in tmp_path.glob("*.key") if path.stat().st_mode & 0o077} == set()
    for name in ("redis", "agents-1"):
        both = (tmp_path / f"{name}.key").read_bytes() + (tmp_path / f"{name}.crt").read_bytes()
        (tmp_path / f"{name}.pem").write_bytes(both)
        scene.ports[name] = scene.front(tmp_path / f"{name}.pem", tmp_path / "ca.crt")
    mine = {"ssl_certfile": str(tmp_path / "agents-1.crt"), "ssl_keyfile": str(tmp_path / "agents-1.key")}
    named = {"ssl_ca_certs": str(tmp_path / "ca.crt"), **mine}
    assert said(scene.url("redis", **named)) == "connected"
    assert "not one of a server" in said(scene.url("agents-1", **named))


def test_with_a_ca_named_no_other_is_trusted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(scene.folder / "ca.crt"))  # the system's
    assert said(scene.url("server", ssl_ca_certs="")) == "connected"
    assert "another CA" in said(scene.url("server", "other"))


def test_a_ca_that_is_replaced_on_disk_counts_from_the_next_connection_on(scene: Scene) -> None:
    named = scene.folder / "changing.crt"
    shutil.copy(scene.folder / "other.crt", named)
    client = connect(scene.url("server", "changing"))
    with pytest.raises(NoConnection, match="another CA"):
        client.ping()
    shutil.copy(scene.folder / "ca.crt", named)
    assert client.ping()
    client.close()


def test_the_doctor_says_who_could_read_along(scene: Scene, tmp_path: Path) -> None:
    good = encryption(scene.url("server"), tmp_path)
    assert "ok encryption" in good
    assert "TLSv1.3; the server's certificate ends in 400 d" in good
    assert "ends in 3 d" in encryption(scene.url("ending"), tmp_path)
    assert "warn encryption" in encryption(scene.url("ending"), tmp_path)
    assert "FAIL encryption" in encryption(scene.url("server", ssl_cert_reqs="none"), tmp_path)
    named = encryption(scene.url("elsewhere", ssl_check_hostname="false"), tmp_path)
    assert "warn encryption" in named
    assert "ok encryption" in encryption(scene.server.url, tmp_path)


def test_the_doctor_warns_of_plain_words_to_another_machine(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("karl.doctor.server.connect", lambda _url, name: connect(scene.server.url, name=name))
    seen = encryption("redis://ship:hush@10.0.0.5:6379/0", tmp_path)
    assert "warn encryption" in seen
    assert "ok encryption" in encryption("redis://127.0.0.1:6379/0", tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h/0?ssl_ca_certs=/x", "must begin with rediss://"),
        ("redis://h/0?socket_timeout=1", "socket_timeout is not for it"),
        ("rediss://u:pa?ss=hush@h/0", "write / as %2F"),
        ("redis://u:sec]hush@h/0", "it is no URL"),
        ("redis://u:hush\u2100@h/0", "it is no URL"),
    ],
)
def test_a_url_that_can_not_be_meant_is_refused_at_once_and_not_shown(url: str, told: str) -> None:
    with pytest.raises(LineDown, match="KARL_REDIS_URL can not be used") as caught:
        connect(url)
    assert told in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_password_of_a_key_is_not_shown(tmp_path: Path) -> None:
    url = "rediss://h/0?ssl_certfile=/nowhere&ssl_password=hush"
    shown = karl(tmp_path, "config", KARL_REDIS_URL=url).output + doctor(url, tmp_path)
    assert "ssl_password=***" in shown
    assert "hush" not in shown

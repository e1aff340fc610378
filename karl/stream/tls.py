"""TLS to the server: a bounded greeting, the CA that was named and no other, and words for what fails.

A URL says what to trust and what to show (docs/operations.md): `rediss://...?ssl_ca_certs=/etc/karl/ca.crt`.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from redis.connection import SSLConnection
from redis.exceptions import ConnectionError as NoConnection

#: What OpenSSL says of a certificate (X509_V_ERR_*), and what to do about it.
_CERTIFICATE = {
    9: "its certificate is not valid yet; are the clocks of both machines right?",
    10: "its certificate has expired; give the server a new one",
    18: "its certificate is signed by itself; name its CA's file in KARL_REDIS_URL: ?ssl_ca_certs=PATH",
    19: "its certificate comes from a CA that is not trusted here; name that CA's file in KARL_REDIS_URL:"
    " ?ssl_ca_certs=PATH",
    20: "its certificate comes from another CA than those trusted here; name the CA's file in KARL_REDIS_URL:"
    " ?ssl_ca_certs=PATH",
    26: "its certificate is not one of a server, but of a machine; give the server one of its own",
    62: "its certificate is for another name; write a name of the certificate into KARL_REDIS_URL",
    64: "its certificate is for another address; write a name of the certificate into KARL_REDIS_URL",
}
_NO_TLS = "this port does not speak TLS; name the server's TLS port (`tls-port` of its configuration)"
#: What a server's refusal is about, by OpenSSL's words; it may come in place of the first answer.
_REFUSALS = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of this machine; add ssl_certfile=PATH and"
    " ssl_keyfile=PATH to KARL_REDIS_URL",
    "HANDSHAKE_FAILURE": "it refuses; it may want a certificate of this machine (ssl_certfile and"
    " ssl_keyfile in KARL_REDIS_URL), or another version of TLS",
    "UNKNOWN_CA": "it does not trust the CA of this machine's certificate; ssl_certfile must come from"
    " the CA that the server trusts",
    "CERTIFICATE_EXPIRED": "this machine's certificate has expired; make a new one for ssl_certfile",
    "BAD_CERTIFICATE": "it does not take this machine's certificate; look at ssl_certfile",
    "ALERT_PROTOCOL_VERSION": "it speaks another version of TLS only",
    "UNSUPPORTED_PROTOCOL": "it speaks an older version of TLS only, which is not taken",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "PACKET_LENGTH": _NO_TLS,
    "closed by server": "it closed the connection after the greeting; it may want a certificate of this"
    " machine (ssl_certfile and ssl_keyfile in KARL_REDIS_URL), or not take the one that it was shown",
}


class Greeted(NamedTuple):
    """What is known of a connection under TLS: its version, and when the server's certificate ends.

    `ends` is as the certificate has it ("Jun  1 12:00:00 2027 GMT"); empty where none was checked.
    """

    version: str
    ends: str


class TlsConnection(SSLConnection):
    """A connection of the client library; `greeted` is set once it stands. Raises ConnectionError when made
    from files that can not be used, and later of all that goes wrong in the greeting.
    """

    greeted: Greeted | None = None

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self._context()  # a wrong path is said at once, and not taken for a server that is away

    def _wrap_socket_with_ssl(self, sock: Any) -> ssl.SSLSocket:
        context = self._context()
        sock.settimeout(self.socket_connect_timeout)  # the library would wait as long as for an answer
        try:
            wrapped = context.wrap_socket(sock, server_hostname=self.host)
        except OSError as error:
            raise NoConnection(f"no TLS with {self.host}:{self.port}: {explained(error)}") from error
        wrapped.settimeout(self.socket_timeout)
        shown: dict[str, Any] = wrapped.getpeercert() or {}
        self.greeted = Greeted(wrapped.version() or "", shown.get("notAfter", ""))
        return wrapped

    def _context(self) -> ssl.SSLContext:
        """Say what to trust and what to show, by the files as they are now."""
        _readable("ssl_ca_certs", self.ca_certs)
        _readable("ssl_ca_path", self.ca_path)
        _readable("ssl_certfile", self.certfile)
        _readable("ssl_keyfile", self.keyfile)
        try:
            # With a CA named, no other is trusted: the library's own way adds it to those of the system.
            context = ssl.create_default_context(cafile=self.ca_certs, capath=self.ca_path)
        except OSError as error:
            raise NoConnection(
                f"ssl_ca_certs={self.ca_certs}: no certificate in PEM there ({error})"
            ) from error
        context.check_hostname = self.check_hostname
        context.verify_mode = self.cert_reqs
        try:
            if self.certfile or self.keyfile:
                context.load_cert_chain(
                    self.certfile or self.keyfile, self.keyfile, self.certificate_password or ""
                )
        except OSError as error:
            what = f"ssl_certfile={self.certfile}, ssl_keyfile={self.keyfile}"
            raise NoConnection(f"{what}: no certificate and its key in PEM there ({error})") from error
        try:
            if self.ssl_min_version is not None:
                context.minimum_version = self.ssl_min_version
            if self.ssl_ciphers:
                context.set_ciphers(self.ssl_ciphers)
        except (OSError, ValueError) as error:
            raise NoConnection(f"ssl_min_version or ssl_ciphers: {error}") from error
        return context


def explained(error: Exception) -> str:
    """Say what a failure under TLS means and what to do, in one sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, f"its certificate is not good: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return f"it did not answer the greeting; {_NO_TLS}"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return f"it ended the greeting without a word; {_NO_TLS}"
    return refusal(str(error))


def refusal(text: str) -> str:
    """Say what a server's words mean by which it ended a connection under TLS; themselves where unknown."""
    return next((meaning for words, meaning in _REFUSALS.items() if words in text), text)


def _readable(word: str, path: str | None) -> None:
    if path is None:
        return
    try:
        if Path(path).is_dir():
            list(Path(path).iterdir())
        else:
            Path(path).open("rb").close()
    except OSError as error:
        raise NoConnection(f"{word}={path}: {error.strerror}") from error

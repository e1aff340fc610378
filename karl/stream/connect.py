"""The one way to a Redis connection.

Invariants:
- A write is never sent twice by the library: no retries. Whoever writes decides, by event ids.
- No call waits for ever: connecting takes at most CONNECT_S, an answer at most ANSWER_S, and a
  blocking read asks for less than that (BLOCK_MS_MAX). A machine that is gone, or cut off, is noticed
  within GONE_S by the kernel, which hears a server that is merely slow.
- Under rediss:// nothing goes out before the server has proven its name.
- A connection is used when the server has answered on it: one that loads its data would refuse the first
  commands of a pipeline and take the rest.
- Replies come as RESP2 lists of bytes on every supported version of the client library.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from karl.errors import LineDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

#: Seconds to wait for a connection.
CONNECT_S = 5.0
#: Seconds to wait for an answer; above BLOCK_MS_MAX, or a quiet stream would look like a dead server.
ANSWER_S = 20.0
#: The longest a blocking read may ask for.
BLOCK_MS_MAX = 2000
#: Seconds without a sign of life of the other machine after which a connection to it is dead.
GONE_S = 6

#: How a message begins that says what is wrong with a URL.
UNUSABLE = "KARL_REDIS_URL can not be used"
#: What may stand behind the ? of a URL: who comes, and what TLS needs. Timeouts and the like are ours.
_WORDS = frozenset({"db", "username", "password"})
_TLS_WORDS = frozenset(
    f"ssl_{word}"
    for word in (
        "ca_certs", "ca_path", "certfile", "keyfile", "password", "cert_reqs", "check_hostname",
        "min_version", "ciphers",
    )
)  # fmt: skip


def connect(url: str, *, name: str = "karl") -> Redis:
    """Give a client for a redis://, rediss:// or unix:// URL; it connects at its first command.

    `name` shows in the server's CLIENT LIST. Raises LineDown when the URL makes no sense, and when a file
    that it names for TLS can not be used.
    """
    from redis import Redis  # noqa: PLC0415 - 30 MB and 0.1 s that commands without a line must not pay
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    _check_words(url)
    over_network = (
        {} if url.startswith("unix://") else {"socket_keepalive": True, "socket_keepalive_options": _signs()}
    )
    try:
        client = Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            client_name=name,
            redis_connect_func=_answered,
            **over_network,
        )
        if url.startswith("rediss://"):
            from karl.stream.tls import TlsConnection  # noqa: PLC0415

            client.connection_pool.connection_class = TlsConnection
        client.connection_pool.make_connection()  # connects to nothing, and knows the URL's words
    except (TypeError, ValueError, RedisError) as error:
        why = str(error)
        if "@" in url and "Port" in why:
            why = _ESCAPES
        raise LineDown(f"{UNUSABLE}: {why}") from None
    # The library's conversions of stream replies cost more than reading them (see benchmarks/line.py).
    for command in ("XREADGROUP", "XREAD", "XRANGE"):
        client.response_callbacks.pop(command, None)
    return client


@contextmanager
def asking(url: str, name: str) -> Iterator[Redis]:
    """Give a client for who asks something and goes, and close it.

    Raises LineDown as `connect` does, and for what the client raises meanwhile.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    redis = connect(url, name=name)
    try:
        yield redis
    except RedisError as error:
        raise LineDown(f"Redis does not answer, or refuses: {error}; `karl doctor` looks why") from error
    finally:
        redis.close()


#: The library shows what it takes for a port or a host, which may be a piece of the password.
_ESCAPES = "in its password, write / as %2F, ? as %3F and # as %23"


def _check_words(url: str) -> None:
    """Refuse what the line could not work with, or would not be safe with. Raises LineDown."""
    try:
        query = urlsplit(url).query
    except ValueError:
        raise LineDown(f"{UNUSABLE}: it is no URL; {_ESCAPES}") from None
    words = {word for word, _ in parse_qsl(query, keep_blank_values=True)}
    unknown = words - _WORDS - _TLS_WORDS
    if unknown:
        known = ", ".join(sorted(_WORDS | _TLS_WORDS))
        why = _ESCAPES if "@" in query else f"{min(unknown)} is not for it; behind its ? may stand {known}"
        raise LineDown(f"{UNUSABLE}: {why}")
    if words & _TLS_WORDS and not url.startswith("rediss://"):
        raise LineDown(f"{UNUSABLE}: {min(words & _TLS_WORDS)} is for TLS, so it must begin with rediss://")


def _signs() -> dict[int, int]:
    """Give the options of a socket by which the kernel notices that the other machine is gone."""
    wanted = {
        "TCP_KEEPIDLE": GONE_S // 2,
        "TCP_KEEPALIVE": GONE_S // 2,  # the same on macOS
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": GONE_S // 2,
        "TCP_USER_TIMEOUT": GONE_S * 1000,  # for what we have sent and nobody has confirmed
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _answered(connection: Any) -> None:
    """Greet the server as the library does, and hear an answer. Raises the client's error."""
    from redis.exceptions import ConnectionError as NoConnection  # noqa: PLC0415
    from redis.exceptions import InvalidResponse  # noqa: PLC0415

    try:
        connection.on_connect()
        connection.send_command("PING", check_health=False)
        connection.read_response()
    except (NoConnection, InvalidResponse) as error:
        # Its kinds are the server's own words: of a wrong password, or that it loads its data.
        if type(error) not in (NoConnection, InvalidResponse) or not hasattr(connection, "port"):
            raise
        raise NoConnection(_no_greeting(connection, error)) from error


def _no_greeting(connection: Any, error: Exception) -> str:
    """Say why a server that took the connection did not greet."""
    place = f"{connection.host}:{connection.port}"
    if hasattr(connection, "greeted"):
        from karl.stream.tls import refusal  # noqa: PLC0415

        return f"no TLS with {place}: {refusal(str(error))}"
    why = f"{place} does not answer as Redis does ({error})"
    return f"{why}; if it is a TLS port, write rediss:// in KARL_REDIS_URL"


class Secured(NamedTuple):
    """How a client's connection is kept from others.

    `version` is that of TLS, empty without; `checked` and `named` say whether the server's certificate
    and the name in it are looked at, `ends` when the certificate does (Unix time, s).
    """

    version: str = ""
    checked: bool = False
    named: bool = False
    ends: float = 0.0


def secured(redis: Redis) -> Secured:
    """Say how a client's connection is kept from others. Raises the client's error."""
    connection: Any = redis.connection_pool.get_connection()
    try:
        greeted = getattr(connection, "greeted", None)
        if greeted is None:
            return Secured()
        ends = ssl.cert_time_to_seconds(greeted.ends) if greeted.ends else 0.0
        return Secured(greeted.version, bool(greeted.ends), bool(connection.check_hostname), ends)
    finally:
        redis.connection_pool.release(connection)


def client_name(process: str, node: str) -> str:
    """Name a process and its node as CLIENT LIST shows them; the server takes no spaces, and ASCII only."""
    return re.sub(r"[^!-~]", "_", f"{process}@{node}")


def command(client: Redis, *words: Any) -> Any:
    """Send one command as it stands and give the reply as the server sent it."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]

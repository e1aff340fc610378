"""The one way to a Redis connection.

Invariants:
- A write is never sent twice by the library: no retries. Whoever writes decides, by event ids.
- No call waits for ever: connecting takes at most CONNECT_S, an answer at most ANSWER_S, and a
  blocking read asks for less than that (BLOCK_MS_MAX).
- A connection is used when the server has answered on it: one that loads its data would refuse the first
  commands of a pipeline and take the rest.
- Replies come as RESP2 lists of bytes on every supported version of the client library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from karl.errors import LineDown

if TYPE_CHECKING:
    from redis import Redis

#: Seconds to wait for a connection.
CONNECT_S = 5.0
#: Seconds to wait for an answer; above BLOCK_MS_MAX, or a quiet stream would look like a dead server.
ANSWER_S = 20.0
#: The longest a blocking read may ask for.
BLOCK_MS_MAX = 2000


def connect(url: str, *, name: str = "karl") -> Redis:
    """Give a client for a redis://, rediss:// or unix:// URL; it connects at its first command.

    `name` shows in the server's CLIENT LIST. Raises LineDown when the URL makes no sense.
    """
    from redis import Redis  # noqa: PLC0415 - 30 MB and 0.1 s that commands without a line must not pay
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    try:
        client = Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            client_name=name,
            redis_connect_func=_answered,
        )
        client.connection_pool.make_connection()  # connects to nothing, and knows the URL's words
    except (TypeError, ValueError) as error:
        why = str(error)
        if "@" in url and "Port" in why:  # the client takes the password's beginning for a port, and shows it
            why = "in its password, write / as %2F, ? as %3F and # as %23"
        raise LineDown(f"KARL_REDIS_URL can not be used: {why}") from None
    # The library's conversions of stream replies cost more than reading them (see benchmarks/line.py).
    for command in ("XREADGROUP", "XREAD", "XRANGE"):
        client.response_callbacks.pop(command, None)
    return client


def _answered(connection: Any) -> None:
    """Greet the server as the library does, and hear an answer. Raises the client's error."""
    connection.on_connect()
    connection.send_command("PING", check_health=False)
    connection.read_response()


def client_name(process: str, node: str) -> str:
    """Name a process and its node as CLIENT LIST shows them; the server takes no spaces, and ASCII only."""
    return re.sub(r"[^!-~]", "_", f"{process}@{node}")


def command(client: Redis, *words: Any) -> Any:
    """Send one command as it stands and give the reply as the server sent it."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]

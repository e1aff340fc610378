"""A program on a machine that only looks: it holds one connection, reads, and says when that ends and begins again.

    python -m tests.machines.reader [write]

With `write` it sends large entries to a stream that there is not, so nothing is written.
"""

from __future__ import annotations

import os
import sys
import time

from redis.exceptions import RedisError

from karl.stream.connect import BLOCK_MS_MAX, command, connect

PIECE = b"x" * 4_000_000


def main(arguments: list[str]) -> None:
    """Read, or write, for ever."""
    redis = connect(os.environ["KARL_REDIS_URL"], name="reader")
    words: tuple[object, ...] = ("XREAD", "BLOCK", BLOCK_MS_MAX, "STREAMS", "karl:{64}:records", "$")
    if arguments:
        words = ("XADD", "karl:{64}:events", "NOMKSTREAM", "*", "d", PIECE)
    well = False
    while True:
        started = time.monotonic()
        try:
            if not well:
                redis.ping()
                print("ok", flush=True)
                well = True
            command(redis, *words)
        except RedisError as error:
            print(f"down after {time.monotonic() - started:.1f} s: {error}", flush=True)
            well = False
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1:])

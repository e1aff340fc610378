"""The last checkpoint of a training, in Redis, so that another node can go on with it.

Invariants:
- Only a small one is shared (MAX_BYTES): a large one stays on the node's disk, and another node begins anew.
- The one that is further counts: a checkpoint of Redis is fetched where this node's disk has none, or one
  that another node has gone on from.
- One bundle a run: the one before is taken out when the next is there, but for what lasts longer: the adapter
  of a shorter training with the same data and seed has the very same bytes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import KarlError, LineDown, NotFound
from karl.stream import bundles
from karl.stream.keys import run_key
from karl.training import checkpoint
from workers.line import on_line

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings
    from karl.training.order import Notice

#: Bytes of a checkpoint that is shared, at most.
MAX_BYTES = 64 << 20
#: Seconds for which a checkpoint waits for another node.
TTL_S = 7 * 86_400

_log = logging.getLogger("karl")


def share(settings: Settings, run: str, out: Path, told: Notice) -> None:
    """Put a checkpoint that was just saved into Redis; one that is too large, or Redis away, is no error."""
    folder = Path(told.where)
    try:
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        if not files or sum(path.stat().st_size for path in files.values()) > MAX_BYTES:
            return
        with on_line(settings, "karl-train") as redis:
            before = redis.hget(run_key(run), "bundle")
            digest = bundles.put(redis, files, TTL_S)
            about = {"bundle": digest, "at": str(folder.relative_to(out)), "iteration": told.iteration}
            redis.hset(run_key(run), mapping=about)  # type: ignore[arg-type]
            redis.expire(run_key(run), TTL_S)
            if isinstance(before, bytes) and before.decode() != digest:
                bundles.drop(redis, before.decode(), but=digest, ttl_s=TTL_S)
    except FileNotFoundError:
        return  # the next one has taken its place on disk meanwhile, and comes here in a moment
    except (LineDown, OSError) as error:
        _log.warning("train: this checkpoint is on this node's disk alone: %s", error)


def restore(redis: Redis, run: str, out: Path) -> None:
    """Fetch the last checkpoint of a run, if it is further than this node's. Raises the client's error."""
    found: Any = redis.hgetall(run_key(run))
    told = {key.decode(): value.decode() for key, value in found.items()}
    reached = told.get("iteration", "")
    if "bundle" not in told or not reached.isdecimal() or _reached(out) >= int(reached):
        return
    part = Path(told.get("at", ""))
    if part.is_absolute() or ".." in part.parts:
        _log.warning("train: the checkpoint of %s in Redis names %a; not taken", run[:12], told["at"])
        return
    (out / part).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        bundles.get(redis, told["bundle"], out / part if part.parts else out)
    except NotFound as error:
        _log.warning("train: the checkpoint of %s can not be fetched, it begins anew: %s", run[:12], error)
    except KarlError as error:
        _log.warning("train: the checkpoint of %s in Redis is no good, it begins anew: %s", run[:12], error)


def _reached(out: Path) -> int:
    """Give the iterations that this node's own checkpoint has; 0 where there is none that could be read."""
    folder = checkpoint.last(out)
    if folder is None:
        return 0
    try:
        return msgspec.json.decode((folder / checkpoint.STATE).read_bytes(), type=checkpoint.State).iteration
    except (OSError, msgspec.DecodeError):
        return 0


def forget(redis: Redis, run: str, adapter: str) -> None:
    """Take out the checkpoint of a run that is done, but for what its adapter's bundle has too.

    Raises the client's error.
    """
    found = redis.hget(run_key(run), "bundle")
    if isinstance(found, bytes):
        bundles.drop(redis, found.decode(), but=adapter, ttl_s=TTL_S)
    redis.delete(run_key(run))

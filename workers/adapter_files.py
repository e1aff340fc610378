"""Adapters as folders of this machine, and on their way to another.

    <adapters>/<id>/adapters.safetensors, adapter_config.json

Invariants:
- The id is the sha256 over the lines `name sha256` of both files, sorted: a folder that does not fit its name
  is never handed out, nor kept.
- A folder is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from karl.errors import NotFound, Refused, Unreadable
from karl.stream import bundles
from karl.stream.bundles import Progress, untold
from karl.stream.keys import adapter_key
from karl.training.order import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

FILES = (WEIGHTS, CONFIG)
#: Seconds for which an adapter waits in Redis to be fetched.
TTL_S = 35 * 86_400
_ID = re.compile(r"[0-9a-f]{64}")


def files_of(folder: Path) -> dict[str, str]:
    """Give the files of an adapter with their sha256. Raises Refused where one is not there."""
    for name in FILES:
        if not (folder / name).is_file():
            raise Refused(f"{folder} is no adapter: there is no {name}")
    return {name: bundles.digest_of(folder / name) for name in FILES}


def id_of(files: dict[str, str]) -> str:
    """Give the id of an adapter from its files and their sha256."""
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def keep(settings: Settings, folder: Path) -> str:
    """Keep an adapter among those of this machine; gives its id. Raises Refused, OSError."""
    adapter = id_of(files_of(folder))
    target = settings.adapters / adapter
    if target.exists() and _is_whole(target, adapter):
        return adapter
    begun = settings.adapters / f".{adapter[:12]}.{secrets.token_hex(4)}"
    begun.mkdir(parents=True, mode=0o700)
    try:
        for name in FILES:
            shutil.copyfile(folder / name, begun / name)
        _put_there(begun, target)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return adapter


def send(redis: Redis, folder: Path, ttl_s: int = TTL_S, progress: Progress = untold) -> str:
    """Put an adapter into Redis for other machines; gives the bundle's name.

    Raises Refused, OSError, and the client's error.
    """
    adapter = id_of(files_of(folder))
    digest = bundles.put(redis, {name: folder / name for name in FILES}, ttl_s, progress)
    redis.set(adapter_key(adapter), digest, ex=ttl_s)
    return digest


def folder_of(
    settings: Settings, redis: Redis, adapter: str, bundle: str = "", progress: Progress = untold
) -> Path:
    """Give the folder of an adapter on this machine; where it is not there, it is fetched.

    `bundle` is what brings it, if that is known; else Redis is asked for it. Raises NotFound where there is
    none, Unreadable where what came is another one, OSError, and the client's error.
    """
    if not _ID.fullmatch(adapter):
        raise NotFound(f"{adapter[:80]!r} names no adapter: expected 64 hex digits")
    target = settings.adapters / adapter
    if target.exists() and _is_whole(target, adapter):
        return target  # a damaged one stays until another is here: that it is damaged must be seen
    found = redis.get(adapter_key(adapter))
    digest = bundle or (found.decode("ascii", "replace") if isinstance(found, bytes) else "")
    if not digest:
        raise NotFound(
            f"the adapter {adapter[:12]} is neither in {settings.adapters} nor in Redis; train it again with "
            "the same data and recipe on the node that trained it, which brings it back at once"
        )
    settings.adapters.mkdir(parents=True, exist_ok=True, mode=0o700)
    begun = settings.adapters / f".{adapter[:12]}.fetched"
    shutil.rmtree(begun, ignore_errors=True)
    bundles.get(redis, digest, begun, progress)
    try:
        if not _is_whole(begun, adapter):
            raise Unreadable(f"the bundle {digest[:12]} brings another adapter than {adapter[:12]}")
        _put_there(begun, target)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return target


def _put_there(begun: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    begun.rename(target)


def _is_whole(folder: Path, adapter: str) -> bool:
    return all((folder / name).is_file() for name in FILES) and id_of(files_of(folder)) == adapter

"""The record of an export: told to the ledger once, whoever made the data set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from karl.errors import NotFound
from karl.learning import manifests
from karl.schema.learning import ExportBody, Manifest
from karl.views.lineage import Lineage
from workers.records import LEARNING, Outgoing, send, settled

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

Wait = Callable[[float], None]


def record(
    redis: Redis, settings: Settings, manifest: Manifest, *, person: str, now_ms: int, wait: Wait
) -> bool:
    """Tell the ledger of an export; one that it knows is not told again, and the answer is false.

    Raises LineDown where Redis does not answer, Refused where the line does not move.
    """
    name = manifests.id_of(manifest)
    if _is_known(settings, name):
        return False
    settled(redis, settings, wait)  # it may be on its way
    if _is_known(settings, name):
        return False
    body = ExportBody(name, manifest, person, settings.node, now_ms)
    send(redis, [Outgoing("export", LEARNING, body)], wait)
    return True


def _is_known(settings: Settings, name: str) -> bool:
    with Lineage(settings.views) as lineage, suppress(NotFound):
        lineage.export(name)
        return True
    return False

"""Clients of the servers that settings name: the line's, and that of the jobs.

`on_line` and `on_jobs` are for who asks something and goes: a command, a job. What runs for long has a
client of its own (`line_client`, `jobs_client`), and knows itself what to do while the server is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from karl.stream.connect import asking, client_name, connect
from karl.stream.server import line_url

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from redis import Redis

    from karl.settings import Settings


def line_client(settings: Settings, process: str) -> Redis:
    """Give a client of the line's server, by the process that it is for. Raises LineDown."""
    return connect(_line_url(settings), name=client_name(process, settings.node))


def jobs_client(settings: Settings, process: str) -> Redis:
    """Give a client of the server that the jobs are in, as `line_client` does; it may be the line's."""
    return connect(_jobs_url(settings), name=client_name(process, settings.node))


def on_line(settings: Settings, process: str) -> AbstractContextManager[Redis]:
    """Give a client of the line's server, and close it. Raises LineDown, for what it raises meanwhile too."""
    return asking(_line_url(settings), client_name(process, settings.node))


def on_jobs(settings: Settings, process: str) -> AbstractContextManager[Redis]:
    """Give a client of the server that the jobs are in, as `on_line` does."""
    return asking(_jobs_url(settings), client_name(process, settings.node))


def _jobs_url(settings: Settings) -> str:
    return settings.rq_url or _line_url(settings)


def _line_url(settings: Settings) -> str:
    return line_url(settings.redis_url, settings.data_dir)

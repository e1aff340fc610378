"""The shipper as a process: settings in, exit code out."""

from __future__ import annotations

import logging

import karl
from karl.errors import Refused
from karl.metrics.serve import Place, Who, telling
from karl.process import log_to_stderr, stop_on_signals, stop_without_parent
from karl.settings import Settings
from karl.stream.connect import connect
from karl.stream.server import line_url
from producers.http import taking_posts
from producers.ship import Shipper
from producers.watch import of_shipper


def run_shipper(settings: Settings, *, supervised: bool = False) -> int:
    """Ship until told to stop; exit code 1 when another shipper has this spool."""
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    if supervised:
        stop_without_parent(stop)
    redis = connect(line_url(settings.redis_url, settings.data_dir), name="karl-ship")
    try:
        shipper = Shipper.of(settings, redis)
        place = Place(settings.metrics_host, settings.metrics_port)
        who = Who("ship", karl.__version__, settings.node)
        with taking_posts(settings), telling(place, who, lambda: of_shipper(shipper)):
            shipper.run(stop)
    except Refused as error:
        logging.getLogger("karl").error("ship: %s", error)  # noqa: TRY400 - no traceback for a refusal
        return 1
    finally:
        redis.close()
    return 0

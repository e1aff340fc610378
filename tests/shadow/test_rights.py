"""Routing by the users of deploy/redis: each process may do its part."""

from __future__ import annotations

from pathlib import Path

from karl.reward.score import DEFAULT_VERSION, VERSIONS
from karl.routing.policy import Policy
from karl.session.emissions import Limits
from karl.settings import read_settings
from karl.stream import keys, prompts, routing
from tests.deploy.test_acl import Scene, scene
from tests.shadow.conftest import CATALOGUE, waiting
from tests.workers.conftest import Feed, Line
from workers.compose import Composer
from workers.sessions import SessionsWorker
from workers.shadow import Shadow

__all__ = ["scene"]


def sessions_worker(scene: Scene) -> SessionsWorker:
    return SessionsWorker(
        scene.client("sessions"),
        Composer(DEFAULT_VERSION, VERSIONS[DEFAULT_VERSION].WEIGHTS),
        Limits(),
        owner="s",
        lease_ttl_s=30.0,
        carry_ttl_ms=60_000,
        open_max_events=1000,
        node="n1",
    )


def test_each_process_of_routing_works_as_its_user(
    scene: Scene, tmp_path: Path, line: Line, router_data: bytes
) -> None:
    ops, ship, jobs = scene.client("ops"), scene.client("ship"), scene.client("jobs")
    routing.publish_catalogue(ops, CATALOGUE)
    routing.publish_policy(ops, Policy())
    router = routing.publish_router(ops, router_data)
    worker = sessions_worker(scene)
    one, other = Feed(ship, "s-1"), Feed(ship, "s-2")
    one.prompt("deploy it")
    other.prompt("write the invoice")
    for _ in range(4):
        worker.run_once(line.stop)
    look = scene.client("look")
    assert {prompt.session for prompt in waiting(look)} == {"s-1", "s-2"}
    assert prompts.drop(ops, lambda prompt: prompt.session == "s-2") == 1
    assert routing.waiting(jobs) == 1
    settings = read_settings({"KARL_REDIS_URL": scene.url("jobs"), "KARL_DATA_DIR": str(tmp_path)})
    told = Shadow(jobs, settings, linger_s=0.0, silent_s=0.0).run(lambda *_: None)
    assert (told.prompts, told.rules_alone, told.warning) == (1, 0, "")
    assert routing.waiting(jobs) == 0
    assert look.xlen(keys.records_key(keys.partition_of("s-1"))) == 1
    read = routing.read(jobs)
    assert read is not None
    assert read.router == router
    worker.close()

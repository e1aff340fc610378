"""Jobs as the users of deploy/redis: what each needs for them it may, and what it must not it may not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.jobs import asking, gate, table
from karl.stream.facts import facts
from tests.cli.running import KARL, karl
from tests.deploy.test_acl import ROLES, Scene, refused
from tests.ledger.conftest import write_some


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("acl"))
    yield made
    made.close()


def test_a_worker_and_who_asks_it_need_no_more_than_the_user_jobs(scene: Scene, tmp_path: Path) -> None:
    write_some(tmp_path / "ledger")
    url = scene.url("jobs")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ |= {"KARL_REDIS_URL": url, "KARL_DATA_DIR": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([KARL, "worker", "jobs", "default"], env=environ, stderr=log)
    try:
        done = karl(tmp_path, "jobs", "run", "verify", "--wait", "--json", KARL_REDIS_URL=url)
        assert json.loads(done.stdout)["result"]["ok"] is True
        ended = karl(tmp_path, "jobs", "run", "probe", "seconds=-1", KARL_REDIS_URL=url)
        assert (ended.exit_code, "seconds" in ended.stderr) == (2, True)
        asked = karl(tmp_path, "jobs", "run", "probe", "--queue", "embed", "--json", KARL_REDIS_URL=url)
        name = json.loads(asked.stdout)["id"]
        for words in (("cancel", name), ("retry", name), ("show", name), ("list",)):
            assert karl(tmp_path, "jobs", *words, KARL_REDIS_URL=url).exit_code == 0, words
        # What a backfill asks of the line; its scores go into the records.
        client = scene.client("jobs")
        assert facts(client).records_waiting == 0
        assert client.xadd("karl:{1}:records", {"k": "score", "b": "{}"})
    finally:
        worker.terminate()
        assert worker.wait(20) == 0
    assert "not answer" not in (tmp_path / "log").read_text()


def test_nobody_else_can_plant_a_job(scene: Scene) -> None:
    planting = [
        ("HSET", "rq:job:x", "data", "x"),
        ("RPUSH", "rq:queue:default", "x"),
        ("PUBLISH", "rq:pubsub:w", "{}"),
    ]
    for role in set(ROLES) - {"jobs"}:
        assert all(refused(scene.client(role), *words) for words in planting), role


def test_who_may_only_look_sees_the_jobs(scene: Scene, tmp_path: Path) -> None:
    asked = gate.Asked(table.find("probe"), table.Probe(note="seen"))
    made = asking.enqueue(scene.client("jobs"), asked, "train")
    for role in ("look", "dashboard"):
        url = scene.url(role)
        shown = karl(tmp_path, "jobs", "list", "--json", KARL_REDIS_URL=url)
        assert 'probe(note=\\"seen\\")' in shown.stdout, role
        assert karl(tmp_path, "jobs", "show", made.id, KARL_REDIS_URL=url).exit_code == 0
        ended = karl(tmp_path, "jobs", "cancel", made.id, KARL_REDIS_URL=url)
        assert "refuses" in str(ended.exception)

"""A training on a machine that has only Redis in common with who asked; it dies in the middle, another goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from karl.jobs import gate, keys
from karl.schema.learning import TrainingBody
from karl.settings import read_settings
from karl.stream import bundles
from karl.stream.connect import connect
from karl.stream.keys import partition_of, records_key, run_key
from karl.training.tiny import write_tiny
from tests.machines.fleet import NODES, Fleet
from tests.machines.network import Network, NoNamespaces
from tests.train_jobs.conftest import MODEL, QUICK, RECIPE, write_data
from workers import adapter_files, launching
from workers.launching import DataSet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    try:
        network = Network(NODES)
    except NoNamespaces as error:
        pytest.skip(str(error))
    with network:
        made = Fleet(tmp_path, network, {"KARL_GPU_NODE": "one,two", "KARL_TRAIN_MODEL": MODEL, **QUICK})
        for node in ("one", "two"):
            write_tiny(tmp_path / node / "models" / MODEL)
        yield made
        made.close()


def test_an_adapter_comes_home_though_the_machine_that_trained_it_died_in_the_middle(
    fleet: Fleet,
) -> None:
    asker = fleet.folder / "asker"
    export = write_data(asker / "data")
    found = DataSet(asker / "data", export, launching.check(asker / "data"))
    line, rq = connect(fleet.here("ops")), connect(fleet.here("jobs"))
    recipe = {**RECIPE, "iters": 150, "every": 10}
    job = launching.launch(line, rq, found, None, model=MODEL, **recipe).job

    def told() -> gate.JobFacts:
        return gate.told(job, fleet.redis.hgetall(keys.job_key(job)))

    def iteration() -> int:
        runs = list(fleet.redis.scan_iter(run_key("*")))
        return int(fleet.redis.hgetall(runs[0]).get(b"iteration", 0)) if runs else 0

    fleet.start("one", "one", "jobs", "worker", "jobs", "train")
    fleet.until(lambda: iteration() >= 20, "a checkpoint is in Redis")
    fleet.network.send_signal("one", signal.SIGKILL)
    fleet.start("two", "two", "jobs", "worker", "jobs", "train")
    fleet.until(lambda: told().status == "finished", "it is done", within_s=100)

    sent = [fields for _, fields in fleet.redis.xrange(records_key(partition_of("learning")))]
    body = msgspec.json.decode(sent[-1][b"b"], type=TrainingBody)
    assert (body.ended, body.job, body.export) == ("done", job, export)
    assert (body.node, body.resumed) == ("two", 1)
    assert body.curve[0].iteration < 20
    settings = read_settings({"KARL_DATA_DIR": str(asker)})
    folder = adapter_files.folder_of(settings, line, body.adapter, body.parcel)
    assert adapter_files.files_of(folder) == body.files
    assert bundles.index_of(line, body.parcel).size == body.bytes
    for client in (line, rq):
        client.close()

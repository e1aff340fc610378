"""Two machines work on one queue; one dies in the middle of a batch, one is cut off: every batch is done, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.encoders.choose import missing
from karl.encoders.store import key_of
from karl.jobs import gate, keys
from karl.settings import read_settings
from karl.stream.keys import VECTORS
from tests.cli.running import karl
from tests.machines.fleet import NODES, Fleet
from tests.machines.network import Network, NoNamespaces
from tests.views.ledgers import trajectory, write
from workers import embedding
from workers.encoder import encoder_of

#: One batch for each machine, and one more.
PROMPTS = 3 * embedding.BATCH


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    if missing("minilm"):
        pytest.skip("the extra embed is not installed")
    try:
        network = Network(NODES)
    except NoNamespaces as error:
        pytest.skip(str(error))
    with network:
        made = Fleet(tmp_path, network, {"KARL_EMBED_ENCODER": "minilm", "KARL_EMBED_THREADS": "1"})
        yield made
        made.close()


def told(fleet: Fleet, name: str) -> gate.Told:
    return gate.told(name, fleet.redis.hgetall(keys.job_key(name)))


def jobs(fleet: Fleet) -> list[str]:
    return [
        key.decode().removeprefix(keys.job_key("")) for key in fleet.redis.scan_iter(keys.job_key("embed-*"))
    ]


def in_a_batch(fleet: Fleet, node: str) -> gate.Told | None:
    """A job that runs on a machine and has done a part of its texts."""
    for name in jobs(fleet):
        job = told(fleet, name)
        if job.status == "started" and job.worker.startswith(f"{node}:") and job.meta.get("done", 0) > 0:
            return job
    return None


def test_every_batch_is_done_though_one_machine_dies_in_it_and_another_is_cut_off(fleet: Fleet) -> None:
    asker = fleet.folder / "asker"
    write(
        asker / "ledger", [trajectory("s", turn, prompt=f"Part {turn}") for turn in range(PROMPTS)], batch=256
    )
    assert karl(asker, "rebuild").exit_code == 0
    for node in ("one", "two"):
        fleet.start(node, node, "jobs", "worker", "jobs", "embed")
    fleet.start("ask", "asker", "ops", "routing", "embed", "--wait", "--json")

    died_in = fleet.until(lambda: in_a_batch(fleet, "one"), "one is in the middle of a batch")
    fleet.network.send_signal("one", signal.SIGKILL)
    cut_in = fleet.until(lambda: in_a_batch(fleet, "two"), "two is in the middle of a batch")
    fleet.network.cut("two")
    fleet.start("one-again", "one", "jobs", "worker", "jobs", "embed")
    fleet.until(
        lambda: told(fleet, cut_in.id).worker.startswith("one:"), "its batch is taken up by the other"
    )
    fleet.network.heal()

    fleet.until(lambda: fleet.code("ask") is not None, "who asked has all vectors", within_s=100)
    (report,) = json.loads(fleet.log("ask")[fleet.log("ask").index("[") :])
    assert (fleet.code("ask"), report["failed"], report["prompts"]) == (0, [], PROMPTS)
    assert {told(fleet, name).status for name in jobs(fleet)} == {"finished"}
    assert len(jobs(fleet)) == report["batches"] == 3
    assert told(fleet, died_in.id).retries_left < 3  # it was begun again
    fleet.until(lambda: "another worker" in fleet.log("two"), "what was cut off knows that it lost its batch")
    assert fleet.redis.xlen(VECTORS) >= 3

    settings = read_settings({"KARL_DATA_DIR": str(asker), "KARL_EMBED_ENCODER": "minilm"})
    encoder = encoder_of(settings, "minilm")
    wanted = {key_of(encoder.name, encoder.version, one.text) for one in embedding.prompts(settings)}
    assert len(wanted) == PROMPTS
    assert set(embedding.store_of(settings).get(list(wanted), encoder.dim)) == wanted

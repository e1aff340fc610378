"""Two machines work on one queue; one dies in the middle of a batch, one is cut off: every batch is done, once."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.encoders.choose import missing
from karl.encoders.store import key_of
from karl.jobs import gate, keys
from karl.routing.policy import Catalogue, Policy
from karl.schema.routing import Rule, SkillEntry
from karl.settings import read_settings
from karl.stream import routing
from karl.stream.connect import command, connect
from karl.stream.keys import PARTITIONS, VECTORS, records_key
from karl.stream.prompts import Prompt, encode_prompt, putting
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


def told(fleet: Fleet, name: str) -> gate.JobFacts:
    return gate.told(name, fleet.redis.hgetall(keys.job_key(name)))


def jobs(fleet: Fleet) -> list[str]:
    return [
        key.decode().removeprefix(keys.job_key("")) for key in fleet.redis.scan_iter(keys.job_key("embed-*"))
    ]


def in_a_batch(fleet: Fleet, node: str) -> gate.JobFacts | None:
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


def put_up(fleet: Fleet, start: int, count: int) -> None:
    """Put prompts up as a sessions worker does."""
    sessions = connect(fleet.here("sessions"))
    for number in range(start, start + count):
        prompt = Prompt(f"e{number}", f"s-{number % 50}", f"deploy part {number}", 1_760_000_000_000 + number)
        command(sessions, *putting(encode_prompt(prompt)))
    sessions.close()


def predicted(fleet: Fleet) -> Counter[str]:
    """How often each prompt was predicted, by its event."""
    found: Counter[str] = Counter()
    for partition in range(PARTITIONS):
        for _, fields in fleet.redis.xrange(records_key(partition)):
            assert fields[b"k"] == b"shadow"
            found[json.loads(fields[b"b"])["event"]] += 1
    return found


def routing_on(fleet: Fleet) -> str:
    """The machine that runs the job `route` now; empty for none."""
    for key in fleet.redis.scan_iter(keys.job_key("*")):
        job = told(fleet, key.decode().removeprefix(keys.job_key("")))
        if job.name == "route" and job.status == "started":
            return job.worker.partition(":")[0]
    return ""


def test_each_prompt_is_predicted_though_the_machine_that_does_it_dies_and_the_next_is_cut_off(
    fleet: Fleet,
) -> None:
    ops = connect(fleet.here("ops"))
    rule = Rule("deploy", r"\bdeploy\b")
    routing.publish_catalogue(ops, Catalogue((SkillEntry("deploy"),), (rule,)))
    routing.publish_policy(ops, Policy())
    ops.close()
    for node in ("one", "two"):
        fleet.start(f"route-{node}", node, "jobs", "worker", "jobs", "route")
    put_up(fleet, 0, 300)
    first = fleet.until(lambda: routing_on(fleet), "a machine predicts")
    fleet.until(lambda: len(predicted(fleet)) >= 20, "it has begun")
    fleet.network.send_signal(f"route-{first}", signal.SIGKILL)
    put_up(fleet, 300, 300)
    second = "two" if first == "one" else "one"
    fleet.until(lambda: routing_on(fleet) == second and len(predicted(fleet)) >= 310, "the other goes on")
    fleet.network.cut(second)
    put_up(fleet, 600, 100)
    fleet.start("route-again", first, "jobs", "worker", "jobs", "route")
    fleet.until(lambda: routing_on(fleet) == first, "the first machine is back, and takes up the job")
    fleet.until(lambda: len(predicted(fleet)) == 700, "every prompt is predicted")
    fleet.network.heal()
    fleet.until(lambda: not fleet.redis.xlen("karl:prompts"), "none waits any more")
    assert set(predicted(fleet)) == {f"e{number}" for number in range(700)}

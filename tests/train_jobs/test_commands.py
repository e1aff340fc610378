"""The commands of training, as somebody types them: against a real ledger, real Redis and a real worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

from karl.errors import KarlError, NotFound, Refused
from karl.jobs import asking, keys
from karl.learning.marks import mark
from karl.schema.learning import HoldoutBody
from karl.stream import bundles
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import failure, state
from tests.train_jobs.conftest import MODEL, QUICK, Training, write_data
from tests.views.ledgers import trajectory, write
from tests.workers.conftest import Line
from workers import embedding, launching
from workers.data_kept import DataKept
from workers.records import LEARNING, Outgoing, send

RECIPE = (
    "--iters",
    "20",
    "--every",
    "10",
    "--layers",
    "-1",
    "--max-tokens",
    "128",
    "--learning-rate",
    "0.001",
)


class Machine:
    """The machine with the ledger, from which trainings are asked for."""

    def __init__(self, training: Training, url: str, folder: Path) -> None:
        self.training, self.folder, self._url = training, folder, url
        write(folder / "ledger", [trajectory("s-train", turn, prompt=f"Part {turn}") for turn in range(3)])
        self.line = Line(training.redis, folder / "ledger")
        self.learn()

    def learn(self) -> None:
        """Write what waits into the ledger, and show it."""
        while self.line.waiting():
            self.line.ledger.run_once(self.line.stop)
        assert karl(self.folder, "rebuild").exit_code == 0

    def do(self, *words: str, **more: str) -> Result:
        told = {"KARL_REDIS_URL": self._url, "KARL_NODE": "asker", "KARL_TRAIN_MODEL": MODEL, **QUICK, **more}
        return karl(self.folder, *words, **{name: value for name, value in told.items() if value})

    def said(self, *words: str) -> Any:
        found = self.do(*words, "--json")
        assert found.exit_code == 0, (found.output, found.exception)
        return json.loads(found.stdout)


@pytest.fixture
def machine(training: Training, redis_url: str, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(training, redis_url, tmp_path / "asker")
    yield made
    made.line.ledger.forget()


def test_a_data_set_is_launched_followed_fetched_and_found_in_the_ledger(machine: Machine) -> None:
    training = machine.training
    data = str(training.data)
    assert isinstance(machine.do("sft-launch", data, "--dry-run").exception, Refused)  # nobody trains
    training.workers.start("train")
    launched = machine.said("sft-launch", data, *RECIPE, "--label", "one")
    assert (launched["new"], launched["export"]) == (True, training.export)
    training.until(launched["job"], "finished")
    nodes = machine.said("sft-status")["nodes"]
    assert [(one["node"], one["capability"]["device"]) for one in nodes] == [("here", "cpu")]
    assert "mlx-lm" in machine.do("jobs", "list").output

    machine.learn()
    assert machine.said("sft-launch", data, "--dry-run", *RECIPE)["recipe"]["iters"] == 20
    record = machine.said("sft-status", launched["job"])
    assert (record["ended"], record["label"], record["export"]) == ("done", "one", training.export)
    shown = machine.do("sft-status", "one").output
    assert "line: validation, best" in shown
    assert "line: validation, best" in machine.do("sft-status", record["adapter"][:10]).output
    for name in ("", "one", record["adapter"], record["id"]):
        fetched = machine.said("sft-fetch", *([name] if name else []))
        assert fetched["adapter"] == record["adapter"]
    folder = Path(fetched["folder"])
    assert folder == machine.folder / "adapters" / record["adapter"]
    (folder / "adapters.safetensors").write_bytes(b"harm")  # what is not whole is fetched again
    machine.said("sft-fetch", "one")
    assert bundles.digest_of(folder / "adapters.safetensors") == record["files"]["adapters.safetensors"]
    assert "(here)" in machine.do("sft-status").output

    dry = machine.do("train-dryrun", data, *RECIPE, "--json", KARL_DATA_DIR=str(machine.folder))
    told = json.loads(dry.stdout)
    assert told["seconds"] is not None  # as the training before went
    again = machine.said("sft-launch", data, *RECIPE, "--label", "one", "--wait")
    assert again["adapter"] == record["adapter"]
    assert again["run"] == record["id"]


def test_what_is_held_out_by_now_changed_or_of_another_format_is_not_sent(
    machine: Machine, tmp_path: Path
) -> None:
    redis = machine.training.redis
    body = HoldoutBody("h1", ("s-train",), "time", 0, 0.1, 1, "to judge", "me", "asker", 1)
    send(redis, [Outgoing("holdout", LEARNING, body)], time.sleep)
    machine.learn()
    held = machine.do("sft-launch", str(machine.training.data))
    assert isinstance(held.exception, Refused)
    assert "1 sessions" in str(held.exception)
    assert mark("s-train")[:8] in str(held.exception)
    assert machine.do("train-dryrun", str(machine.training.data)).exit_code == 1
    write_data(tmp_path / "pairs", format="dpo", sessions={})
    assert "its format is dpo" in str(machine.do("sft-launch", str(tmp_path / "pairs")).exception)
    write_data(tmp_path / "both", contamination={"by prompt": 3}, sessions={})
    assert "both sides" in str(machine.do("sft-launch", str(tmp_path / "both")).exception)
    with (tmp_path / "both" / "train.jsonl").open("ab") as file:
        file.write(b"{}\n")
    for name in ("both", "nowhere"):
        assert isinstance(machine.do("sft-launch", str(tmp_path / name)).exception, KarlError)
    assert not redis.llen(keys.queue_key("train"))
    assert not list(redis.scan_iter("karl:parcel:*"))


@pytest.mark.parametrize("command", ["sft-launch", "sft-eval", "train"])
def test_a_label_that_looks_like_a_secret_is_refused_before_anything_is_asked(
    tmp_path: Path, command: str
) -> None:
    result = karl(tmp_path, command, str(tmp_path), "--label", "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2)
    assert result.exit_code == 2
    assert "looks like a secret" in result.output


def test_what_to_start_where_is_said_as_long_as_nobody_trains(machine: Machine) -> None:
    for gpu, words in (
        ("", "KARL_GPU_NODE=asker karl worker jobs train"),
        ("gpu1", "`karl worker jobs train` on gpu1"),
    ):
        told = machine.do("sft-preflight", KARL_GPU_NODE=gpu)
        assert isinstance(told.exception, Refused)
        assert words in str(told.exception)
        assert words in machine.do("sft-status", KARL_GPU_NODE=gpu).output
    assert isinstance(machine.do("sft-fetch").exception, NotFound)
    assert isinstance(machine.do("sft-status", "nothing").exception, NotFound)
    assert "no trajector" not in machine.do("train", "--status").output


def test_a_training_that_waits_is_known_by_its_label(machine: Machine) -> None:
    job = machine.training.ask(label="tonight")
    assert machine.said("sft-status", "tonight")["id"] == job
    assert isinstance(machine.do("sft-status", "tonigh").exception, NotFound)  # a label is whole


def test_preflight_of_the_node_trains_a_little_and_says_what_is_missing(machine: Machine) -> None:
    redis = machine.training.redis
    machine.training.workers.start("train")
    wait_until(lambda: redis.smembers(keys.workers_key("train")), "a worker is there")
    found = machine.do("sft-preflight", "--model", "nowhere", "--json")
    report = json.loads(found.stdout)
    levels = {one["what"]: one["level"] for one in report["findings"]}
    assert found.exit_code == 1
    assert (report["ready"], report["node"], report["device"]) == (False, "here", "cpu")
    assert levels["node"] == levels["training"] == levels["disk"] == "ok"
    assert levels["model"] == "fail"
    assert report["seconds_an_iteration"] > 0


def test_too_little_to_train_with_is_said_with_what_is_missing(machine: Machine) -> None:
    found = machine.do("sft-ready", "--json")
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    levels = {one["what"]: one["level"] for one in told["looked"]}
    assert not told["ready"]
    assert (levels["good turns"], levels["held out"]) == ("fail", "fail")
    assert "karl holdout reserve" in found.stdout


def test_data_of_a_training_that_waits_is_kept_for_as_long_as_it_waits(
    training: Training, redis_url: str
) -> None:
    from karl.stream.connect import connect

    job = training.ask()
    names = list(training.redis.scan_iter("karl:parcel:*"))
    with closing(connect(redis_url)) as line:
        kept = DataKept(training.redis, line)
        kept.look()
        assert all(training.redis.ttl(name) > 600 for name in names)
        asking.cancel(training.redis, job)
        assert state(training.redis, job) == "canceled"
        for name in names:
            training.redis.expire(name, 60)
        DataKept(training.redis, line).look()
        assert all(training.redis.ttl(name) <= 60 for name in names)


def test_an_erasure_takes_data_sets_that_wait_out_of_redis_whosever_they_are(
    training: Training, redis: Redis
) -> None:
    found = launching.opened(training.data)
    job = launching.launch(redis, redis, found, None, model=MODEL).job
    assert list(redis.scan_iter("karl:parcel:*"))
    assert embedding.forget(redis) == 1
    assert not list(redis.scan_iter("karl:parcel:*"))
    training.workers.work("train")
    assert "has expired, or was never put there" in failure(redis, job)

"""A node that trains: a tiny model, a small data set, real workers, and a server of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.jobs import asking, gate, table
from karl.learning import manifests
from karl.learning.marks import mark
from karl.schema.learning import FileMade, Manifest, Span, TrainingBody, Weighed
from karl.stream import bundles, keys
from karl.training.tiny import write_tiny
from tests.conftest import wait_until
from tests.jobs.conftest import Workers, state
from workers import jobs

MODEL = "tiny"
#: A training that takes a moment.
RECIPE = {"iters": 40, "every": 10, "batch": 4, "layers": -1, "max_tokens": 128, "learning_rate": 1e-3}
#: What makes mlx quick where compiling would take longer than training.
QUICK = {"MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"}


def rows(count: int, session: str, start: int = 0) -> list[dict[str, Any]]:
    """So many steps of one session, each a question and the call that answers it."""
    made = []
    for number in range(start, start + count):
        tool = ("Bash", "Read", "Edit")[number % 3]
        made.append(
            {
                "messages": [
                    {"role": "user", "content": f"look at part {number}"},
                    {
                        "role": "assistant",
                        "content": json.dumps({"tool": tool, "target": f"part{number}.py"}),
                    },
                ],
                "tools": [],
                "weight": 0.5 + (number % 3) / 2,
                "karl": {"trajectory": f"t{number}", "session": session, "step": number, "tool": tool},
            }
        )
    return made


def write_data(folder: Path, train: int = 24, valid: int = 8, **changed: Any) -> str:
    """Write a data set as an export does; gives its id."""
    folder.mkdir(parents=True)
    files = {}
    for name, made in (
        ("train.jsonl", rows(train, "s-train")),
        ("valid.jsonl", rows(valid, "s-valid", 1000)),
    ):
        data = "".join(json.dumps(row) + "\n" for row in made).encode()
        (folder / name).write_bytes(data)
        files[name] = FileMade(len(data), hashlib.sha256(data).hexdigest(), len(made))
    manifest = Manifest(
        form=1, karl="0.1.0", format="chatml", command="karl export", ledger=Span(1, 9, "0" * 64), reward_version="2",
        filters={}, options={"detail": "brief"}, split={"way": "time"}, held_out=(), counts={}, left_out={}, redactions={},
        contamination={"sessions": 0}, weights=Weighed("awr", 1.0, 4.0, train, float(train), 0), files=files,
        sessions={"train": (mark("s-train"),), "valid": (mark("s-valid"),)},
    )  # fmt: skip
    data = manifests.as_bytes(msgspec.structs.replace(manifest, **changed))
    (folder / "manifest.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


class Training:
    """Trainings on nodes of one server. `data_dir` is that of the first node."""

    def __init__(self, workers: Workers, redis: Redis) -> None:
        self.workers, self.redis, self.data_dir = workers, redis, workers.data_dir
        workers.given = {"KARL_GPU_NODE": "here", "KARL_TRAIN_MODEL": MODEL, **QUICK}
        write_tiny(self.data_dir / "models" / MODEL)
        self.data = self.data_dir / "data"
        self.export = write_data(self.data)

    def ask(self, **more: Any) -> str:
        """Ask for a training; gives the job's id."""
        files = {path.name: path for path in self.data.iterdir()}
        return self.ask_again(bundles.put(self.redis, files, 600), **more)

    def ask_again(self, bundle: str, **more: Any) -> str:
        """Ask for a training with what is in Redis already."""
        given = {"export": self.export, "data": bundle, "model": MODEL, **RECIPE, **more}
        job = table.find("train")
        return asking.enqueue(self.redis, gate.Asked(job, table.checked(job, given))).id

    def until(self, job: str, wanted: str) -> None:
        wait_until(
            lambda: state(self.redis, job) == wanted or self._ended(job, wanted), f"{job} is {wanted}", 100
        )
        assert state(self.redis, job) == wanted, self.said()

    def checkpoint(self, after: int = 1) -> Path:
        """Wait until a run has a checkpoint of so many iterations at least; gives it."""
        found: list[Path] = []

        def there() -> bool:
            found[:] = sorted((self.data_dir / "runs").glob("*/out/checkpoint-*"))
            return bool(found) and int(found[-1].name.partition("-")[2]) >= after

        wait_until(there, "there is a checkpoint", 100)
        return found[-1]

    def trains(self) -> list[int]:
        """Give the processes that train for a worker of this test."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words, told = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
                if b"karl.training" in words and f"KARL_DATA_DIR={self.data_dir}".encode() in told:
                    found.append(int(path.name))
        return found

    def training_process(self) -> int:
        """Give the process that trains."""
        wait_until(self.trains, "a training process runs", 60)
        return self.trains()[0]

    def start_on(self, node: str) -> None:
        """Start a worker on another node, which has a data folder of its own."""
        self.workers.start("train", **self._node(node))

    def work_on(self, node: str) -> None:
        """Do one job on another node, in this process."""
        self.workers.work("train", **self._node(node))

    def _node(self, name: str) -> dict[str, str]:
        folder = self.data_dir / name
        write_tiny(folder / "models" / MODEL)
        return {"KARL_NODE": name, "KARL_GPU_NODE": name, "KARL_DATA_DIR": str(folder)}

    def records(self) -> list[TrainingBody]:
        """Give the records of trainings that are on their way to the ledger."""
        stream = keys.records_key(keys.partition_of("learning"))
        sent = [dict(zip(words[::2], words[1::2], strict=True)) for _, words in self.redis.xrange(stream)]
        return [
            msgspec.json.decode(fields[b"b"], type=TrainingBody)
            for fields in sent
            if fields[b"k"] == b"training"
        ]

    def said(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.data_dir.glob("worker*.log")))

    def _ended(self, job: str, wanted: str) -> bool:
        return state(self.redis, job) in {"failed", "finished", "stopped", "canceled"} - {wanted}


@pytest.fixture
def training(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Training]:
    monkeypatch.setattr(jobs, "WAIT_S", 0.05)
    workers = Workers(redis, redis_url, tmp_path)
    yield Training(workers, redis)
    workers.end_all()

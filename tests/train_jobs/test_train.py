"""Trainings as jobs: done, killed in the middle, cancelled, refused; each with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.errors import NotFound, Refused, Unreadable
from karl.jobs import asking, keys, listing
from karl.settings import Settings, read_settings
from karl.stream import bundles, parcels
from karl.stream.keys import adapter_key, parcel_key, run_key
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import failure, state, until_state
from tests.train_jobs.conftest import Training
from workers import adapter_files, capability, run_folders

#: Long enough to be killed twice in the middle of it.
LONG = {"iters": 150, "every": 10}


def result(training: Training, job: str) -> dict[str, Any]:
    found: dict[str, Any] = listing.one(training.redis, job)[1].result
    return found


def settings_of(folder: Path) -> Settings:
    return read_settings({"KARL_DATA_DIR": str(folder)})


def test_a_run_that_is_killed_twice_and_moves_to_another_node_makes_the_adapter_of_one_left_alone(
    training: Training, tmp_path: Path
) -> None:
    first = training.workers.start("train")
    job = training.ask(**LONG, label="killed")
    training.checkpoint()
    os.kill(training.training_process(), signal.SIGKILL)  # the worker lives, and starts it again
    run = training.checkpoint(after=40).parent.parent.name
    wait_until(lambda: int(training.redis.hget(run_key(run), "iteration") or 0) >= 40, "Redis has it too")
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: not training.trains(), "its training process ends with it")
    training.start_on("two")  # it has nothing but Redis in common with the first
    training.until(job, "finished")

    told, given = listing.one(training.redis, job)
    (record,) = training.records()
    assert (record.ended, record.label, record.job, record.node) == ("done", "killed", job, "two")
    assert record.adapter == given.result["adapter"] == adapter_files.id_of(record.files)
    assert record.resumed >= 2
    assert told.retries_left == 4
    assert told.meta["progress"]["run"] == record.id == run
    iterations = [point.iteration for point in record.curve]
    assert iterations == sorted(set(iterations))
    assert iterations[0] < 40
    assert not training.redis.exists(run_key(run))  # nobody has to go on with it

    again = training.ask(**LONG, label="left alone")
    training.work_on("three")
    undisturbed = training.records()[-1]
    assert state(training.redis, again) == "finished", failure(training.redis, again)
    assert (undisturbed.id, undisturbed.resumed, undisturbed.node) == (run, 0, "three")
    assert undisturbed.files == record.files
    fetched = adapter_files.folder_of(settings_of(tmp_path / "four"), training.redis, record.adapter)
    assert adapter_files.files_of(fetched) == record.files


def test_a_run_whose_node_is_taken_is_given_back_and_one_that_is_cancelled_leaves_word_within_seconds(
    training: Training,
) -> None:
    training.workers.start("train")
    job = training.ask(**LONG)
    reached = training.checkpoint()
    training.redis.set(keys.alone_key("here"), "here:1:other", ex=600)
    until_state(training.redis, job, "queued")
    wait_until(lambda: not training.trains(), "no training process is left")
    assert listing.one(training.redis, job)[0].retries_left == 5
    training.redis.delete(keys.alone_key("here"))
    training.training_process()
    asking.cancel(training.redis, job)
    until_state(training.redis, job, "stopped")
    wait_until(lambda: not training.trains(), "no training process is left")
    (record,) = training.records()
    assert (record.ended, record.adapter, record.job) == ("canceled", "", job)
    assert record.resumed == 1
    assert record.curve
    assert list(reached.parent.glob("checkpoint-*"))


def test_two_workers_of_one_node_train_one_after_the_other_and_waiting_costs_no_attempt(
    training: Training,
) -> None:
    jobs = [training.ask(seed=seed, iters=20) for seed in (1, 2)]
    for _ in range(2):
        training.workers.start("train")
    both: list[bool] = []

    def done() -> bool:
        states = [state(training.redis, job) for job in jobs]
        both.append(states.count("started") > 1)
        return set(states) <= {"finished", "failed"}

    wait_until(done, "both are done", 100)
    assert not any(both)
    told = [listing.one(training.redis, job)[0] for job in jobs]
    assert [one.status for one in told] == ["finished", "finished"], training.said()
    assert [one.retries_left for one in told] == [5, 5]


def test_data_that_is_gone_or_damaged_fails_the_run_for_good_with_a_record(training: Training) -> None:
    lost = training.ask()
    bundle = bundles.put(training.redis, {path.name: path for path in training.data.iterdir()}, 600)
    (piece,) = bundles.index_of(training.redis, bundle).files[1].pieces
    kept = parcels.get(training.redis, piece)
    parcels.let_go(training.redis, piece, 0)
    training.workers.work("train")
    assert state(training.redis, lost) == "failed"
    assert "has expired, or was never put there" in failure(training.redis, lost)
    training.redis.set(parcel_key(piece), kept[:-1] + b"?")
    damaged = training.ask_again(bundle)
    training.workers.work("train")
    assert "other bytes" in failure(training.redis, damaged)
    assert [(one.ended, one.job) for one in training.records()] == [("failed", lost), ("failed", damaged)]
    assert "other bytes" in training.records()[1].reason


def test_a_bundle_that_is_of_another_export_is_not_trained_with(training: Training) -> None:
    job = training.ask(export="1" * 64)
    training.workers.work("train")
    assert "brings another export" in failure(training.redis, job)
    assert not training.records()[0].adapter


def test_a_model_that_the_node_lacks_is_said_with_what_to_do(training: Training) -> None:
    job = training.ask(model="nowhere")
    training.workers.work("train")
    assert "there is no model nowhere" in failure(training.redis, job)


def test_a_node_without_mlx_does_not_start_to_work_and_says_what_to_install(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty" / "mlx").mkdir(parents=True)
    (tmp_path / "empty" / "mlx" / "__init__.py").write_text(
        'raise ModuleNotFoundError("No module named mlx")'
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "empty"))
    found = karl(tmp_path, "worker", "jobs", "train", KARL_NODE="here", KARL_GPU_NODE="here")
    assert isinstance(found.exception, Refused)
    assert "pip install 'karl-ledger[train]'" in str(found.exception)


def test_a_node_that_trains_on_something_else_than_it_was_told_does_not_start(tmp_path: Path) -> None:
    wanted = "cuda" if sys.platform == "darwin" else "apple"
    told = read_settings({"KARL_DATA_DIR": str(tmp_path), "KARL_TRAIN_DEVICE": wanted})
    with pytest.raises(
        Refused, match=rf"KARL_TRAIN_DEVICE is {wanted}, and mlx runs on (?!{wanted})\w+ here"
    ):
        capability.find(told)


def test_only_the_newest_runs_stay_on_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folders, "KEPT", 2)
    settings = settings_of(tmp_path)
    for number in range(5):
        (settings.runs / f"r{number}").mkdir(parents=True)
        (settings.runs / f"r{number}" / "began").write_text("1")
        os.utime(settings.runs / f"r{number}" / "began", (number, number))
    (settings.runs / "not a run").mkdir()
    assert sorted(run_folders.clean(settings.runs, settings.runs / "r0")) == ["r1", "r2"]
    assert sorted(path.name for path in settings.runs.iterdir()) == ["not a run", "r0", "r3", "r4"]


def adapter_in(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text("{}")
    return folder


def test_an_adapter_that_is_not_what_its_name_says_is_neither_used_nor_kept(
    redis: Redis, tmp_path: Path
) -> None:
    here, there = settings_of(tmp_path / "here"), settings_of(tmp_path / "there")
    adapter = adapter_files.keep(here, adapter_in(tmp_path / "a", b"good"))
    assert adapter_files.keep(here, tmp_path / "a") == adapter
    bundle = adapter_files.send(redis, here.adapters / adapter)
    assert adapter_files.folder_of(there, redis, adapter) == there.adapters / adapter
    (there.adapters / adapter / "adapters.safetensors").write_bytes(b"harm")
    assert adapter_files.files_of(adapter_files.folder_of(there, redis, adapter, bundle))
    assert adapter_files.id_of(adapter_files.files_of(there.adapters / adapter)) == adapter

    other = adapter_files.send(redis, adapter_in(tmp_path / "b", b"another"))
    shutil.rmtree(there.adapters)
    with pytest.raises(Unreadable, match="another adapter"):
        adapter_files.folder_of(there, redis, adapter, other)
    assert list(there.adapters.iterdir()) == []
    redis.delete(adapter_key(adapter))
    for name in (adapter, "../x", ""):
        with pytest.raises(NotFound):
            adapter_files.folder_of(there, redis, name)

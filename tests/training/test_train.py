"""Training with mlx for real, on a tiny model, in processes of its own."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from karl.errors import KarlError
from karl.training.order import Judge, Notice, Smoke, Train, Trained, encode
from karl.training.process import Died
from karl.training.telling import Teller
from tests.conftest import wait_until
from tests.training.conftest import ASKED, TOOLS, row, training, write_rows

Do = Callable[..., Any]
Here = Callable[[Train], Trained]


class Whole(NamedTuple):
    """A training from its start to its end, where it was done, and what it said."""

    done: Trained
    told: list[Notice]
    out: Path


@pytest.fixture(scope="module")
def whole(do: Do, data: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What others are held against: a process takes as long to start as hundreds of iterations."""
    out, told = tmp_path_factory.mktemp("whole"), list[Notice]()
    return Whole(do(training(data, tiny, out, dropout=0.2), progress=told.append), told, out)


def children() -> set[int]:
    """The processes that this one has started and that train."""
    found = set()
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid() and b"karl.training" in line:
                found.add(int(entry.name))
    return found


def test_a_training_learns_and_leaves_an_adapter_that_says_nothing_of_the_machine(
    whole: Whole, tiny: Path
) -> None:
    done, told, out = whole
    losses = [point.valid_loss for point in done.curve]
    assert losses[-1] < losses[0] - 1
    assert [point.iteration for point in done.curve] == [0, 4, 8, 12]
    assert done.curve[0].train_loss is None
    assert done.rows == 22
    assert 1 < done.ess < 22
    assert done.tokens > 0
    assert done.device.startswith("cpu")
    assert set(done.versions) == {"python", "mlx", "mlx-lm", "threads"}
    assert done.versions["threads"] == "1"
    assert [line.iteration for line in told if line.kind == "saved"] == [4, 8, 12]
    assert sorted(path.name for path in done.adapter.iterdir()) == sorted(done.files)
    for name, digest in done.files.items():
        content = (done.adapter / name).read_bytes()
        assert sha256(content).hexdigest() == digest
        assert str(out).encode() not in content
        assert str(tiny).encode() not in content
    assert [path.name for path in out.glob("*checkpoint*")] == ["checkpoint-0000012"]


def test_a_training_killed_in_the_middle_and_resumed_makes_the_very_same_adapter(
    do: Do, whole: Whole, data: Path, tiny: Path, tmp_path: Path
) -> None:
    def kill(told: Notice) -> None:
        if told.kind == "saved" and told.iteration == 8:
            for child in children():
                os.kill(child, signal.SIGKILL)

    with pytest.raises(Died, match="SIGKILL"):
        do(training(data, tiny, tmp_path / "cut", dropout=0.2), progress=kill)
    assert [path.name for path in (tmp_path / "cut").glob("checkpoint*")] == ["checkpoint-0000008"]
    # What a kill left in the middle of writing is not taken for a checkpoint.
    (tmp_path / "cut" / ".checkpoint.partial").mkdir(exist_ok=True)
    # On another machine: only the checkpoint's folder goes there.
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "cut" / "checkpoint-0000008").rename(there / "checkpoint-0000008")
    resumed: Trained = do(training(data, tiny, there, dropout=0.2, resume=True))
    assert resumed.resumed == 1
    assert resumed.files == whole.done.files
    assert resumed.curve == whole.done.curve
    assert (resumed.best, resumed.tokens) == (whole.done.best, whole.done.tokens)


def test_a_finished_training_that_is_resumed_gives_what_it_gave(
    here: Here, whole: Whole, data: Path, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole.out, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "adapter")
    again: Trained = here(training(data, tiny, tmp_path / "copy", dropout=0.2, resume=True))
    assert again.files == whole.done.files
    assert sorted(path.name for path in again.adapter.iterdir()) == sorted(again.files)


def test_another_seed_makes_another_adapter(here: Here, data: Path, tiny: Path, tmp_path: Path) -> None:
    one: Trained = here(training(data, tiny, tmp_path / "one"))
    other: Trained = here(training(data, tiny, tmp_path / "other", seed=1))
    assert one.files["adapters.safetensors"] != other.files["adapters.safetensors"]
    assert one.files["adapter_config.json"] == other.files["adapter_config.json"]


def test_the_adapter_kept_is_that_of_the_best_validation_not_the_last(
    here: Here, tiny: Path, tmp_path: Path
) -> None:
    write_rows(tmp_path / "data" / "train.jsonl", [row(0) for _ in range(8)])
    # What is validated with becomes less likely with each row that is learned by heart.
    prose = {
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "zebras jump quickly"},
        ]
    }
    write_rows(tmp_path / "data" / "valid.jsonl", [prose])
    how = {"every": 2, "iters": 12}
    done: Trained = here(training(tmp_path / "data", tiny, tmp_path / "long", **how))
    valid = {point.iteration: point.valid_loss for point in done.curve if point.iteration}
    assert done.best == min(valid, key=lambda at: valid[at])
    assert done.best < 12
    short: Trained = here(
        training(tmp_path / "data", tiny, tmp_path / "short", **{**how, "iters": done.best})
    )
    assert short.files["adapters.safetensors"] == done.files["adapters.safetensors"]


def test_losses_are_measured_over_the_same_few_rows_whatever_the_seed(
    here: Here, data: Path, tiny: Path, tmp_path: Path
) -> None:
    def first_loss(name: str, **how: Any) -> float | None:
        done: Trained = here(training(data, tiny, tmp_path / name, iters=1, every=1, **how))
        return done.curve[0].valid_loss

    one = first_loss("one", valid_rows=1)
    assert first_loss("other", valid_rows=1, seed=5) == one
    assert first_loss("all", valid_rows=0) not in (one, None)


def test_equal_weights_of_any_size_train_as_no_weights_do(here: Here, tiny: Path, tmp_path: Path) -> None:
    rows = [row(n % 4, weight=3.0) for n in range(8)]
    write_rows(tmp_path / "data" / "train.jsonl", rows)
    write_rows(tmp_path / "data" / "valid.jsonl", [])
    heavy: Trained = here(training(tmp_path / "data", tiny, tmp_path / "heavy", iters=4))
    plain: Trained = here(training(tmp_path / "data", tiny, tmp_path / "plain", iters=4, weighted=False))
    assert heavy.files == plain.files
    assert heavy.ess == 8
    assert heavy.best == 4
    assert all(point.valid_loss is None for point in heavy.curve)


def test_rows_of_weight_nought_teach_nothing(here: Here, tiny: Path, tmp_path: Path) -> None:
    from karl.training.judge import judge

    write_rows(tmp_path / "data" / "train.jsonl", [row(n % 2, weight=float(n % 2 == 0)) for n in range(8)])
    write_rows(tmp_path / "data" / "valid.jsonl", [])
    done: Trained = here(training(tmp_path / "data", tiny, tmp_path / "run", iters=30, every=30))
    items = write_rows(tmp_path / "items.jsonl", [row(0), row(1)])
    judged = judge(Judge(tiny, items, TOOLS, adapter=done.adapter, guard=False), Teller(io.BytesIO()))
    assert judged.tools == (True, False)
    assert judged.nll[0] < judged.nll[1]
    assert done.ess == 4


def test_rows_that_are_too_long_lose_their_head_and_those_whose_answer_is_are_left(
    here: Here, tiny: Path, tmp_path: Path
) -> None:
    long = row(0)
    long["messages"][0]["content"] = ASKED[0] * 40
    beyond = row(1)
    beyond["messages"][1]["content"] = ASKED[1] * 40
    write_rows(tmp_path / "data" / "train.jsonl", [*(row(n % 4) for n in range(6)), long, beyond])
    write_rows(tmp_path / "data" / "valid.jsonl", [row(0)])
    done: Trained = here(training(tmp_path / "data", tiny, tmp_path / "run", iters=2, every=2))
    assert (done.rows, done.cut, done.left) == (7, 1, 1)


def test_a_loss_that_is_no_number_ends_the_training_with_what_to_do(
    here: Here, data: Path, tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(KarlError, match=r"has come apart\. A lower learning rate"):
        here(training(data, tiny, tmp_path, learning_rate=1e38, iters=40, every=40))


def test_what_can_not_be_trained_with_is_said(here: Here, data: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(KarlError, match="22 rows to train with are less than one batch of 32"):
        here(training(data, tiny, tmp_path / "a", batch=32))
    with pytest.raises(KarlError, match=r"^0 rows.*answers of 22 are longer than 4 tokens"):
        here(training(data, tiny, tmp_path / "b", max_tokens=4))
    with pytest.raises(KarlError, match=r"train\.jsonl is not there"):
        here(training(tmp_path / "nowhere", tiny, tmp_path / "c"))
    with pytest.raises(KarlError, match="karl models list"):
        here(training(data, tmp_path / "nothing", tmp_path / "d"))
    write_rows(tmp_path / "e" / "train.jsonl", [{"messages": [{"role": "user", "content": "?"}]}])
    write_rows(tmp_path / "e" / "valid.jsonl", [])
    with pytest.raises(KarlError, match="line 1 does not end with an answer"):
        here(training(tmp_path / "e", tiny, tmp_path / "f"))


def test_a_model_whose_weights_are_cut_off_is_said_to_be_unreadable(
    here: Here, data: Path, tiny: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tiny.iterdir():
        content = path.read_bytes()
        (broken / path.name).write_bytes(content[:1000] if path.suffix == ".safetensors" else content)
    with pytest.raises(KarlError, match="can not be loaded"):
        here(training(data, broken, tmp_path / "run"))


def test_a_checkpoint_of_another_training_is_refused_and_a_run_is_not_written_over(
    here: Here, data: Path, tiny: Path, tmp_path: Path
) -> None:
    here(training(data, tiny, tmp_path, iters=4))
    with pytest.raises(KarlError, match="holds a training already"):
        here(training(data, tiny, tmp_path, iters=4))
    with pytest.raises(KarlError, match="another data set, model or recipe"):
        here(training(data, tiny, tmp_path, iters=8, resume=True))


def test_a_full_disk_is_said_and_leaves_no_half_checkpoint(
    do: Do, data: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(KarlError, match=r"disk full|File too large"):
            do(training(data, tiny, tmp_path / "run"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "run").glob("checkpoint*"))
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_training_that_is_stopped_ends_with_its_process_and_can_go_on(
    do: Do, data: Path, tiny: Path, tmp_path: Path
) -> None:
    stop = threading.Event()

    def see(told: Notice) -> None:
        if told.kind == "saved":
            stop.set()

    with pytest.raises(KarlError, match="stopped"):
        do(training(data, tiny, tmp_path, iters=4000), progress=see, stop=stop)
    assert not children()
    assert list(tmp_path.glob("checkpoint*"))


def test_what_a_listener_raises_ends_the_process(do: Do, data: Path, tiny: Path) -> None:
    class Lost(Exception):
        pass

    def lose(_told: Notice) -> None:
        raise Lost

    with pytest.raises(Lost):
        do(Judge(tiny, data / "valid.jsonl", TOOLS), progress=lose)  # told before mlx-lm is loaded
    assert not children()


def test_the_process_ends_when_whoever_ordered_is_gone(
    data: Path, tiny: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    process = subprocess.Popen(
        (sys.executable, "-m", "karl.training"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
    assert process.stdin is not None
    process.stdin.write(encode(training(data, tiny, tmp_path, iters=100_000)) + b"\n")
    process.stdin.flush()
    wait_until(lambda: list(tmp_path.glob("checkpoint*")), "it trains")
    process.stdin.close()
    assert process.wait(20) == 3


def test_a_process_that_dies_says_its_last_words_and_keeps_a_log(
    do: Do, data: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    log = tmp_path / "log"
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("raise SystemExit('no memory for this')")
    with pytest.raises(Died, match=r"is in .*log:\n(.*\n)*.*no memory for this"):
        do(Smoke(), log=log, env={**environ, "PYTHONPATH": str(folder)})
    assert "no memory for this" in log.read_text()


def test_the_smoke_run_measures_this_machine(do: Do) -> None:
    smoked = do(Smoke())
    assert len(smoked.losses) == 2
    assert all(loss > 0 for loss in smoked.losses)
    assert smoked.gflops > 0
    assert smoked.seconds_an_iteration > 0
    assert not smoked.compiled

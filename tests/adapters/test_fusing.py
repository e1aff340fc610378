"""`karl adapters try` and `fuse`: with the tiny model, in processes of their own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.errors import Refused
from karl.schema.learning import TrainingBody
from karl.training.base_models import find
from karl.training.process import run
from tests.adapters.scene import Scene
from tests.cli.running import karl
from tests.training.conftest import data, tiny, training
from workers.adapter_files import keep

#: Looked for, and not imported: that takes each process that collects tests a second.
pytestmark = pytest.mark.skipif(not importlib.util.find_spec("mlx_lm"), reason="mlx-lm is not installed")
__all__ = ["data", "tiny"]

Said = Callable[..., Any]


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")


@pytest.fixture
def said(scene: Scene) -> Said:
    def command(*arguments: str) -> Any:
        return karl(
            scene.settings.data_dir, "adapters", *arguments, KARL_NODE="n1", KARL_TRAIN_DEVICE="cpu",
            KARL_REDIS_URL=scene.settings.redis_url,
        )  # fmt: skip

    return command


@pytest.fixture
def made(scene: Scene, tiny: Path, data: Path, tmp_path: Path) -> TrainingBody:
    """An adapter of the tiny model, of one iteration, among those of this machine."""
    scene.settings.models.mkdir()
    (scene.settings.models / "tiny").symlink_to(tiny)
    order = training(data, tiny, tmp_path / "run", iters=1, every=1)
    trained = run(order, cache=scene.settings.fast, threads=1)
    body = scene.training("ex1", "other", model_digest=find(scene.settings.models, "tiny").digest)
    real = {"adapter": keep(scene.settings, trained.adapter), "files": trained.files, "id": "run-tiny"}
    body = msgspec.structs.replace(body, **real)
    scene.send("training", body)
    return body


def test_a_prompt_is_answered_and_a_model_written_out_whole(
    said: Said, made: TrainingBody, tmp_path: Path
) -> None:
    document = json.loads(said("try", made.adapter[:10], "fix it", "--tokens", "4", "--json").stdout)
    assert document["tokens"] == 4
    out = tmp_path / "fused"
    result = said("fuse", made.adapter[:10], "--output", str(out), "--gguf")
    assert result.exit_code == 0
    assert {"model.safetensors", "config.json", "tokenizer.json", "model.gguf"} <= {
        one.name for one in out.iterdir()
    }
    before = sorted((one.name, one.stat().st_mtime_ns) for one in out.iterdir())
    again = said("fuse", made.adapter[:10], "--output", str(out))
    assert "is there already" in str(again.exception)
    assert before == sorted((one.name, one.stat().st_mtime_ns) for one in out.iterdir())


def test_another_model_under_the_same_name_is_refused_and_nothing_is_written(
    scene: Scene, said: Said, tmp_path: Path
) -> None:
    (scene.settings.models / "tiny").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (scene.settings.models / "tiny" / name).write_bytes(b"{}")
    body = scene.training("ex1")
    result = said("fuse", body.adapter, "--output", str(tmp_path / "fused"))
    assert isinstance(result.exception, Refused)
    assert "is not the model that the adapter was trained for (tiny, 121212121212)" in str(result.exception)
    assert not (tmp_path / "fused").exists()

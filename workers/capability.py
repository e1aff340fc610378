"""What a node can train with: whether mlx and mlx-lm are there, and what mlx runs on.

It is found by a process of its own, for a worker that had mlx in it would hold its memory for ever.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings

#: Seconds for that process: the first import of mlx-lm on a slow disk takes its time.
_WAIT_S = 180
_TAIL = 600

_ASK = """
import json, sys
from importlib.metadata import version
import mlx.core as mx
import mlx_lm
gpu = "gpu" in str(mx.default_device())
cuda = bool(gpu and hasattr(mx, "cuda") and mx.cuda.is_available())
about = mx.device_info() if gpu and hasattr(mx, "device_info") else {}
told = {
    "device": "cuda" if cuda else "apple" if gpu else "cpu",
    "name": str(about.get("device_name", "")),
    "memory_mb": int(about.get("memory_size", 0) or about.get("total_memory", 0)) >> 20,
    "versions": {name: version(name) for name in ("mlx", "mlx-lm")},
}
sys.stdout.write("\\n" + json.dumps(told) + "\\n")
"""


class Capability(msgspec.Struct, frozen=True):
    """What a node trains on: `apple`, `cuda` or `cpu`, the device's own name, memory in MiB, versions.

    `memory_mb` is the device's; that of the machine where the device has none of its own, or does not say.
    """

    device: str
    name: str
    memory_mb: int
    versions: dict[str, str]


def find(settings: Settings) -> Capability:
    """Find what this node can train with. Raises Refused, which says what to do, where it can not."""
    found = _asked()
    wanted = settings.train_device
    if wanted and wanted not in (found.device, "cpu"):
        raise Refused(
            f"KARL_TRAIN_DEVICE is {wanted}, and mlx runs on {found.device} here: {_ADVICE[wanted]}; "
            f"or set KARL_TRAIN_DEVICE={found.device}"
        )
    device = wanted or found.device
    memory = found.memory_mb if device == found.device and found.memory_mb else machine_memory_mb()
    name = found.name if device == found.device and found.name else platform.processor() or platform.machine()
    versions = {"python": platform.python_version(), **found.versions}
    return Capability(device, name, memory, versions)


def device_of(settings: Settings) -> str:
    """Give what orders to the training process call the device: what mlx finds, unless the CPU is wanted."""
    return "cpu" if settings.train_device == "cpu" else ""


def presence(found: Capability) -> dict[str, str]:
    """Give what a worker says of itself, in the fields that rq-dashboard and `karl jobs list` show."""
    mlx = f"mlx {found.versions.get('mlx', '?')}, mlx-lm {found.versions.get('mlx-lm', '?')}"
    device = f"{found.device}, {found.memory_mb / 1024:.1f} GiB"
    return {
        "python_version": f"{found.versions.get('python', '?')} ({mlx}, {device})",
        "capability": msgspec.json.encode(found).decode(),
    }


def machine_memory_mb() -> int:
    """Give this machine's memory in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def free_memory_mb() -> int:
    """Give what is free of it in MiB; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") >> 20
    except (ValueError, OSError):  # macOS does not know the word
        return 0


def free_disk_mb(folder: Path) -> int:
    """Give the free MiB where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >> 20


_EXTRA = "pip install 'karl-ledger[train]'"
_ADVICE = {
    "apple": "it needs a Mac with Apple silicon",
    "cuda": "pip install 'karl-ledger[train-cuda]' on Linux with an NVIDIA driver from 580 on",
}


def _asked() -> Capability:
    try:
        done = subprocess.run(
            (sys.executable, "-P", "-c", _ASK),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(
            f"mlx does not load within {_WAIT_S} s on this node; is its disk or memory full?"
        ) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-_TAIL:]
        if "ModuleNotFoundError" in said or "PackageNotFoundError" in said:
            raise Refused(f"this node can not train, for mlx is not installed here: {_EXTRA} ({_last(said)})")
        raise Refused(f"this node can not train, for mlx does not load here: {_last(said)}")
    told: Any = done.stdout.rpartition(b"\n")[0].rpartition(b"\n")[2]
    return msgspec.json.decode(told, type=Capability)


def _last(said: str) -> str:
    return said.splitlines()[-1] if said else "it said nothing"

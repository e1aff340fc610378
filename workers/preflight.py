"""Whether this node can train, found out by training a little: the job `preflight`.

Invariants:
- What is told is measured on this node, in a process like the one that trains.
- What is wrong is a finding, never an error of the job: who asked sees the whole list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from karl.errors import KarlError, NotFound, Refused
from karl.jobs import table
from karl.jobs.table import Outcome, Progress
from karl.learning.findings import Finding, ok
from karl.schema.learning import Recipe
from karl.training.base_models import Model, find
from karl.training.order import Smoke, Smoked
from karl.training.process import run
from workers import capability

if TYPE_CHECKING:
    from karl.settings import Settings

#: GFLOP/s of a float32 product below which a CPU's BLAS is the slow one that mlx's wheel comes with.
SLOW_GFLOPS = 10.0
#: MiB that a training needs at least, beside the model's own size, on disk and in memory.
DISK_MIN_MB, MEMORY_MIN_MB = 1024, 1024


class Report(msgspec.Struct, frozen=True):
    """What a node can train with. `seconds_an_iteration` and `gflops` are those of the last smoke run."""

    ready: bool
    node: str
    device: str
    versions: dict[str, str]
    findings: tuple[Finding, ...]
    seconds_an_iteration: float = 0.0
    gflops: float = 0.0


def job(arguments: table.Preflight, settings: Settings, progress: Progress) -> Outcome:
    """Look at this node, as a job."""
    return Outcome(
        msgspec.to_builtins(preflight(arguments.model or settings.train_model, settings, progress))
    )


def preflight(model: str, settings: Settings, progress: Progress) -> Report:
    """Look at this node: who it is, device, versions, room, and two iterations of training."""
    findings = [_designated(settings)]
    try:
        found = capability.find(settings)
    except Refused as error:
        findings.append(Finding("mlx", "fail", str(error)))
        return Report(False, settings.node, "", {}, tuple(findings))
    named = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    findings += [
        Finding("device", "ok", f"{found.device}: {found.name}, {found.memory_mb / 1024:.1f} GiB"),
        Finding("versions", "ok", named),
        _disk(settings),
        _memory(found),
    ]
    progress(1, 3, "training a tiny model")
    smoked, said = _smoke(None, settings, "a tiny model")
    findings += said
    base, said_of_it = _model(model, settings)
    findings.append(said_of_it)
    if base is not None and smoked is not None:
        progress(2, 3, f"training {base.name}")
        of_base, said = _smoke(base, settings, base.name)
        findings += said
        smoked = of_base or smoked
    each, gflops = (smoked.seconds_an_iteration, smoked.gflops) if smoked else (0.0, 0.0)
    return Report(ok(findings), settings.node, found.device, found.versions, tuple(findings), each, gflops)


def _designated(settings: Settings) -> Finding:
    if settings.node in settings.gpu_node:
        return Finding("node", "ok", f"{settings.node} is one that KARL_GPU_NODE names")
    named = ", ".join(settings.gpu_node) or "no node"
    todo = (
        f"set KARL_GPU_NODE={settings.node} where its worker is started, and start `karl worker jobs train`"
    )
    return Finding("node", "warn", f"this node is {settings.node}, and KARL_GPU_NODE names {named}", todo)


def _disk(settings: Settings) -> Finding:
    free = capability.free_disk_mb(settings.runs)
    told = f"{free / 1024:.1f} GiB free in {settings.data_dir}"
    if free < DISK_MIN_MB:
        return Finding("disk", "fail", told, f"a training needs {DISK_MIN_MB} MiB at least; make room")
    return Finding("disk", "ok", told)


def _memory(found: capability.Capability) -> Finding:
    free = capability.free_memory_mb()
    told = (
        f"{free / 1024:.1f} GiB free"
        if free
        else f"{found.memory_mb / 1024:.1f} GiB, how much is free is not told"
    )
    if 0 < free < MEMORY_MIN_MB:
        return Finding("memory", "warn", told, "a small model needs 1 to 2 GiB; end what else is large")
    return Finding("memory", "ok", told)


def _model(name: str, settings: Settings) -> tuple[Model | None, Finding]:
    try:
        found = find(settings.models, name)
    except NotFound as error:
        return None, Finding(
            "model", "fail", str(error), "`karl models` says which there are and how to get one"
        )
    return found, Finding("model", "ok", f"{found.name}, {found.digest[:12]}, in {found.path}")


def _smoke(base: Model | None, settings: Settings, name: str) -> tuple[Smoked | None, list[Finding]]:
    """Train two iterations."""
    order = Smoke(
        base.path if base else None, Recipe(iters=2, batch=2, every=2), capability.device_of(settings)
    )
    try:
        found = run(order, cache=settings.fast)
    except KarlError as error:
        return None, [Finding("training", "fail", f"{name} can not be trained: {error}", "see what it says")]
    losses = " then ".join(f"{loss:.3f}" for loss in found.losses)
    told = (
        f"{name}: {len(found.losses)} iterations, loss {losses}, {found.seconds_an_iteration:.2f} s each, "
        f"{found.peak_mb:,.0f} MB at most"
    )
    return found, [Finding("training", "ok", told), *([] if base else [_speed(found)])]


def _speed(found: Smoked) -> Finding:
    told = f"{found.gflops:,.0f} GFLOP/s in float32" + (f", by {found.blas}" if found.blas else "")
    if found.gflops < SLOW_GFLOPS:
        todo = "pip install 'karl-ledger[train]' brings a fast BLAS; or apt-get install libopenblas0"
        return Finding("speed", "warn", f"{told}; with a fast BLAS a CPU does 50 and more", todo)
    return Finding("speed", "ok", told)

"""What is done with an adapter: a prompt answered with it, and a model with its changes written out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from karl.errors import Refused
from karl.training.base_models import Model, find
from karl.training.order import Fuse, Fused, Generate, Generated, Notice
from karl.training.process import run
from karl.views.lineage import Lineage
from workers.adapters import named, whole_folder
from workers.capability import device_of
from workers.proofs import Proofs

if TYPE_CHECKING:
    from karl.schema.learning import TrainingBody
    from karl.settings import Settings

Progress = Callable[[Notice], object]


def fuse(
    settings: Settings, name: str, out: Path, *, model: str, gguf: bool, progress: Progress | None
) -> Fused:
    """Write the model of an adapter, with the adapter's changes in it, into the folder `out`.

    It is there whole or not at all; with `gguf`, a file for llama.cpp stands in it too. `model` is where its
    base model is, if not where its name says. Raises Refused where `out` is there, or the model is another
    one than the adapter was trained for; NotFound, KarlError.
    """
    if out.exists():
        raise Refused(f"{out} is there already; name a folder that is not")
    body = _training(settings, name)
    base = _model(settings, body, model)
    folder = whole_folder(settings, body)
    order = Fuse(model=base.path, adapter=folder, out=out.absolute(), gguf=gguf, device=device_of(settings))
    return run(order, cache=settings.fast, progress=progress)


def answer(settings: Settings, name: str, prompt: str, *, model: str, base: bool, tokens: int) -> Generated:
    """Let the model of an adapter answer a prompt, with the adapter or, as `base`, without.

    Raises as `fuse` does.
    """
    body = _training(settings, name)
    of = _model(settings, body, model)
    order = Generate(
        model=of.path,
        prompt=prompt,
        adapter=None if base else whole_folder(settings, body),
        max_tokens=tokens,
        device=device_of(settings),
    )
    return run(order, cache=settings.fast)


def _training(settings: Settings, name: str) -> TrainingBody:
    with Lineage(settings.views) as views:
        return Proofs(settings, views).training(named(views, name))


def _model(settings: Settings, body: TrainingBody, name: str) -> Model:
    found = find(settings.models, name or body.model)
    if found.digest != body.model_digest:
        raise Refused(
            f"{found.path} is not the model that the adapter was trained for ({body.model}, "
            f"{body.model_digest[:12]}): it has {found.digest[:12]}; --model names another"
        )
    return found

"""A model with an adapter's changes in it, as a folder that anything which loads such models can use."""

from __future__ import annotations

import shutil

from mlx.utils import tree_unflatten

from karl.errors import KarlError, Refused
from karl.training import checkpoint, gguf
from karl.training.loaded import choose, load
from karl.training.order import Fuse, Fused
from karl.training.telling import Teller


def fuse(order: Fuse, teller: Teller) -> Fused:
    """Write the folder. Raises KarlError where that can not be done."""
    if order.out.exists():
        raise Refused(f"{order.out} is there already; remove it first, or name another folder")
    choose(order.device)
    teller.where("loading the model")
    if order.gguf:
        gguf.check(order.model)
    loaded = load(order.model, order.adapter)
    from mlx_lm.utils import save  # noqa: PLC0415 - loaded by now; a refusal need not wait for it

    changed = [(name, part.fuse()) for name, part in loaded.model.named_modules() if hasattr(part, "fuse")]
    loaded.model.update_modules(tree_unflatten(changed))
    teller.where("writing the folder")
    order.out.parent.mkdir(parents=True, exist_ok=True)
    folder = checkpoint.fresh(order.out.parent)
    try:
        save(folder, str(order.model), loaded.model, loaded.tokenizer, loaded.config, donate_model=False)
        (folder / "README.md").unlink(missing_ok=True)  # a card about a hub that it never saw
        if order.gguf:
            gguf.write(folder)
        checkpoint.settle(folder, order.out)
    except RuntimeError as error:
        raise KarlError(f"{order.out} can not be written: {error}; is the disk full?") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Fused(order.out, sum(path.stat().st_size for path in order.out.iterdir()))

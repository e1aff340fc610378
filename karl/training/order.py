"""What a process of `python -m karl.training` is asked to do, and what it says.

One order goes in as one line of JSON; lines come out, each a Notice, the last of kind `done` or `failed`.
Nothing here imports mlx: whoever gives orders stays small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import msgspec

from karl.schema.learning import Measured, Recipe

#: Files of an adapter, as mlx-lm names them.
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
#: The folder of a run in which its adapter is, once there is one.
ADAPTER = "adapter"


class Trained(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a training; `files` are those in `adapter`, with their sha256.

    `best` is the iteration whose checkpoint was kept. `cut` counts rows whose history was too long, `left`
    those whose answer alone was, which are not trained with. `ess` is the effective sample size of the
    weights of `rows` rows, `tokens` counts all that went through, those of histories too.
    """

    adapter: Path
    files: dict[str, str]
    best: int
    curve: tuple[Measured, ...]
    device: str
    versions: dict[str, str]
    rows: int
    ess: float
    tokens: int
    tokens_per_s: float
    seconds: float
    peak_mb: float
    resumed: int = 0
    cut: int = 0
    left: int = 0


class Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """How each item was answered, in the order of the file.

    `tools`: the tool was right; `targets`: the tool and what it was called on. Both are false where the
    item's answer is no call. `nll` is the mean over the `tokens` tokens of the answer, in nats. `guard` is
    the mean over all tokens of plain answers.
    """

    tools: tuple[bool, ...]
    targets: tuple[bool, ...]
    nll: tuple[float, ...]
    tokens: tuple[int, ...]
    device: str
    seconds: float
    guard: float | None = None
    cut: int = 0


class Smoked(msgspec.Struct, frozen=True):
    """What a node can do: losses of the iterations, seconds an iteration, GFLOP/s of a float32 product.

    `compiled` says whether mlx compiles what it runs, `blas` which library was put in mlx's place, if any.
    """

    losses: tuple[float, ...]
    seconds_an_iteration: float
    gflops: float
    peak_mb: float
    device: str
    versions: dict[str, str]
    compiled: bool
    blas: str


class Fused(msgspec.Struct, frozen=True):
    """A model's folder that was written, and its size in bytes, that of a GGUF file in it too."""

    out: Path
    bytes: int


class Generated(msgspec.Struct, frozen=True):
    """What a model said, in so many tokens."""

    text: str
    tokens: int
    seconds: float


class Converted(msgspec.Struct, frozen=True):
    """A model's folder that was written, and its size in bytes."""

    out: Path
    bytes: int


Result = Trained | Judged | Smoked | Fused | Generated | Converted
R_co = TypeVar("R_co", bound=Result, covariant=True)


class Ask(msgspec.Struct, Generic[R_co], frozen=True):
    """An order, by what comes of it."""


class Train(Ask[Trained], frozen=True, tag="train", omit_defaults=True):
    """Train an adapter: `data` has train.jsonl and valid.jsonl, `model` is a folder.

    `name` is what the adapter calls its model, for folders differ between machines. `out` gets the
    checkpoints and at last `adapter/`; with `resume` it goes on from the last checkpoint in it, if any.
    `device` is `cpu`, `gpu`, or what mlx finds.
    """

    data: Path
    model: Path
    name: str
    out: Path
    recipe: Recipe
    resume: bool = False
    device: str = ""


class Judge(Ask[Judged], frozen=True, tag="judge", omit_defaults=True):
    """Judge a model, or it with an adapter, by rows whose last message is the answer (`karl.learning.row`).

    `tools` are the tools that may be chosen: those of the rows that were trained with. `guard` adds the loss
    on plain instructions. At most `batch` rows go through at once.
    """

    model: Path
    items: Path
    tools: tuple[str, ...]
    adapter: Path | None = None
    guard: bool = True
    batch: int = 8
    max_tokens: int = 512
    device: str = ""


class Smoke(Ask[Smoked], frozen=True, tag="smoke", omit_defaults=True):
    """Train a few iterations with rows made up for it: of `model`, or of a tiny one that is made up too."""

    model: Path | None = None
    recipe: Recipe = Recipe(iters=2)
    device: str = ""


class Fuse(Ask[Fused], frozen=True, tag="fuse", omit_defaults=True):
    """Write a model with an adapter's changes in it into the folder `out`, which must not be there yet.

    With `gguf`, a file model.gguf for llama.cpp stands in it too, where the model is of a kind that can.
    """

    model: Path
    adapter: Path
    out: Path
    gguf: bool = False
    device: str = ""


class Generate(Ask[Generated], frozen=True, tag="generate", omit_defaults=True):
    """Let a model, or it with an adapter, answer a prompt, by its most likely tokens."""

    model: Path
    prompt: str
    adapter: Path | None = None
    max_tokens: int = 64
    device: str = ""


class Convert(Ask[Converted], frozen=True, tag="convert", omit_defaults=True):
    """Write a GGUF file of a llama as a folder for mlx-lm, in float32; `out` must not be there yet."""

    gguf: Path
    out: Path
    device: str = ""


Order = Train | Judge | Smoke | Fuse | Generate | Convert

#: What comes of each order.
RESULTS: dict[type[Ask[Result]], type[Result]] = {
    Train: Trained,
    Judge: Judged,
    Smoke: Smoked,
    Fuse: Fused,
    Generate: Generated,
    Convert: Converted,
}


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the process: how far it is, that a checkpoint is on disk, or what came of it.

    `iteration` of `iterations` counts items where rows are judged. Losses are nats a token. `peak_mb` is the
    most memory that mlx held. `reason` says why it `failed`, in a line for people.
    """

    kind: Literal["progress", "saved", "done", "failed"]
    where: str = ""
    iteration: int = 0
    iterations: int = 0
    train_loss: float | None = None
    valid_loss: float | None = None
    tokens_per_s: float = 0.0
    seconds_left: float | None = None
    peak_mb: float = 0.0
    reason: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")


def encode(what: Ask[Result] | Result | Notice) -> bytes:
    """Give an order, a result or a line as JSON."""
    return msgspec.json.encode(what, enc_hook=str)


def decode_order(line: bytes) -> Order:
    """Read an order."""
    return cast("Order", msgspec.json.decode(line, type=Order, dec_hook=_path))


def decode_result(data: bytes | msgspec.Raw, order: Ask[R_co]) -> R_co:
    """Read what came of an order."""
    return cast("R_co", msgspec.json.decode(data, type=RESULTS[type(order)], dec_hook=_path))


def _path(kind: type, value: object) -> Path:
    assert kind is Path, "paths are all that JSON does not have"
    return Path(str(value))

"""Where a training was: all that another process, on another machine too, needs to go on from there.

    OUT/checkpoint-0000050/     weights.safetensors    the adapter after 50 iterations
                                best.safetensors       the adapter of the best iteration so far
                                optimizer.safetensors  what the optimizer keeps, and the state of chance
                                state.json             State

Invariants:
- A checkpoint appears under its name when all of it is on disk; what is under way has a hidden name.
- There is one at a time: an older one goes when the next is on disk.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from karl.disk import sync
from karl.errors import KarlError
from karl.schema.learning import Measured

LAST, BEST, OPTIMIZER, STATE = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "state.json",
)
_NAME = re.compile(r"checkpoint-(\d{7})")
_PARTIAL = ".checkpoint.partial"


class State(msgspec.Struct, frozen=True):
    """How far it was. `of` is a digest of what is trained with: another training may not go on from here.

    `best` is an iteration, 0 before the first. `seconds` and `tokens` are those of training so far,
    `resumed` how often it went on from a checkpoint.
    """

    of: str
    iteration: int
    curve: tuple[Measured, ...]
    best: int
    seconds: float
    tokens: int
    peak_mb: float
    resumed: int


def last(out: Path) -> Path | None:
    """Find the last checkpoint of a run."""
    found = [path for path in out.glob("checkpoint-*") if _NAME.fullmatch(path.name) and path.is_dir()]
    return max(found, default=None)


def read_state(folder: Path, of: str) -> State:
    """Read how far it was. Raises KarlError where that can not be read, or is of another training."""
    try:
        state = msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise KarlError(
            f"{folder} is no checkpoint that could be read ({error}); start without it"
        ) from error
    if state.of != of:
        raise KarlError(
            f"{folder} is of a training with another data set, model or recipe; start in an empty folder"
        )
    return state


def write(out: Path, folder: Path, state: State) -> Path:
    """Make a checkpoint of a hidden folder that has the arrays; gives it under its name."""
    (folder / STATE).write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    older = [path for path in out.glob("checkpoint-*") if path.is_dir()]
    made = out / f"checkpoint-{state.iteration:07d}"
    settle(folder, made)
    for path in older:
        if path != made:
            shutil.rmtree(path)
    return made


def fresh(out: Path) -> Path:
    """Make the hidden folder in which something is written; what an ended process left there goes."""
    folder = out / _PARTIAL
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def settle(folder: Path, name: Path) -> None:
    """Give a folder its name when all in it is on disk, in place of what has that name."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    if name.exists():
        shutil.rmtree(name)
    folder.replace(name)
    sync(name.parent)

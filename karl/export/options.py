"""What a data set is made with: options, what a manifest says of them, the command that makes it again."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from karl.export.rows import Detail
from karl.export.selection import Choice
from karl.learning.groups import GroupBy
from karl.learning.split import Split
from karl.learning.weights import BETA, W_MAX
from karl.schema.learning import Manifest, SplitWay
from karl.views.queries import Filter

Format = Literal["chatml", "completions", "sharegpt", "dpo", "kto", "atif", "parquet", "jsonl"]
Weighting = Literal["awr", "tiers", "filter", "none"]

#: Formats of one row a step, which are weighted, and of pairs; the others are of whole documents.
ROWS = frozenset({"chatml", "completions", "sharegpt", "parquet"})
PAIRS = frozenset({"dpo", "kto"})
#: Options of a data set that say how rows are made, which pairs and documents do without.
_OF_ROWS = ("mask", "weights", "beta", "w_max", "copies", "batch", "synthetic")
_OF_DETAIL = ("detail", "subagents", "max_tokens", "model")


class DataSetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a data set is made. `model` names the model that counts tokens, `digest` its tokenizer.

    `to_seq` 0 stands for all there is. `copies` writes rows as often as they weigh, for trainers without
    weights, and fills up to whole batches of `batch`. `synthetic` is the share of synthetic rows in train.
    """

    format: Format
    choice: Choice = Choice()
    reward_version: str = "2"
    from_seq: int = 1
    to_seq: int = 0
    detail: Detail = "full"
    subagents: bool = False
    mask: bool = True
    split: Split = Split()
    weights: Weighting = "none"
    beta: float = BETA
    w_max: float = W_MAX
    copies: bool = False
    batch: int = 1
    max_tokens: int = 0
    model: str = ""
    digest: str = ""
    synthetic: float = 0.0

    @property
    def has_rows(self) -> bool:
        """Say whether it has a row a step."""
        return self.format in ROWS

    @property
    def has_pairs(self) -> bool:
        """Say whether it has pairs of what was accepted and what was not."""
        return self.format in PAIRS

    @property
    def has_texts(self) -> bool:
        """Say whether calls and results are, or may be, texts: results are a user's messages then."""
        return self.format == "completions" or self.detail == "brief" or bool(self.model)

    def filters(self) -> dict[str, Any]:
        """Give what chose the trajectories; times as ISO-8601 in UTC, only what was asked for."""
        choice = self.choice
        said: dict[str, Any] = {
            name: value for name, value in choice.which._asdict().items() if value not in (None, False)
        }
        for name in ("since_ms", "until_ms"):
            if name in said:
                said[name.removesuffix("_ms")] = _iso(said.pop(name))
        said |= {"sessions": sorted(choice.sessions)} if choice.sessions else {}
        said |= {name: True for name in ("human_only", "completed") if getattr(choice, name)}
        return said | ({"limit": choice.limit} if choice.limit else {})

    def options(self) -> dict[str, Any]:
        """Give what else has an effect on the bytes."""
        split = self.split
        said: dict[str, Any] = {
            "split": split.way, "seed": split.seed, "valid": split.valid, "group_by": split.group_by
        }  # fmt: skip
        names = _OF_DETAIL * (self.has_rows or self.has_pairs) + _OF_ROWS * self.has_rows
        said |= {name: getattr(self, name) for name in names}
        if self.weights != "awr":
            said = {name: value for name, value in said.items() if name not in ("beta", "w_max")}
        if self.model:
            said["tokenizer"] = self.digest
        return said

    def command(self) -> str:
        """Give the command that makes it again, whatever order its arguments had and whatever came since."""
        words = ["karl", "export", "--format", self.format]
        for name, value in [*self.filters().items(), *self.options().items()]:
            words += _argument(name, value)
        if self.from_seq > 1:
            words += ["--from-seq", str(self.from_seq)]
        words += ["--to-seq", str(self.to_seq), "--reward-version", self.reward_version, "--output", "DIR"]
        return shlex.join(words)


def of_manifest(manifest: Manifest) -> DataSetOptions:
    """Give the options that a manifest was made with; the model is known by its name alone."""
    said, chosen = dict(manifest.options), dict(manifest.filters)
    way: SplitWay = said.pop("split")
    group_by: GroupBy = said.pop("group_by")
    how = Split(way, said.pop("seed"), said.pop("valid"), group_by)
    said["digest"] = said.pop("tokenizer", "")
    sessions = tuple(chosen.pop("sessions", ()))
    flags = {name: chosen.pop(name) for name in ("human_only", "completed", "limit") if name in chosen}
    for name in ("since", "until"):
        if name in chosen:
            chosen[f"{name}_ms"] = round(datetime.fromisoformat(chosen.pop(name)).timestamp() * 1000)
    return msgspec.convert(
        {
            **said,
            "format": manifest.format,
            "choice": Choice(Filter(**chosen), sessions, **flags),
            "split": how,
            "reward_version": manifest.reward_version,
            "from_seq": manifest.ledger.from_seq,
            "to_seq": manifest.ledger.to_seq,
        },
        DataSetOptions,
    )


def _argument(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if name == "sessions":
        return [word for session in value for word in ("--session", session)]
    if name == "tokenizer" or value in ("", 0, False, None):
        return ["--no-mask"] if name == "mask" else ["--seed", "0"] if name == "seed" else []
    if name in ("mask", "batch") and value in (True, 1):
        return []
    return [flag] if value is True else [flag, str(value)]


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")

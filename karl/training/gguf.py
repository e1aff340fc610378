"""A model's folder written as a GGUF file, the way back of `karl.training.convert`, in float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec

from karl.errors import KarlError
from karl.training.adapter import read, writing
from karl.training.convert import DIGITS_APART, NAMES

_FILE = "model.gguf"
_BACK = {here: there for there, here in NAMES.items()}
#: How the file names kinds of tokens and of numbers.
_TEXT, _CONTROL, _FLOAT16 = 1, 3, 1


def check(folder: Path) -> None:
    """Raise KarlError, in a line, where a model is not of the kind that can be written so."""
    config, tokenizer = _json(folder / "config.json"), _json(folder / "tokenizer.json")
    if config.get("model_type") != "llama":
        why = f"it is a {config.get('model_type')}, not a llama"
    elif "quantization" in config:
        why = "its weights are quantized"
    elif tokenizer.get("model", {}).get("type") != "BPE" or not _digits_apart(tokenizer):
        why = "its tokenizer is not of SmolLM's kind"
    else:
        return
    raise KarlError(f"no GGUF can be written of this model: {why}; llama.cpp converts the folder itself")


def write(folder: Path) -> None:
    """Write the file beside a model's files."""
    config = _json(folder / "config.json")
    weights: dict[str, mx.array] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        weights.update(read(path))
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    arrays = {_name(name): _tensor(name, weight, heads) for name, weight in weights.items()}
    facts = {**_facts(config), **_vocabulary(folder, config)}
    with writing(folder / _FILE):
        mx.save_gguf(str(folder / _FILE), arrays, facts)


def _name(name: str) -> str:
    stem = name.removesuffix(".weight")
    parts = stem.split(".")
    if parts[:2] == ["model", "layers"]:
        return f"blk.{parts[2]}.{_BACK['.'.join(parts[3:])]}.weight"
    return f"{_BACK[stem]}.weight"


def _tensor(name: str, weight: mx.array, heads: dict[str, int]) -> mx.array:
    """Give a tensor as the file has it: halves of a head's rows as pairs, norms in float32."""
    part = name.split(".")[-2]
    if part in heads:
        parted = weight.reshape(heads[part], 2, weight.shape[0] // heads[part] // 2, -1)
        weight = parted.swapaxes(1, 2).reshape(weight.shape)
    return weight.astype(mx.float32 if "norm" in name else mx.float16)


def _facts(config: dict[str, Any]) -> dict[str, Any]:
    numbers = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "vocab_size": config["vocab_size"],
    }
    return {
        "general.architecture": "llama",
        "general.name": "karl",
        "general.file_type": mx.array(_FLOAT16, mx.uint32),
        **{f"llama.{name}": mx.array(number, mx.uint32) for name, number in numbers.items()},
        "llama.attention.layer_norm_rms_epsilon": mx.array(config["rms_norm_eps"], mx.float32),
        "llama.rope.freq_base": mx.array(config["rope_theta"], mx.float32),
    }


def _vocabulary(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    tokenizer, about = _json(folder / "tokenizer.json"), _json(folder / "tokenizer_config.json")
    numbers = dict(tokenizer["model"]["vocab"])
    signs = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    numbers.update({token["content"]: token["id"] for token in tokenizer["added_tokens"]})
    tokens = sorted(numbers, key=lambda token: int(numbers[token]))
    if len(tokens) != config["vocab_size"]:
        raise KarlError(
            f"the model has {config['vocab_size']} rows for {len(tokens)} tokens; no GGUF can be written"
        )
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    kinds = [_CONTROL if token in signs else _TEXT for token in tokens]
    named = {
        f"tokenizer.ggml.{name}_token_id": mx.array(numbers[about[key]], mx.uint32)
        for name, key in (
            ("bos", "bos_token"),
            ("eos", "eos_token"),
            ("unknown", "unk_token"),
            ("padding", "pad_token"),
        )
        if isinstance(about.get(key), str)
    }
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": DIGITS_APART,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": mx.array(kinds, mx.int32),
        "tokenizer.chat_template": _template(folder, about),
        **named,
    }


def _template(folder: Path, about: dict[str, Any]) -> str:
    beside = folder / "chat_template.jinja"  # where tokenizers are saved now
    return beside.read_text(encoding="utf-8") if beside.is_file() else str(about.get("chat_template", ""))


def _digits_apart(tokenizer: dict[str, Any]) -> bool:
    parts = (tokenizer.get("pre_tokenizer") or {}).get("pretokenizers", ())
    return [part.get("type") for part in parts] == ["Digits", "ByteLevel"]


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise KarlError(f"{path} can not be read: {error}") from error

"""A GGUF file of a llama written as a folder that mlx-lm loads, by mlx alone, in float32.

mlx reads the file's quantised tensors and its metadata: the tokenizer and the chat template are in it. Two
things are different there: rows of the query and key projections stand in another order, and tensors have
other names. float32 because a CPU has no fast product of anything else.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx

from karl.errors import KarlError, NotFound, Refused
from karl.training import checkpoint
from karl.training.adapter import save
from karl.training.loaded import choose
from karl.training.order import Convert, Converted, Notice
from karl.training.telling import Teller

#: A llama's tensors, in GGUF and here.
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)")
#: Values that share a scale, in the kinds of quantisation that mlx reads.
_GROUP = 32
#: A token's kind in the file: it is a sign, not text.
_CONTROL = 3
#: How texts are parted before their pairs are merged, by the file's name for it.
DIGITS_APART = "smollm"


def convert(order: Convert, teller: Teller) -> Converted:
    """Write the folder. Raises KarlError for a file that can not be read, or is of another kind of model."""
    choose("cpu")
    if order.out.exists():
        raise Refused(f"{order.out} is there already; remove it first, or take another name")
    if not order.gguf.is_file():
        raise NotFound(f"{order.gguf} is not there")
    try:
        found: Any = mx.load(str(order.gguf), format="gguf", return_metadata=True)
    except (RuntimeError, ValueError) as error:
        raise KarlError(f"{order.gguf} can not be read as GGUF: {error}") from error
    arrays, about = found
    facts = {key: _plain(value) for key, value in about.items()}
    _check(facts)
    order.out.parent.mkdir(parents=True, exist_ok=True)
    folder = checkpoint.fresh(order.out.parent)
    try:
        _write(arrays, facts, folder, teller)
        checkpoint.settle(folder, order.out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Converted(order.out, sum(path.stat().st_size for path in order.out.iterdir()))


def _write(arrays: dict[str, mx.array], facts: dict[str, Any], folder: Path, teller: Teller) -> None:
    names = sorted(name for name in arrays if name.endswith(".weight"))
    weights: dict[str, mx.array] = {}
    for number, name in enumerate(names):
        weights[_name(name)] = _tensor(arrays, name, facts)
        mx.eval(weights[_name(name)])
        teller.progress(Notice(kind="progress", where=name, iteration=number, iterations=len(names)))
    teller.where("writing the folder")
    save(folder / "model.safetensors", weights)
    _write_json(folder / "config.json", _config(facts, tied="lm_head.weight" not in weights))
    _write_tokenizer(folder, facts)


def _tensor(arrays: dict[str, mx.array], name: str, facts: dict[str, Any]) -> mx.array:
    """Give a tensor in float32, its rows in mlx-lm's order."""
    stem, weight = name.removesuffix(".weight"), arrays[name]
    if (scales := arrays.get(f"{stem}.scales")) is not None:
        bits = weight.shape[-1] // scales.shape[-1]
        biases = arrays[f"{stem}.biases"].astype(mx.float32)
        weight = mx.dequantize(
            weight, scales.astype(mx.float32), biases, group_size=_GROUP, bits=bits, mode="affine"
        )
    weight = weight.astype(mx.float32)
    if stem.endswith("attn_q"):
        return _halves(weight, facts["llama.attention.head_count"])
    if stem.endswith("attn_k"):
        return _halves(weight, facts["llama.attention.head_count_kv"])
    return weight


def _halves(weight: mx.array, heads: int) -> mx.array:
    """Put rows of pairs (first, second, first, …) into two halves, as rotations are applied here."""
    parted = weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1)
    return parted.swapaxes(1, 2).reshape(weight.shape)


def _name(name: str) -> str:
    stem = name.removesuffix(".weight")
    found = _LAYER.fullmatch(stem)
    where, what = (f"model.layers.{found[1]}.", found[2]) if found else ("", stem)
    if what not in NAMES:
        raise KarlError(f"the file has a tensor {name}, which a llama has not")
    return f"{where}{NAMES[what]}.weight"


def _check(facts: dict[str, Any]) -> None:
    kinds = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": DIGITS_APART,
    }
    for key, known in kinds.items():
        if facts.get(key) != known:
            raise KarlError(
                f"its {key} is {facts.get(key)}, and only {known} can be converted here; "
                "mlx_lm.convert takes a model's folder of any kind"
            )


def _config(facts: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": facts["llama.attention.head_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "rms_norm_eps": round(facts["llama.attention.layer_norm_rms_epsilon"], 9),
        "rope_theta": facts["llama.rope.freq_base"],
        "max_position_embeddings": facts["llama.context_length"],
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def _write_tokenizer(folder: Path, facts: dict[str, Any]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415

    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = facts["tokenizer.ggml.token_type"]
    signs = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(sign, special=True, normalized=False) for sign in signs])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[facts["tokenizer.ggml.bos_token_id"]],
            "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
            "unk_token": tokens[facts["tokenizer.ggml.unknown_token_id"]],
            "pad_token": tokens[facts["tokenizer.ggml.padding_token_id"]],
            "chat_template": facts["tokenizer.chat_template"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": facts["llama.context_length"],
        },
    )


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, mx.array) else value


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

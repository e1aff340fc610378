"""A tiny model with random weights: what trainings are tried with where no real one is needed.

A llama of two layers with a tokenizer trained on the sentences below and a chat template, under half a
megabyte. It knows nothing, and learns a few lines by heart in seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_VOCABULARY, _WIDTH, _INNER, _LAYERS, _HEADS = 512, 64, 128, 2, 4
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
#: What the tokenizer is trained on: enough that an action is a few dozen tokens, not one a byte.
_SENTENCES = (
    "system user assistant tool result failed ok no result interrupted",
    '{"tool":"Bash","target":"pytest -q"} {"tool":"Read","target":"shop/orders.py"}',
    '{"tool":"Edit","target":"shop/prices.py"} {"tool":"Grep","target":"def total"}',
    '{"tool":"Write","target":"tests/test_orders.py"} {"tool":"Glob","target":"**/*.py"}',
    "the test of the orders fails; find out why, mend it and run the tests again",
    "rename the function in the module and look where else it is called",
    "add a column to the table of prices, and a line about it to the changes",
    "import json from pathlib import Path def main() -> None: return None if not rows else rows[0]",
    "what is the shortest way from the shop to the archive? it is the second street on the left",
)


def write_tiny(folder: Path, *, seed: int = 0) -> None:
    """Write the model into `folder`, which is made; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    _write_json(folder / "config.json", _config(vocabulary))
    _write_weights(folder, vocabulary, seed)


def _write_tokenizer(folder: Path) -> int:
    """Train the tokenizer and write its files; gives the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES * 2, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": _SPECIAL[1],
            "eos_token": _SPECIAL[2],
            "unk_token": _SPECIAL[0],
            "pad_token": _SPECIAL[2],
            "chat_template": _TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 2048,
        },
    )
    return tokenizer.get_vocab_size()


def _config(vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS // 2,
        "rms_norm_eps": 1e-5,
        "vocab_size": vocabulary,
        "rope_theta": 10000.0,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "eos_token_id": 2,
    }


def _write_weights(folder: Path, vocabulary: int, seed: int) -> None:
    from safetensors.numpy import save_file  # noqa: PLC0415

    random = np.random.default_rng(seed)
    keys = _WIDTH // 2
    shapes = {
        "self_attn.q_proj": (_WIDTH, _WIDTH),
        "self_attn.k_proj": (keys, _WIDTH),
        "self_attn.v_proj": (keys, _WIDTH),
        "self_attn.o_proj": (_WIDTH, _WIDTH),
        "mlp.gate_proj": (_INNER, _WIDTH),
        "mlp.up_proj": (_INNER, _WIDTH),
        "mlp.down_proj": (_WIDTH, _INNER),
    }
    # Tokens further apart than other weights would have them: an adapter then learns in dozens of iterations.
    weights = {"model.embed_tokens.weight": 4 * _normal(random, (vocabulary, _WIDTH))}
    for layer in range(_LAYERS):
        for name, shape in shapes.items():
            weights[f"model.layers.{layer}.{name}.weight"] = _normal(random, shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{name}.weight"] = np.ones(_WIDTH, np.float32)
    weights["model.norm.weight"] = np.ones(_WIDTH, np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "mlx"})


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = random.standard_normal(shape) / np.sqrt(shape[-1])
    return made.astype(np.float32)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

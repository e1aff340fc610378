"""What a model answers: its most likely tokens, one by one."""

from __future__ import annotations

import time

from karl.training.chat import Chat
from karl.training.loaded import choose, load
from karl.training.order import Generate, Generated


def generate(order: Generate) -> Generated:
    """Let a model answer a prompt, as a user's message through its chat template."""
    from mlx_lm.generate import stream_generate  # noqa: PLC0415

    choose(order.device)
    loaded = load(order.model, order.adapter)
    prompt = Chat(loaded.tokenizer).prompt(order.prompt)
    begun_s = time.monotonic()
    said = list(stream_generate(loaded.model, loaded.tokenizer, prompt, max_tokens=order.max_tokens))
    text = "".join(part.text for part in said)
    return Generated(text, len(said), round(time.monotonic() - begun_s, 3))

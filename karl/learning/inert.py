"""Recorded text in which nothing is a control token: a prompt that holds `<|im_start|>` opens no turn.

A tokenizer takes the text of a control token for the token wherever it stands, also in what somebody typed
or a tool gave back. A space behind its first character makes it a word like others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Controls:
    """The control tokens of a model's chats: the special ones, and added ones that its template writes.

    `added` says of each added token whether it is special. Words and spaces control nothing.
    """

    def __init__(self, added: Mapping[str, bool], template: str) -> None:
        found = {
            text
            for text, special in added.items()
            if len(text) > 1 and text.strip() and not text.isalnum() and (special or text in template)
        }
        self._tokens = sorted(found, key=lambda text: (-len(text), text))
        self._heads = sorted({text[:2] for text in found})  # some models have thousands of tokens

    def without(self, said: Any) -> Any:
        """Give a text, or the texts in lists and objects, without control tokens."""
        if isinstance(said, str):
            return self._text(said)
        if isinstance(said, list):
            return [self.without(one) for one in said]
        if isinstance(said, dict):
            return {self._text(name): self.without(one) for name, one in said.items()}
        return said

    def _text(self, text: str) -> str:
        if any(head in text for head in self._heads):
            for token in self._tokens:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

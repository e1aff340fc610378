"""How a session is named where its id itself is not to be told: in a data set's manifest."""

from __future__ import annotations

from hashlib import sha256

#: Hexadecimal digits of a mark: of a million sessions, two are alike with a chance of 1 in 37 million.
DIGITS = 16


def mark(session: str) -> str:
    """Give the first 16 hexadecimal digits of the sha256 of a session's id."""
    return sha256(session.encode(errors="surrogatepass")).hexdigest()[:DIGITS]

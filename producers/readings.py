"""Other ways to read a text in which a secret would hide from a rule: unescaped, joined, decoded from base64.

A reading keeps where each of its bytes came from, so that what a rule finds in it is taken out of the text
itself. Everything here takes time in proportion to the text.
"""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

#: Times that a text is unescaped: JSON in a URL in HTML in JSON.
PASSES_MAX = 3
#: The longest base64 that is decoded, in characters; no file of secrets is longer.
CODED_MAX = 1 << 20

_ENTITIES = {b"quot": b'"', b"apos": b"'", b"lt": b"<", b"gt": b">", b"amp": b"&", b"nbsp": b" "}
_LETTERS = {b"n": b"\n", b"r": b"\n", b"t": b"\t"}
#: Escapes of JSON at any depth, of URLs, of HTML; colours; a line that goes on; strings that are added up.
_ESCAPED = re.compile(
    rb"""\\(?<!\\\\)\\*+(?:u00(?P<u>[2-7][0-9a-fA-F]|1[bB])|x(?P<x>[2-7][0-9a-fA-F]|1[bB])|(?P<c>["'/`nrt])|(?P<l>\r?\n))"""
    rb"""|%(?:25)*(?P<p>[2-7][0-9a-fA-F]|0[aAdD9])"""
    rb"""|&(?:amp;)*(?:(?P<e>quot|apos|lt|gt|amp|nbsp)|\#(?:[xX](?P<h>[2-7][0-9a-fA-F])|(?P<d>3[2-9]|[4-9][0-9])));"""
    rb"""|\x1b\[[0-9;]*[A-Za-z]"""
    rb"""|"[ \t]*(?:[+.&][ \t]*(?:\r?\n[ \t]*)?|\\?\r?\n[ \t]*(?:[+.&][ \t]*)?)[frbu]{0,2}\""""
    rb"""|'[ \t]*(?:[+.&][ \t]*(?:\r?\n[ \t]*)?|\\?\r?\n[ \t]*(?:[+.&][ \t]*)?)[frbu]{0,2}'""",
)
#: A word that is broken at the end of a line, where the next line is its rest and nothing else.
_BROKEN = re.compile(
    rb"""\n[ \t>|#*+]{0,12}(?=(?P<rest>[A-Za-z0-9_+/=.-]{4,200})["'`,;)\]}]{0,3}(?:\r?\n|\Z))"""
)
_WORD_END = re.compile(rb"[A-Za-z0-9_+/=-]{6}\r?\Z")
#: Four characters of base64 for three of plain text; a line feed or a tab may be one of the three.
_QUAD = "(?:[CI-Zabcdef][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-])"
CODED = f"{_QUAD}{{4,}}"
_BETWEEN = r"(?:[\s>|#*]|\\+[nr]|\n[+-]){1,16}"
_CODED_TEXT = (
    f"{_QUAD}{{4,}}(?:{_BETWEEN}{_QUAD}{{4,}})*"
    f"(?:{_BETWEEN}(?:{_QUAD}{{0,3}}[A-Za-z0-9+/_-]{{2,3}}={{1,2}}|{_QUAD}{{1,3}}(?:\\W|$))|[A-Za-z0-9+/_-]{{1,3}}={{0,2}})?"
)
_NO_BASE64 = re.compile(rb"\\+[nr]|\n[+-]|[^A-Za-z0-9+/_-]+")
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n\r"


class Reading(NamedTuple):
    """A text read in another way: `data`, and for each place that differs where it came from.

    `at` are places in `data`; `lengths` and `origins` what stands there and which bytes of the text it is.
    """

    data: bytes
    at: list[int]
    lengths: list[int]
    origins: list[tuple[int, int]]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Give the bytes of the text that `data[start:end]` was read from."""
        return self._where(start)[0], self._where(end - 1)[1]

    def _where(self, place: int) -> tuple[int, int]:
        number = bisect_right(self.at, place) - 1
        if number < 0:
            return place, place + 1
        after = place - self.at[number] - self.lengths[number]
        if after < 0:
            return self.origins[number]
        end = self.origins[number][1]
        return end + after, end + after + 1


def unescaped(data: bytes) -> Iterator[list[Reading]]:
    """Read a text without its escapes, then without those that had been escaped; each the way to the text."""
    way: list[Reading] = []
    for _ in range(PASSES_MAX):
        reading = _read(data, _ESCAPED, _meaning)
        if reading is None:
            return
        way = [reading, *way]
        data = reading.data
        yield way


def joined(data: bytes) -> Reading | None:
    """Read a text with the words whole that were broken at the end of a line; null when none was."""
    return _read(data, _BROKEN, _rest_of_word) if b"\n" in data else None


def decoded(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Find base64 of plain text: where it starts and ends, and the plain text."""
    for match in _coded_text().finditer(data):
        start, end = match.span()
        if end - start > CODED_MAX:
            continue
        coded = _NO_BASE64.sub(b"", match.group()).translate(bytes.maketrans(b"-_", b"+/"))
        coded = coded[: len(coded) - (len(coded) % 4 == 1)]
        plain = binascii.a2b_base64(coded + b"=" * (-len(coded) % 4))
        if len(plain.translate(None, _PLAIN)) * 20 <= len(plain):
            while end < len(data) and data[end : end + 1] == b"=":
                end += 1
            yield start, end, plain


def _read(
    data: bytes, regex: re.Pattern[bytes], meaning: Callable[[re.Match[bytes]], bytes | None]
) -> Reading | None:
    pieces: list[bytes] = []
    at: list[int] = []
    lengths: list[int] = []
    origins: list[tuple[int, int]] = []
    done = size = 0
    for match in regex.finditer(data):
        means = meaning(match)
        if means is None:
            continue
        start, end = match.span()
        size += start - done
        at.append(size)
        lengths.append(len(means))
        origins.append((start, end))
        pieces += [data[done:start], means]
        size += len(means)
        done = end
    return Reading(b"".join([*pieces, data[done:]]), at, lengths, origins) if at else None


def _meaning(match: re.Match[bytes]) -> bytes:
    kind = match.lastgroup
    if kind is None or kind == "l":
        return b""
    text = match[kind]
    if kind == "c":
        return _LETTERS.get(text, text)
    if kind == "e":
        return _ENTITIES[text]
    return bytes([int(text, 10 if kind == "d" else 16)])


def _rest_of_word(match: re.Match[bytes]) -> bytes | None:
    rest, start = match["rest"], match.start()
    if rest.isalpha() or rest.isdigit() or _WORD_END.search(match.string, max(0, start - 7), start) is None:
        return None
    return b""


@cache
def _coded_text() -> Any:
    from producers.redaction import compile_rule  # noqa: PLC0415 - it reads with this module

    return compile_rule(_CODED_TEXT)

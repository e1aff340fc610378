"""Other readings of a text: what a rule finds in one is taken out of the text itself, and nothing beside it."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.key_blocks import key_blocks
from producers.readings import decoded, joined, unescaped
from producers.redact import Redactor

REDACTOR = Redactor()
# Made up, in halves, so that no scanner takes them for keys.
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1b2C"
LINE = "MIIEowIBAAKCAQEA" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAaB3dE5gH7jK9mN1p"
BEGIN, END = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"


def last_reading(data: bytes) -> bytes:
    way = list(unescaped(data))
    return way[-1][0].data if way else data


@pytest.mark.parametrize(
    "text",
    [
        'x = \\"a b\\"',
        "a%3Db%26c",
        "a%253Db",
        "&quot;a&quot; &#39;b&#39;",
        "\x1b[32ma\x1b[0m = b",
        '"a" + "b"',
        "a \\\n b",
        "a\\u003db",
        "",
    ],
)
def test_each_byte_of_a_reading_comes_from_the_text(text: str) -> None:
    data = text.encode()
    for way in unescaped(data):
        for place in range(len(way[0].data)):
            start, end = place, place + 1
            for reading in way:
                start, end = reading.origin(start, end)
            assert 0 <= start < end <= len(data)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(1, 4))
def test_json_in_json_is_read_as_what_it_says(text: str, levels: int) -> None:
    plain = "".join(c for c in text if c.isalnum() or c in " =:;-") + "so"
    written = f'"{plain}"'
    for _ in range(levels):
        written = json.dumps(written, ensure_ascii=False)
    assert plain.encode() in last_reading(written.encode())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab=%&\\\"';u0025n3D \n+", max_size=80))
def test_places_of_a_reading_rise_with_those_of_the_text(text: str) -> None:
    data = text.encode()
    for way in unescaped(data):
        reading = way[0]
        before = [reading.origin(place, place + 1)[0] for place in range(len(reading.data))]
        assert before == sorted(before)


@pytest.mark.parametrize("length", range(20, 60))
def test_base64_is_decoded_wherever_it_starts_and_ends(length: int) -> None:
    plain = ("password=hunter2\nuser=bob\n" * 4)[:length].encode()
    coded = base64.b64encode(plain)
    ((start, end, found),) = decoded(b"x: " + coded + b" y")
    assert (start, found[: length - 3]) == (3, plain[: length - 3])
    assert end >= 3 + len(coded.rstrip(b"=")) - 3


def test_a_word_broken_at_the_end_of_a_line_is_read_whole() -> None:
    reading = joined(f"it is\n{TOKEN[:20]}\n{TOKEN[20:]}\nand more words".encode())
    assert reading is not None
    assert TOKEN.encode() in reading.data


@pytest.mark.parametrize(
    "text",
    [
        "https://x.test/cb?u=https%3A%2F%2Fbob%3Ahunter2%40db.test%2Fx",
        json.dumps(json.dumps(json.dumps({"password": "hunter2"}))),
        "&lt;a password=&quot;hunter2&quot;&gt;",
        base64.b64encode(b"[db]\nuser=app\npassword=hunter2\n").decode(),
        base64.b64encode(base64.b64encode(b"export DB_PASSWORD=hunter2\n")).decode(),
        "'passw' + 'ord': 'hunter2'",
        "\x1b[1mpassword\x1b[0m: hunter2",
        f"{TOKEN[:14]}\n{TOKEN[14:]}\n",
        f'token = "{TOKEN[:18]}" \\\n    "{TOKEN[18:]}"',
    ],
)  # fmt: skip
def test_a_secret_that_hides_in_a_coding_is_found(text: str) -> None:
    redacted, counts = REDACTOR.text(f"before {text}")
    assert redacted.startswith("before ")
    assert sum(counts.values()) >= 1
    for part in ("hunter2", "aHVudGVyMg", "h1bnRlcj", "odW50ZXIy", TOKEN[20:30], TOKEN[2:12]):
        assert part not in redacted


@pytest.mark.parametrize("prefix", ["", "> ", "+", "    ", "12→", "src/a.pem:7:", "2026-01-02 INFO | "])
def test_a_key_goes_whatever_stands_before_its_lines(prefix: str) -> None:
    lines = [BEGIN, *[LINE] * 6, "aB3=", END]
    text = "\n".join(f"{prefix}{line}" for line in ["before", *lines, "after"])
    redacted, _ = REDACTOR.text(text)
    assert "AKCAQEA" not in redacted
    assert redacted.startswith(f"{prefix}before")
    assert redacted.endswith("after")


@pytest.mark.parametrize(("first", "last"), [(0, 5), (4, 9), (2, 7)])
def test_a_part_of_a_key_goes_with_its_mark(first: int, last: int) -> None:
    lines = [BEGIN, *[LINE] * 7, END][first:last]
    redacted, _ = REDACTOR.text("\n".join(lines))
    assert ("AKCAQEA" in redacted) == (first > 0 and last < 9)  # without a mark nothing says that it is a key


def test_words_about_keys_are_no_key() -> None:
    text = f"if text.startswith('{BEGIN}'):\n    return text\nelse:\n    look_for('{END}')\n"
    assert list(key_blocks(text.encode())) == []


@pytest.mark.parametrize(
    "table",
    [
        "id,email,password,created\n1,a@x.test,SECRET,2024\n",
        " id | password_hash | api_key \n----+------+-----\n  1 | SECRET | SECRET\n",
        "name\ttoken\nbob\tSECRET\n",
        '"user","secret"\n"bob","SECRET"\n',
    ],
)
def test_the_cells_under_a_telling_heading_go_and_the_others_stay(table: str) -> None:
    redacted, _ = REDACTOR.text(table.replace("SECRET", "aB3dE5gH7jK9mN1p"))
    assert "aB3dE5gH" not in redacted
    assert redacted.splitlines()[0] == table.splitlines()[0]


def test_counts_and_words_under_such_a_heading_stay() -> None:
    table = "model,token,password\nsmall,12000,yes\nlarge,9000000000,required\n"
    assert REDACTOR.text(table) == (table, {})

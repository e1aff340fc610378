"""The encoder that is asked over HTTP: two dialects, and a service that fails in every way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from karl.encoders.http import Http
from karl.errors import EncoderSilent, SettingsError
from tests.encoders.conftest import Service


class Clock:
    """A clock that is moved by hand; waiting moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(service: Service, clock: Clock, **more: Any) -> Http:
    return Http(service.url, clock=clock, wait=clock.wait, **more)


def test_the_single_dialect_asks_for_one_text_at_a_time(service: Service, clock: Clock) -> None:
    encoder = made(service, clock, dim=2, token="shown")
    rows = encoder.encode(["one", "two"])
    assert np.allclose(rows, [[0.6, 0.8], [0.6, 0.8]])
    assert service.asked == [{"text": "one"}, {"text": "two"}]
    assert service.headers[0]["Authorization"] == "Bearer shown"
    encoder.close()


def test_the_openai_dialect_sends_texts_together_and_puts_answers_in_order(
    service: Service, clock: Clock
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        data = [
            {"index": place, "embedding": [float(len(text)), 1.0]} for place, text in enumerate(body["input"])
        ]
        return 200, {"data": data[::-1]}

    service.answer = answer
    encoder = made(service, clock, dialect="openai", model="m")
    assert encoder.dim == 2
    rows = encoder.encode(["x" * (place + 1) for place in range(70)])
    assert np.allclose(rows[:, 0] / rows[:, 1], range(1, 71), rtol=1e-4)
    assert [len(body["input"]) for body in service.asked] == [1, 64, 6]
    assert service.asked[1]["model"] == "m"
    encoder.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"embedding": [1.0, 2.0, 3.0]},
        {"embedding": [1.0, None]},
        {"embedding": "words"},
        {"embedding": [float("nan"), 1.0]},
        {"embedding": [[1.0, 2.0]]},
        {"embedding": [0.0, 0.0]},
        {"vector": [1.0, 2.0]},
        [1.0, 2.0],
        b"<html>",
        b'{"embedding": [1e999, 1]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_vector_of_the_dimension_is_refused(service: Service, clock: Clock, answer: Any) -> None:
    encoder = made(service, clock, dim=2)
    service.answer = lambda body: (200, answer)
    with pytest.raises(EncoderSilent):
        encoder.encode(["text"])
    encoder.close()


def test_a_service_that_stumbles_is_asked_again(service: Service, clock: Clock) -> None:
    answers = iter([(503, {}), (429, {}), (200, {"embedding": [0.0, 2.0]})])
    service.answer = lambda body: next(answers)
    encoder = made(service, clock, dim=2)
    assert np.allclose(encoder.encode(["text"]), [[0, 1]])
    assert clock.now > 0
    encoder.close()


def test_a_refusal_is_not_repeated_and_a_redirect_not_followed(service: Service, clock: Clock) -> None:
    encoder = made(service, clock, dim=2)
    for status in (401, 307):
        service.asked.clear()
        service.answer = lambda body, status=status: (status, {})
        with pytest.raises(EncoderSilent, match=f"status {status}"):
            encoder.encode(["text"])
        assert len(service.asked) == 1
    encoder.close()


def test_after_three_failures_nothing_is_asked_for_a_while_and_then_once(
    service: Service, clock: Clock
) -> None:
    encoder = made(service, clock, dim=2)
    service.answer = lambda body: (401, {})
    for _ in range(3):
        with pytest.raises(EncoderSilent, match="401"):
            encoder.encode(["text"])
    with pytest.raises(EncoderSilent, match="not asked for a while"):
        encoder.encode(["text"])
    assert len(service.asked) == 3
    clock.now += 31
    with pytest.raises(EncoderSilent, match="401"):
        encoder.encode(["text"])
    with pytest.raises(EncoderSilent, match="not asked"):
        encoder.encode(["text"])
    clock.now += 31
    service.answer = lambda body: (200, {"embedding": [1.0, 0.0]})
    assert encoder.encode(["text"]).shape == (1, 2)
    encoder.close()


def test_an_answer_that_comes_piece_by_piece_has_no_more_time_than_another(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = httpx.Response.iter_bytes

    def slowly(response: httpx.Response) -> Iterator[bytes]:
        for piece in pieces(response):
            for at in range(len(piece)):
                clock.wait(1.0)
                yield piece[at : at + 1]

    monkeypatch.setattr(httpx.Response, "iter_bytes", slowly)
    encoder = made(service, clock, dim=2, timeout_s=5.0)
    with pytest.raises(EncoderSilent, match="ReadTimeout"):
        encoder.encode(["one"])
    assert clock.now < 25
    encoder.close()


def test_nobody_at_the_address_is_said_without_its_path_or_secrets(clock: Clock) -> None:
    encoder = Http("http://127.0.0.1:1/secret-path?key=1", dim=2, clock=clock, wait=clock.wait)
    with pytest.raises(EncoderSilent) as raised:
        encoder.encode(["text"])
    assert "secret-path" not in str(raised.value)
    assert "ConnectError" in str(raised.value)
    encoder.close()


@pytest.mark.parametrize("url", ["", "ftp://host/x", "127.0.0.1:80", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="KARL_EMBED_URL"):
        Http(url)


def test_the_version_tells_models_and_addresses_apart(service: Service, clock: Clock) -> None:
    versions = set()
    for more in ({}, {"model": "a"}, {"model": "b"}, {"dialect": "openai"}):
        encoder = made(service, clock, dim=2, **more)
        versions.add(encoder.version)
        encoder.close()
    assert len(versions) == 4

"""Batches of an import on their way: one after the other, and nothing counts as sent before its answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.errors import LineDown
from producers import importing
from producers.envelope import EnvelopeMaker
from producers.importing import Sender
from producers.push import Parcel, Pushed
from producers.redact import Redactor

MAKER = EnvelopeMaker(node="n1", redactor=Redactor())


class Server:
    """Stands where the server is: takes a batch when it is let, and may refuse it."""

    def __init__(self) -> None:
        self.took: list[list[bytes]] = []
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.lengths: list[dict[int, int]] = []
        self.is_down = False

    def push(self, _redis: object, parcels: list[Parcel], **_given: object) -> Pushed:
        self.asked.set()
        assert self.may_answer.wait(10)
        if self.is_down:
            raise LineDown("away")
        self.took.append([parcel.data for parcel in parcels])
        return Pushed({}, self.lengths.pop(0) if self.lengths else {})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setattr(importing, "push", made.push)
    yield made
    made.may_answer.set()


def sender_of(waited: list[float] | None = None, stream_max: int = 100) -> Sender:
    seconds: list[float] = [] if waited is None else waited
    return Sender(None, MAKER, stream_max, seconds.append)  # type: ignore[arg-type]


def test_a_batch_that_was_begun_is_on_its_way_while_its_sender_goes_on(server: Server) -> None:
    sender = sender_of()
    sender.events("s", [b"one"])
    sender.send()
    assert server.asked.wait(10)
    assert server.took == []
    sender.events("s", [b"two"])
    server.may_answer.set()
    sender.settle()
    assert server.took == [[b"one"]]
    sender.flush()
    assert server.took == [[b"one"], [b"two"]]


def test_a_batch_goes_out_when_the_one_before_was_answered(server: Server) -> None:
    sender = sender_of()
    server.may_answer.set()
    for number in range(5):
        sender.events("s", [b"%d" % number])
        sender.send()
    sender.settle()
    assert server.took == [[b"%d" % number] for number in range(5)]


@pytest.mark.parametrize("how", ["send", "flush", "settle"])
def test_what_failed_on_its_way_is_told_to_whoever_comes_next(server: Server, how: str) -> None:
    sender = sender_of()
    server.may_answer.set()
    server.is_down = True
    sender.events("s", [b"one"])
    sender.send()
    with pytest.raises(LineDown):
        getattr(sender, how)()
    server.is_down = False
    sender.drop()
    sender.settle()
    sender.flush()
    assert server.took == [[]]


def test_dropping_waits_for_what_is_on_its_way_and_forgets_how_it_ended(server: Server) -> None:
    sender = sender_of()
    server.is_down = True
    sender.events("s", [b"one"])
    sender.send()
    assert server.asked.wait(10)
    server.may_answer.set()
    sender.drop()
    sender.settle()
    assert server.took == []


def test_while_a_stream_is_over_its_bound_the_next_batch_waits(server: Server) -> None:
    waited: list[float] = []
    sender = sender_of(waited, stream_max=10)
    server.may_answer.set()
    server.lengths = [{3: 11}, {3: 11}, {3: 10}]
    sender.events("s", [b"one"])
    sender.send()
    sender.events("s", [b"two"])
    sender.send()
    sender.settle()
    assert len(waited) == 2
    assert server.took == [[b"one"], [], [], [b"two"]]


def test_a_dead_letter_goes_with_the_batch_that_it_was_met_in(server: Server) -> None:
    sender = sender_of()
    server.may_answer.set()
    sender.bury(b"{", "not JSON", Path("f"), 1)
    sender.send()
    sender.settle()
    assert server.took == [[b"{"]]

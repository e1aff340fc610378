"""`karl doctor --only LINK --here`: the health of one machine's worker, not of the line as a whole."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from karl.doctor import ledger
from tests.conftest import wait_until
from tests.doctor.conftest import Home, Processes

Running = Callable[[], Processes]


def test_the_worker_of_this_node_is_asked_for_and_no_other(running: Running) -> None:
    line = running()
    for link in ("sessions", "ledger"):
        ours = line.visit("--only", link, "--here")
        assert (ours.code, ours[f"{link}/of this node"]["verdict"]) == (0, "ok")
        others = line.visit("--only", link, "--here", KARL_NODE="n2")
        assert (others.code, others.failing) == (1, [f"{link}/of this node"])
        assert "n2" in others[f"{link}/of this node"]["seen"]
        assert line.visit("--only", link, KARL_NODE="n2").code == 0


def test_a_standby_is_at_work_and_one_that_hangs_is_not(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = running()
    monkeypatch.setattr(ledger, "SILENT_S", 2)
    writer = line.running.pop("ledger")
    line.environ["KARL_NODE"] = "n2"
    line.start("ledger")
    line.environ["KARL_NODE"] = "n1"

    def standby() -> bool:
        found = line.visit("--only", "ledger", "--here", KARL_NODE="n2", KARL_LEASE_TTL_S="1")
        return found.code == 0 and "1 standing by" in found["ledger/writer"]["seen"]

    wait_until(standby, "the second one stands by")
    hanging = line.running["ledger"]
    hanging.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not standby(), "its silence is noticed")
        found = line.visit("--only", "ledger", KARL_LEASE_TTL_S="1")
    finally:
        hanging.send_signal(signal.SIGCONT)
        line.end("ledger")
        line.running["ledger"] = writer
    assert found.failing == [], (found.told, (line.folder / "ledger.log").read_text())
    assert "none stands by" in found["ledger/writer"]["seen"]


def test_without_a_redis_here_says_so_once(home: Home) -> None:
    found = home.visit("--only", "sessions", "--only", "ledger", "--here")
    assert found.code == 1
    names = [check["name"] for check in found.told["checks"]]
    assert "of this node" not in names


def test_here_goes_with_only(home: Home) -> None:
    result = home.karl("doctor", "--here")
    assert result.exit_code == 2
    assert "--only" in result.stderr

"""`karl doctor` on a real line that is cut at one place: it names the place, and does not wait for the rest."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from karl.stream.facts import facts
from karl.views.queries import Views
from tests.conftest import wait_until
from tests.doctor.conftest import Processes

Line = Callable[[], Processes]


@pytest.fixture(autouse=True)
def _at_home(running: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(running().folder)


def test_a_whole_line_is_ok_and_the_event_passes_every_stop_in_order(running: Line) -> None:
    visit = running().visit()
    assert (visit.code, visit.failing, visit.told["ok"]) == (0, [], True)
    probe = visit.told["probe"]
    assert (probe["ok"], probe["cut"], probe["line"]) == (True, None, "installed")
    assert list(probe["ms"]) == ["hook", "ship", "stream", "session", "ledger", "views"]
    assert list(probe["ms"].values()) == sorted(probe["ms"].values())


def test_what_was_sent_through_is_in_the_ledger_and_not_among_the_sessions(running: Line) -> None:
    line = running()
    session = line.visit().told["probe"]["session"]
    ledger = "".join(path.read_text() for path in (line.data / "ledger").glob("*.jsonl"))
    assert session in ledger
    assert json.loads(line.karl("sessions", "--json").stdout) == []
    with Views(line.data / "views" / "views.sqlite") as views:
        assert views.counts().probes > 0


def test_without_a_probe_nothing_is_sent(running: Line) -> None:
    line = running()
    before = json.loads(line.karl("status", "--json").stdout)["ledger"]
    visit = line.visit("--no-probe")
    assert (visit.code, visit.told["probe"]) == (0, None)
    assert json.loads(line.karl("status", "--json").stdout)["ledger"] == before


def test_without_a_shipper_it_is_cut_there_and_leaves_nothing_behind(running: Line) -> None:
    line = running()
    line.end("ship")
    visit = line.visit("--timeout", "60")
    assert visit.code == 1
    assert visit["shipper/process"]["verdict"] == "fail"
    assert "karl ship" in visit["shipper/process"]["hint"]
    assert visit.told["probe"]["cut"] == "ship"
    assert not list(line.spool.glob("claude-code.*"))


def test_without_a_sessions_worker_it_is_cut_there(running: Line) -> None:
    line = running()
    line.end("sessions")
    visit = line.visit("--timeout", "60")
    assert visit.code == 1
    assert visit.failing == ["sessions/workers", "round trip/event"]
    assert visit.told["probe"]["cut"] == "session"
    assert visit.told["probe"]["ms"]["stream"] is not None


def test_without_a_ledger_worker_it_is_cut_there(running: Line) -> None:
    line = running()
    line.end("ledger")
    visit = line.visit("--timeout", "60")
    assert visit.code == 1
    assert visit.failing == ["ledger/writer", "round trip/event"]
    assert visit.told["probe"]["cut"] == "ledger"
    assert visit.told["probe"]["ms"]["session"] is not None


def test_without_a_views_worker_it_is_cut_there_after_the_timeout(running: Line) -> None:
    line = running()
    line.end("views")
    visit = line.visit("--timeout", "4")
    assert visit.code == 1
    assert set(visit.failing) <= {"views/position", "round trip/event"}
    assert visit.told["probe"]["cut"] == "views"
    assert "karl worker views" in visit["round trip"]["hint"]
    again = line.visit("--no-probe")
    assert again.failing == ["views/position"]
    assert "behind the ledger's end" in again["views"]["seen"]


@pytest.mark.parametrize(("name", "stop"), [("ship", "ship"), ("ledger", "ledger")])
def test_a_process_that_is_stopped_still_holding_its_lock_shows_by_the_event(
    running: Line, name: str, stop: str
) -> None:
    line = running()
    line.running[name].send_signal(signal.SIGSTOP)
    try:
        assert line.visit("--timeout", "4").told["probe"]["cut"] == stop
    finally:
        line.running[name].send_signal(signal.SIGCONT)
    wait_until(lambda: facts(line.redis).records_waiting == 0, "the line has caught up")
    wait_until(lambda: facts(line.redis).ledger_lease, "the ledger is held again")


def test_a_hook_that_writes_elsewhere_is_cut_at_the_hook(running: Line, tmp_path: Path) -> None:
    line = running()
    before = line.hooks.read_text()
    line.hooks.write_text(before.replace(str(line.spool), str(tmp_path)))
    try:
        visit = line.visit()
    finally:
        line.hooks.write_text(before)
    assert visit.failing == ["hook/claude-code", "round trip/event"]
    assert visit.told["probe"]["cut"] == "hook"
    assert str(line.spool) in visit.told["probe"]["why"]


def test_a_hook_whose_program_is_gone_is_cut_at_the_hook(running: Line) -> None:
    line = running()
    before = line.hooks.read_text()
    line.hooks.write_text(before.replace("/bin/cat", "/nowhere/cat"))
    try:
        visit = line.visit("--timeout", "0.5")
    finally:
        line.hooks.write_text(before)
    assert "hook/claude-code" in visit.failing
    assert visit.told["probe"]["cut"] == "hook"
    assert "left 0 of" in visit.told["probe"]["why"]
    assert not list(line.spool.glob("claude-code.*"))


def test_without_an_installed_hook_the_rest_of_the_line_is_looked_at_all_the_same(running: Line) -> None:
    line = running()
    before = line.hooks.read_text()
    assert line.karl("hooks", "uninstall").exit_code == 0
    try:
        visit = line.visit()
    finally:
        line.installed()
    assert line.hooks.read_text() == before
    assert visit.failing == ["hook/claude-code"]
    assert visit.told["probe"]["ok"] is True


def test_a_ledger_that_is_written_elsewhere_is_told_from_one_that_is_not_written(
    running: Line, tmp_path: Path
) -> None:
    line = running()
    (tmp_path / "data" / "ledger").mkdir(parents=True)
    visit = line.visit(
        "--timeout", "0.5", KARL_DATA_DIR=str(tmp_path / "data"), KARL_SPOOL_DIR=str(line.spool)
    )
    assert visit.told["probe"]["cut"] == "ledger"
    assert "does not write in" in visit.told["probe"]["why"]


def test_on_a_machine_without_ledger_the_event_is_followed_as_far_as_the_ledger(
    running: Line, tmp_path: Path
) -> None:
    line = running()
    visit = line.visit(KARL_DATA_DIR=str(tmp_path), KARL_SPOOL_DIR=str(line.spool), KARL_NODE="n2")
    assert visit.told["probe"]["ok"] is True
    assert visit.told["probe"]["elsewhere"] == ["views"]
    assert visit.told["probe"]["ms"]["ledger"] is not None
    assert "n1 writes it" in visit["ledger/folder"]["seen"]


def test_damaged_views_are_named_and_made_anew_by_fix(running: Line) -> None:
    line = running()
    line.visit()
    line.end("views")
    path = (line.data / "views" / "views.sqlite").resolve()
    for beside in path.parent.glob(path.name + "-*"):
        beside.unlink()
    path.write_bytes(b"no database " * 4096)
    visit = line.visit("--no-probe")
    assert visit.failing == ["views/file"]
    assert "karl rebuild" in visit["views"]["hint"]
    mended = line.visit("--no-probe", "--fix")
    assert (mended.code, mended["views"]["verdict"]) == (0, "ok")
    assert "anew" in str(mended["views/file"]["fixed"])


def test_a_person_reads_the_same_in_groups(running: Line) -> None:
    shown = running().karl("doctor")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert [word for word in lines if word in {"hook", "spool", "redis", "ledger", "views", "round trip"}]
    assert lines[-1].endswith(" ok")
    assert "views" in lines[-3]

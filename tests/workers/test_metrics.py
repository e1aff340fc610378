"""The figures of every process: one table, valid exposition, true numbers, and nothing that could harm the line."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from redis import Redis

from karl.metrics import serve, table
from karl.metrics.asked import Asked
from karl.metrics.endpoint import CLIENTS_MAX
from karl.metrics.exposition import registry_of
from karl.metrics.metric import Counter, Gauge, Histogram, Sample
from karl.metrics.page import PROCESSES, page
from karl.metrics.serve import Place, Who, telling
from karl.metrics.table import METRICS, told_by
from karl.stream import keys
from tests.conftest import ROOT, wait_until
from tests.workers.conftest import Feed, Line
from workers.processes import LINE, metrics_port
from workers.watch import of_ledger, of_sessions, of_views

Figures = dict[tuple[str, tuple[str, ...]], float]
LABELS = {"version", "process", "node", "doing", "cause", "rule", "partition", "name", "how"}


def figures(text: str) -> Figures:
    """Read an exposition: samples by name and the values of their labels, in the labels' order."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def told(watchers: list) -> Figures:
    return {(s.metric.name, s.labels): s.value for watcher in watchers for s in watcher()}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(port: int, path: str = "/metrics", **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def answers(port: int) -> bool:
    try:
        return bool(get(port))
    except OSError:
        return False


# --- the table ---


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_a_name_follows_the_conventions_of_prometheus(row: table.Metric) -> None:
    assert re.fullmatch(r"karl_[a-z][a-z_]*[a-z]", row.name)
    assert row.name.endswith("_total") == isinstance(row, Counter)
    if isinstance(row, Histogram):
        assert row.name.endswith("_seconds")
        assert list(row.bounds) == sorted(set(row.bounds))
    assert not re.search(r"_(ms|us|ns|kb|mb|kib|mib|minutes|percent)(_|$)", row.name)
    assert set(row.labels) <= LABELS
    assert row.of <= set(PROCESSES)
    assert row.meaning.endswith(".")
    assert row.meaning != "."


def test_every_name_is_declared_once() -> None:
    names = [row.name for row in METRICS]
    assert len(names) == len(set(names))


def test_every_process_of_the_line_tells_something_of_its_own() -> None:
    for process in (*(one.name for one in LINE if one.name in PROCESSES), "up"):
        assert any(row.of == {process} for row in told_by(process)), process


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page(), "run `make docs`"


def test_alerts_and_dashboard_name_metrics_that_there_are() -> None:
    folder = ROOT / "deploy" / "prometheus"
    alerts = yaml.safe_load((folder / "alerts.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    panels = json.loads((folder / "dashboard.json").read_text())["panels"]
    expressions = [rule["expr"] for rule in rules]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    known = {f"{row.name}{end}" for row in METRICS for end in ("", "_bucket", "_count", "_sum")}
    for expression in expressions:
        named = set(re.findall(r"\b(?:karl|process)_\w+", expression))
        assert named <= known | {"process_start_time_seconds", "process_resident_memory_bytes"}, expression
        assert named or "up{" in expression, expression
        for metric, labels in re.findall(r"\b(karl_\w+)\{(\w+)=", expression):
            assert labels in next(row for row in METRICS if row.name == metric).labels
    assert {rule["labels"]["severity"] for rule in rules} == {"warning", "critical"}
    assert all(rule["annotations"]["summary"] for rule in rules)
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_prometheus_is_given_the_rules_that_its_configuration_names() -> None:
    configuration = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounted = {volume.split(":")[1] for volume in services["prometheus"]["volumes"]}
    assert set(configuration["rule_files"]) <= mounted
    (scraped,) = configuration["scrape_configs"][0]["dns_sd_configs"]
    for name in scraped["names"]:
        assert services[name]["environment"]["KARL_METRICS_PORT"] == str(scraped["port"])


# --- counting and exposition ---


@given(st.lists(st.floats(0, 100), max_size=200))
def test_a_histogram_adds_up(seconds: list[float]) -> None:
    histogram = Histogram("", "karl_x_seconds", "X.")
    for one in seconds:
        histogram.observe(one)
    registry = CollectorRegistry()
    registry.register(_One(histogram))  # type: ignore[arg-type]
    samples = figures(generate_latest(registry).decode())
    for bound in histogram.bounds:
        assert samples["karl_x_seconds_bucket", (str(bound),)] == sum(one <= bound for one in seconds)
    assert samples["karl_x_seconds_bucket", ("+Inf",)] == samples["karl_x_seconds_count", ()] == len(seconds)
    assert samples["karl_x_seconds_sum", ()] == pytest.approx(sum(seconds))


class _One:
    def __init__(self, row: Histogram) -> None:
        self._row = row

    def collect(self) -> Iterator:
        from karl.metrics.exposition import _histogram

        yield _histogram(self._row)


@pytest.mark.parametrize("process", PROCESSES)
def test_what_a_process_tells_is_valid_in_both_formats(process: str) -> None:
    hostile = 'a"b\\c\nd'

    def watcher() -> list[Sample]:
        rows = [row for row in told_by(process) if isinstance(row, Counter | Gauge)]
        return [Sample(row, 3, tuple(hostile for _ in row.labels)) for row in rows]

    registry = registry_of(process, "1", hostile, [watcher])
    names = {row.name for row in told_by(process)}
    families = list(parse(generate_latest(registry).decode()))
    kinds = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families}
    assert {name for name in kinds if name.startswith("karl_")} == names
    assert all(kinds[row.name] == row.kind for row in told_by(process))
    assert all(family.documentation for family in families)
    labelled = next(f for f in families if f.name == "karl_build_info").samples[0].labels
    assert labelled == {"version": "1", "process": process, "node": hostile}
    assert list(parse_openmetrics(generate_openmetrics(registry).decode()))


def test_a_defect_is_counted_and_the_worker_goes_on(redis: Redis, tmp_path: Path) -> None:
    from workers.loop import run

    class Odd:
        name = "odd"
        rounds = 0

        def run_once(self, stop: threading.Event) -> None:
            self.rounds += 1
            if self.rounds == 1:
                raise ValueError("a defect")
            if self.rounds == 2:
                raise ConnectionError("away")
            stop.set()

        def forget(self, *, defect: bool = False) -> None: ...
        def close(self) -> None: ...

    before = dict(table.FAILED_ROUNDS.values)
    assert run(Odd(), threading.Event()) == 0
    grown = {labels: value - before.get(labels, 0) for labels, value in table.FAILED_ROUNDS.values.items()}
    assert grown["defect",] == 1
    assert grown["connection",] == 1
    assert told([of_views(_NoViews(), tmp_path)[0]])["karl_defects_caught_total", ("odd",)] >= 1  # type: ignore[arg-type]


class _NoViews:
    seq = 0


# --- what the workers tell ---


def test_lag_is_what_was_not_folded_and_pending_what_is_in_open_turns(
    line: Line, feed: Callable[..., Feed], redis: Redis
) -> None:
    feed("done").turn(calls=2)
    feed("open").prompt()
    redis.xadd(keys.events_key(5), {"d": b"no event"})
    worker = line.sessions()
    worker._balance()
    worker._follow_leases()
    watchers = of_sessions(worker, redis)
    before = told(watchers)
    lags = {labels: value for (name, labels), value in before.items() if name == "karl_lag_entries"}
    assert set(lags) == {(str(p),) for p in range(64)}
    assert sum(lags.values()) == 6 + 1 + 1
    assert lags[(str(keys.partition_of("open")),)] >= 1
    line.drain(worker)
    worker._sweep()
    after = told(of_sessions(worker, redis))
    assert sum(value for (name, _), value in after.items() if name == "karl_lag_entries") == 0
    assert after["karl_pending_entries", ()] == 1
    assert after["karl_dead_letters_waiting", ()] == 1
    assert after["karl_partitions_held", ()] == 64
    assert after["karl_redis_up", ()] == 1


def test_two_workers_together_tell_each_partition_once(line: Line, redis: Redis) -> None:
    first, second = line.sessions(), line.sessions()
    for worker in (first, second, first, second):
        worker._balance()
        worker._follow_leases()
    partitions = [
        labels
        for worker in (first, second)
        for name, labels in told(of_sessions(worker, redis))
        if name == "karl_lag_entries"
    ]
    assert sorted(int(one) for (one,) in partitions) == list(range(64))


def test_the_writer_tells_its_lease_and_its_standby_tells_none(
    line: Line, feed: Callable[..., Feed], redis: Redis
) -> None:
    standby = line.ledger_worker(lease_ttl_s=0.2)
    line.ledger.run_once(line.stop)
    standby.run_once(line.stop)
    holds, waits = told(of_ledger(line.ledger, redis)), told(of_ledger(standby, redis))
    assert holds["karl_lease_held", ()] == 1
    assert holds["karl_lease_term", ()] == 1
    assert waits["karl_lease_held", ()] == 0
    assert ("karl_lease_term", ()) not in waits
    feed().turn()
    worker = line.sessions()
    worker.run_once(line.stop)
    worker._settle()
    assert told(of_ledger(standby, redis))["karl_lag_records", ()] == 1
    line.drain(worker)
    done = told(of_ledger(line.ledger, redis))
    assert done["karl_lag_records", ()] == 0
    assert done["karl_ledgered_records_total", ()] == 1
    assert done["karl_ledger_seq", ()] == 2


# --- the question to the server ---


def test_a_server_that_hangs_holds_nobody_up_and_is_told_as_down() -> None:
    hang = threading.Event()
    asked = []

    def question() -> list[Sample]:
        asked.append(1)
        hang.wait(30)
        return [Sample(table.LAG_RECORDS, 7)]

    watcher = Asked(question, table.REDIS_UP, (OSError,), every_s=0, patience_s=0.01)
    for _ in range(3):
        assert watcher() == [Sample(table.REDIS_UP, 0.0)]
    assert asked == [1]
    hang.set()
    wait_until(lambda: Sample(table.LAG_RECORDS, 7) in watcher(), "the answer has come")


def test_it_is_asked_once_however_many_look() -> None:
    asked = []
    now = [0.0]

    def question() -> list[Sample]:
        asked.append(1)
        return []

    watcher = Asked(question, table.REDIS_UP, (OSError,), every_s=3, clock=lambda: now[0])
    for _ in range(10):
        assert watcher() == [Sample(table.REDIS_UP, 1.0)]
    assert len(asked) == 1
    now[0] = 3.0
    watcher()
    assert len(asked) == 2


def test_an_error_of_the_server_is_told_as_down() -> None:
    def question() -> list[Sample]:
        raise ConnectionError("away")

    assert Asked(question, table.REDIS_UP, (OSError,))() == [Sample(table.REDIS_UP, 0.0)]


# --- the endpoint ---


@contextmanager
def serving(port: int) -> Iterator[None]:
    with telling(Place("127.0.0.1", port), Who("views", "1", "n1")):
        wait_until(lambda: answers(port), "the endpoint answers")
        yield


def test_only_the_figures_are_answered_and_only_for_this_machine() -> None:
    port = free_port()
    with serving(port):
        assert "karl_build_info" in get(port, Host="localhost")
        assert "karl_build_info" in get(port, Host=f"LOCALHOST:{port}")
        assert get(port, Accept="application/openmetrics-text").endswith("# EOF\n")
        for path, headers, status in (
            ("/", {}, 404), ("/metrics/../etc", {}, 404),
            ("/metrics", {"Host": "evil.example"}, 403), ("/metrics", {"Host": "127.0.0.1.evil.example:80"}, 403),
        ):  # fmt: skip
            with pytest.raises(HTTPError) as refused:
                get(port, path, **headers)
            assert refused.value.code == status
            refused.value.close()
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", data=b"x")
        assert refused.value.code == 501
        refused.value.close()
    assert not answers(port)


def test_clients_that_say_nothing_or_very_little_keep_nobody_out() -> None:
    port = free_port()
    with serving(port):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * CLIENTS_MAX)]
        try:
            silent[-1].sendall(b"GET /metr")
            assert "karl_build_info" in get(port)
            assert silent[0].recv(1) == b""  # cut off long before its time
        finally:
            for one in silent:
                one.close()
        assert "karl_build_info" in get(port)


def test_a_port_that_is_taken_is_warned_of_and_had_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serve, "RETRY_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with telling(Place("127.0.0.1", port), Who("views", "1", "n1")), caplog.at_level(logging.WARNING):
            wait_until(lambda: "no metrics on" in caplog.text, "it is warned of")
            other.close()
            wait_until(lambda: answers(port), "the port is had")
    assert caplog.text.count("no metrics on") == 1


def test_an_address_that_is_none_does_not_stop_anybody(caplog: pytest.LogCaptureFixture) -> None:
    with telling(Place("no such host.invalid", 9), Who("views", "1", "n1")):
        wait_until(lambda: "no metrics on" in caplog.text, "it is warned of")


def test_without_a_port_nothing_is_loaded_and_no_thread_runs() -> None:
    code = (
        "import sys, threading\n"
        "import workers.start, producers.start, workers.supervise\n"
        "from karl.metrics.serve import Place, Who, telling\n"
        "with telling(Place('127.0.0.1', 0), Who('views', '1', 'n'), lambda: 1 / 0):\n"
        "    print([m for m in sys.modules if m.startswith(('prometheus_client', 'http.server'))], threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[] 1\n"


def test_the_ports_of_a_line_follow_its_own_and_none_is_beyond_the_last() -> None:
    assert [metrics_port(9600, process.name) for process in LINE] == [9601 + at for at in range(len(LINE))]
    assert metrics_port(0, "ship") == 0
    assert metrics_port(9600, "stranger") == 0
    assert metrics_port(65_535, "ship") == 0


# --- the real line ---


def test_every_process_of_a_real_line_tells_what_it_does(tmp_path: Path) -> None:
    base = _free_base()
    data = tmp_path / "data"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    settings = {"KARL_DATA_DIR": str(data), "KARL_METRICS_PORT": str(base), "KARL_NODE": "n1"}
    with (tmp_path / "log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-P", "-m", "karl.cli", "up"], env={**clean, **settings}, stderr=log
        )
    ports = {"up": base, **{one.name: metrics_port(base, one.name) for one in LINE if not one.only_if}}
    try:
        for port in ports.values():
            wait_until(lambda port=port: answers(port), f"{port} answers")
        sent = _leave_a_turn(data / "spool")
        wait_until(lambda: _value(ports["views"], "karl_views_lines_total") >= 2, "the views have the turn")
        seen = {name: figures(get(port)) for name, port in ports.items()}
        for name, values in seen.items():
            assert values["karl_build_info", ("n1", name, _version())] == 1
            strangers = {key for key, _ in values if not key.startswith(("karl_", "process_", "python_"))}
            assert not strangers
        assert seen["ship"]["karl_shipped_events_total", ()] == sent
        assert seen["ship"]["karl_redactions_total", ("github-token",)] == 1
        assert seen["ship"]["karl_push_duration_seconds_count", ()] >= 1
        assert seen["sessions"]["karl_events_read_total", ()] == sent
        assert seen["sessions"]["karl_records_handed_on_total", ()] == 1
        assert seen["ledger"]["karl_ledgered_records_total", ()] == 1
        assert seen["ledger"]["karl_append_duration_seconds_count", ()] == 1
        assert seen["ledger"]["karl_lease_held", ()] == 1
        assert seen["views"]["karl_view_update_duration_seconds_count", ()] >= 1
        assert all(seen["up"]["karl_process_up", (name,)] == 1 for name in ("redis", *ports) if name != "up")
        _kill_and_await_the_next(ports)
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0


def _kill_and_await_the_next(ports: dict[str, int]) -> None:
    pid = _pid_at(ports["sessions"])
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: answers(ports["sessions"]) and _pid_at(ports["sessions"]) != pid, "another one answers"
    )
    assert figures(get(ports["up"]))["karl_restarts_total", ("sessions",)] == 1
    assert figures(get(ports["up"]))["karl_process_up", ("sessions",)] == 1


def _pid_at(port: int) -> int:
    """Say which process listens at a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.removeprefix("socket:[").rstrip("]") in inodes:
            return int(link.parts[2])
    return 0


def _value(port: int, name: str) -> float:
    return figures(get(port))[name, ()]


def _version() -> str:
    import karl

    return karl.__version__


def _free_base() -> int:
    """Find as many free ports in a row as a line needs."""
    while True:
        base = free_port()
        try:
            for at in range(1, len(LINE) + 1):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", base + at))
        except (OSError, OverflowError):
            continue
        return base


def _leave_a_turn(spool: Path) -> int:
    """Leave one turn as the hook would, with a secret in it."""
    secret = "ghp_" + "a1B2" * 9
    said = [
        {"hook_event_name": "UserPromptSubmit", "prompt": f"Use {secret}"},
        {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "c1"},
        {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "c1",
         "tool_response": {"stdout": "a", "stderr": "", "interrupted": False}},
        {"hook_event_name": "Stop", "stop_hook_active": False},
    ]  # fmt: skip
    for number, payload in enumerate(said):
        hidden = spool.parent / "incoming"
        hidden.write_text(json.dumps({"session_id": "s-1", "cwd": "/home/dev/p", **payload}))
        hidden.rename(spool / f"claude-code.{1000 + number}")
    return len(said)

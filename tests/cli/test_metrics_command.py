"""`karl metrics`: one valid page of what all processes of this machine tell, or of what the views know."""

from __future__ import annotations

import json
import socket
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families as parse

from karl.metrics.gathered import text_of, together, told_at
from karl.metrics.metric import Sample
from karl.metrics.serve import Place, Who, telling
from karl.metrics.table import REDIS_UP
from karl.views.rebuild import rebuild
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.export.telling import drafts, emissions
from tests.session.making import Script
from tests.views import ledgers
from workers.processes import metrics_port


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    script = Script()
    script.prompt("Add a login", project="shop")
    script.stop()
    ledgers.write(tmp_path / "data" / "ledger", drafts(emissions(script)))
    rebuild(tmp_path / "data" / "views" / "views.sqlite", tmp_path / "data" / "ledger", "2")
    return tmp_path / "data"


def free_base() -> int:
    """A port with ten free ones behind it."""
    while True:
        with ExitStack() as held:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            base: int = first.getsockname()[1]
            try:
                for port in range(base + 1, base + 10):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base


@pytest.fixture
def base() -> Iterator[int]:
    """Ports at which two processes of a line tell: ship and sessions."""
    at = free_base()
    with ExitStack() as running:
        for name in ("ship", "sessions"):
            place = Place("127.0.0.1", metrics_port(at, name))
            up = [lambda: [Sample(REDIS_UP, 1.0)]]
            running.enter_context(telling(place, Who(name, "0.1", "n1"), lambda up=up: up))  # type: ignore[misc]
            wait_until(lambda place=place: told_at(place), f"{name} tells")  # type: ignore[misc]
        yield at


def test_where_no_process_tells_the_views_are_asked(data: Path) -> None:
    told = karl(data, "metrics")
    assert told.exit_code == 0, told.output
    found = figures(told.stdout)
    assert found["karl_kept", (("what", "trajectories"),)] == 1
    assert found["karl_kept_views_behind_lines", ()] == 0
    assert any(name == "karl_kept_reward_mean" for name, _ in found)
    assert "KARL_METRICS_PORT is not set" in told.stderr


def test_before_anything_was_recorded_it_is_a_valid_page(tmp_path: Path) -> None:
    told = karl(tmp_path, "metrics")
    assert told.exit_code == 0, told.output
    assert [name for name, _ in figures(told.stdout)] == ["karl_build_info"]


def test_all_processes_are_on_one_page_each_under_its_name(data: Path, base: int) -> None:
    told = karl(data, "metrics", KARL_METRICS_PORT=str(base))
    assert told.exit_code == 0, told.output
    found = figures(told.stdout)
    assert found["karl_process_tells", (("process", "ship"),)] == 1
    assert found["karl_process_tells", (("process", "ledger"),)] == 0
    assert found["karl_redis_up", (("process", "ship"),)] == 1
    assert found["karl_redis_up", (("process", "sessions"),)] == 1
    assert found["karl_kept", (("what", "sessions"),)] == 1
    described = Tally(line.split(" ")[2] for line in told.stdout.splitlines() if line.startswith("# TYPE"))
    assert set(described.values()) == {1}
    samples = Tally(line.rpartition(" ")[0] for line in told.stdout.splitlines() if not line.startswith("#"))
    assert set(samples.values()) == {1}


def test_the_same_figures_are_there_as_json(data: Path, base: int) -> None:
    told = json.loads(karl(data, "metrics", "--json", KARL_METRICS_PORT=str(base)).stdout)
    assert {"name": "karl_redis_up", "type": "gauge", "labels": {"process": "ship"}, "value": 1.0} in told


def test_histograms_of_several_processes_stay_histograms() -> None:
    def made(total: float) -> HistogramMetricFamily:
        family = HistogramMetricFamily("karl_x_seconds", "x.")
        family.add_metric([], buckets=[("1.0", 1), ("+Inf", 2)], sum_value=total)
        return family

    text = text_of(together({"a": [made(1.5)], "b": [made(2.5)]}))
    (family,) = parse(text)
    assert family.type == "histogram"
    assert [one.value for one in family.samples if one.name == "karl_x_seconds_sum"] == [1.5, 2.5]
    assert len(family.samples) == 8


def test_a_value_of_a_label_can_not_break_the_page() -> None:
    family = GaugeMetricFamily("karl_x", "x.", labels=["agent"])
    family.add_metric(['a"} 1\nkarl_evil 2\n\\'], 1)
    (found,) = parse(text_of(together({"up": [family]})))
    assert found.samples[0].labels["agent"] == 'a"} 1\nkarl_evil 2\n\\'

"""`karl replica`, `karl worker follow` and the doctor's link: what they say, and with which exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from redis import Redis

from karl.ledger.segments import FOLLOWER
from karl.stream import keys
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.ledger.conftest import write_some
from tests.replica.conftest import TOKEN, Origin
from tests.replica.test_follow import catch_up
from workers.replication import Followed, Passed, Replicas, Replication


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A follower's data folder."""
    return tmp_path / "follower"


def status(data: Path, *more: str, **settings: str) -> tuple[int, dict[str, object]]:
    result = karl(data, "replica", "status", "--json", *more, KARL_LEDGER_TOKEN=TOKEN, **settings)
    return result.exit_code, json.loads(result.output)


def test_a_copy_s_status_counts_what_it_lacks_and_confirms_nothing(
    ledger: Origin, data: Path, redis_url: str, redis: Redis
) -> None:
    ledger.append(3)
    worker = ledger.follower(data / "ledger")
    catch_up(worker)
    before = ledger.serving.source.farthest
    ledger.append(2)
    code, told = status(data, KARL_REDIS_URL=redis_url)
    behind = told["copy"]["behind"]
    assert (code, behind["lines"], behind["source_seq"], told["copy"]["running"]) == (0, 2, 6, True)
    assert (
        behind["bytes"]
        == (ledger.folder / ledger.writer.segment).stat().st_size - worker._copy.position.offset
    )
    assert ledger.serving.source.farthest == before
    worker.close()
    code, told = status(data, KARL_REDIS_URL=redis_url)
    assert not told["copy"]["running"]


def test_a_copy_whose_source_is_away_or_another_ledger_has_a_status_that_says_so(
    ledger: Origin, data: Path, redis_url: str, tmp_path: Path
) -> None:
    worker = ledger.follower(data / "ledger")
    catch_up(worker)
    worker.close()
    ledger.serving.stop()
    code, told = status(data, KARL_REDIS_URL=redis_url)
    assert code == 1
    assert "no ledger can be copied" in told["notes"][0]
    write_some(tmp_path / "else", 2)
    shutil.rmtree(data / "ledger")
    shutil.copytree(tmp_path / "else", data / "ledger")
    other = Origin(tmp_path / "third")
    (data / "ledger" / FOLLOWER).write_text(json.dumps({"source": other.url, "since": "x"}))
    code, told = status(data, KARL_REDIS_URL=redis_url)
    assert code == 1
    assert "differ at" in told["notes"][0]
    other.end()


def test_a_folder_that_is_no_copy_without_a_line_says_that(data: Path) -> None:
    code, told = status(data, KARL_REDIS_URL="unix:///nowhere/s")
    assert code == 1
    assert "is no copy" in told["notes"][-1]


def test_what_the_writer_says_is_shown_as_a_table(data: Path, redis: Redis, redis_url: str) -> None:
    told = Replicas(120, True, 20, 75.0, 1_000_000, [Followed("far\x1b[31m", 100, 970_000)])
    redis.set(
        keys.LEDGER_FOLLOWERS,
        json.dumps(
            {name: getattr(told, name) for name in told.__struct_fields__ if name != "followers"}
            | {"followers": [{"name": "far\x1b[31m", "seq": 100, "heard_ms": 970_000}]}
        ),
    )
    result = karl(data, "replica", "status", KARL_REDIS_URL=redis_url)
    assert "20 lines wait for a follower, the oldest for 75 s" in result.output
    assert "\x1b" not in result.output
    assert "100" in result.output


def test_the_doctor_looks_at_a_copy(ledger: Origin, data: Path, redis: Redis, redis_url: str) -> None:
    ledger.append(2)
    worker = ledger.follower(data / "ledger")
    catch_up(worker)
    words = ("doctor", "--only", "replica", "--json")
    well = karl(data, *words, KARL_LEDGER_TOKEN=TOKEN, KARL_REDIS_URL=redis_url)
    assert well.exit_code == 0, well.output
    worker.close()
    ledger.serving.stop()
    ill = karl(data, *words, KARL_LEDGER_TOKEN=TOKEN, KARL_REDIS_URL=redis_url)
    assert ill.exit_code == 1
    checks = json.loads(ill.output)["checks"]
    assert [check["verdict"] for check in checks] == ["fail", "fail"]
    assert "karl replica promote" in checks[1]["hint"]


def test_the_doctor_says_that_the_streams_wait_for_a_follower(
    data: Path, redis: Redis, redis_url: str
) -> None:
    waiting = {"seq": 9, "needed": True, "held": 8, "held_s": 90.0, "time_ms": 1, "followers": []}
    redis.set(keys.LEDGER_FOLLOWERS, json.dumps(waiting))
    result = karl(data, "doctor", "--only", "replica", "--json", KARL_REDIS_URL=redis_url)
    assert result.exit_code == 1
    assert "8 lines wait for a follower" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("worker", "follow"), "--from"),
        (("worker", "follow", "--from", "nonsense"), "KARL_LEDGER_PORT"),
        (("worker", "follow", "--from", "http://h:1", "--set-aside"), "--rejoin"),
        (("replica", "promote"), "is no copy"),
        (("worker", "ledger"), "KARL_LEDGER_PORT"),
    ],
)
def test_what_can_not_be_done_is_refused_with_what_to_do(
    data: Path, words: tuple[str, ...], said: str
) -> None:
    result = karl(data, *words, KARL_LEDGER_TOKEN=TOKEN, KARL_ACK="replica")
    assert result.exit_code != 0
    assert said in f"{result.output} {result.exception}"


def test_without_a_token_a_follower_says_where_it_belongs(data: Path) -> None:
    result = karl(data, "worker", "follow", "--from", "http://h:1")
    assert "KARL_LEDGER_TOKEN" in str(result.exception)
    assert not (data / "ledger.token").exists()


def test_a_backup_beside_a_redis_that_lived_on_is_the_ledger_only_by_force(
    data: Path, redis: Redis, redis_url: str
) -> None:
    write_some(data / "ledger", 3)
    redis.set(keys.LEDGER_HEAD, json.dumps({"seq": 9, "hash": "a" * 64, "term": 1}))
    refused = karl(data, "replica", "promote", KARL_REDIS_URL=redis_url)
    assert "--force" in str(refused.exception)
    done = karl(data, "replica", "promote", "--force", "--json", KARL_REDIS_URL=redis_url)
    assert done.exit_code == 0, done.exception
    assert "5 lines" in json.loads(done.output)["lost"][0]
    assert json.loads(redis.get(keys.LEDGER_HEAD))["seq"] == 5
    assert not redis.exists(keys.LEDGER_LEASE)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_follower_the_writer_warns_and_lets_nothing_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    gate = Replication(tmp_path, None, needs_follower=True, clock=clock)
    gate.wrote("s", 10, Passed(3, "h", {1: "1-0"}))
    assert gate.passed() is None
    clock.now += 31
    assert gate.passed() is None
    assert "no follower has the lines of the last 31 s" in caplog.text
    caplog.clear()
    clock.now += 59
    assert gate.passed() is None
    assert not caplog.text
    clock.now += 2
    assert gate.passed() is None
    assert "none has asked yet" in caplog.text
    assert gate.seen().held_s == 92.0


def test_without_the_need_of_a_follower_everything_goes_at_once(tmp_path: Path) -> None:
    gate = Replication(tmp_path, None, needs_follower=False)
    gate.wrote("s", 10, Passed(3, "h", {1: "1-0", 2: "1-0"}))
    gate.wrote("s", 20, Passed(4, "i", {1: "2-0"}))
    assert gate.passed() == Passed(4, "i", {1: "2-0", 2: "1-0"})
    assert gate.passed() is None


def test_what_a_follower_has_is_let_go_and_no_more(ledger: Origin, tmp_path: Path) -> None:
    from karl.replica.serve import Served

    gate = Replication(ledger.folder, Served("127.0.0.1", 0, TOKEN), needs_follower=True)
    ledger.append(2)
    length = (ledger.folder / ledger.writer.segment).stat().st_size
    gate.wrote(ledger.writer.segment, length, Passed(3, ledger.writer.head, {1: "3-0"}))
    wait_until(lambda: gate._serving.port, "it listens")
    ledger.serving.stop()
    ledger.serving = gate._serving
    worker = ledger.follower(tmp_path / "copy")
    catch_up(worker)
    worker.run_once(None)
    ledger.writer.append([])
    gate.wrote(ledger.writer.segment, length, Passed(7, "later", {1: "7-0"}))
    assert gate.passed() == Passed(3, ledger.writer.head, {1: "3-0"})
    assert gate.passed() is None
    worker.close()

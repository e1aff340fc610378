"""The dashboard of jobs, as its real process, asked over HTTP and looked at in a real browser."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from karl.jobs import keys
from tests.cli.running import KARL, environ, karl
from tests.conftest import ROOT, wait_until
from tests.jobs.browser import Browser, NoBrowser
from tests.jobs.conftest import Workers, calling, plant, state, until_state

PASSWORD = "a-password-of-the-tests"
Ask = Callable[..., str]

#: What would run if a page took it for HTML.
SCRIPT = "<img src=x onerror='window.harmed=1'><script>window.harmed=1</script>"


class Dashboard:
    """A real `karl dashboard rq`, and what it printed."""

    def __init__(self, url: str, data_dir: Path, *words: str, password: str = PASSWORD) -> None:
        given = {"KARL_DASHBOARD_PASSWORD": password} if password else {}
        variables = {**os.environ, **environ(data_dir, KARL_REDIS_URL=url, **given)}
        self._process = subprocess.Popen(
            [KARL, "dashboard", "rq", "--port", "0", *words],
            env={name: value for name, value in variables.items() if value is not None}
            | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.printed = ""
        while "jobs " not in self.printed:
            assert select.select([self._process.stdout], [], [], 30)[0], "it says where it is"
            line = os.read(self._process.stdout.fileno(), 4096)
            assert line, "it ended by itself"
            self.printed += line.decode()
        self.url = re.search(r"http://\S+(?=/ )", self.printed)[0]  # type: ignore[index]
        self.http = httpx.Client(base_url=self.url, auth=("karl", password), timeout=30)

    def close(self) -> int:
        """End it; gives its exit code."""
        self.http.close()
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@pytest.fixture
def show(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Dashboard]]:
    """Start dashboards."""
    made: list[Dashboard] = []

    def show(*words: str, **more: str) -> Dashboard:
        made.append(Dashboard(redis_url, tmp_path, *words, **more))
        return made[-1]

    yield show
    for one in made:
        one.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    try:
        made = Browser(tmp_path / "profile")
    except NoBrowser as error:
        pytest.skip(str(error))
    with made:
        yield made


def seen(browser: Browser, what: str) -> bool:
    return what in browser.run("document.body ? document.body.innerText : ''")


def test_in_a_browser_people_see_queues_running_and_failed_jobs_and_workers(
    show: Callable[..., Dashboard], browser: Browser, workers: Workers, redis: Redis, ask: Ask
) -> None:
    plant(redis, "bad", calling("os.system"), queue="embed")
    workers.work()
    worker = workers.start()
    running, waiting = ask("probe", "embed", seconds=600), ask("probe", "train", note="waits")
    until_state(redis, running, "started")
    wait_until(lambda: redis.hget(keys.job_key(running), "meta"), "it says how far it is")
    board = show()
    browser.sign_in("karl", PASSWORD)
    browser.go(f"{board.url}/")
    wait_until(lambda: seen(browser, "embed") and seen(browser, "train"), "the queues are there")
    for queue, registry, what in (
        ("embed", "started", running), ("embed", "failed", "os.system is no job of KARL"), ("train", "queued", waiting),
    ):  # fmt: skip
        browser.go(f"{board.url}/0/view/jobs/{queue}/{registry}/8/asc/1")
        wait_until(lambda what=what: seen(browser, what), f"{what} is among the jobs that are {registry}")
        assert browser.run("[...document.querySelectorAll('#requeue-all-btn,#empty-btn,#compact-btn')]"
                           ".filter(one => getComputedStyle(one).display != 'none').length") == 0  # fmt: skip
    browser.go(f"{board.url}/0/view/job/{running}")
    wait_until(lambda: seen(browser, '"where": "seconds"'), "how far it is")
    browser.go(f"{board.url}/0/view/workers")
    wait_until(lambda: seen(browser, f"here:{worker.pid}:"), "who works")
    assert browser.said == []


def test_what_a_job_says_of_itself_is_text_in_a_browser(
    show: Callable[..., Dashboard], browser: Browser, workers: Workers, redis: Redis, ask: Ask
) -> None:
    running = ask("probe", "embed", seconds=600, note=SCRIPT)
    workers.start()
    until_state(redis, running, "started")
    meta = json.dumps({"where": SCRIPT})
    plant(redis, "evil", calling("probe", note=SCRIPT), "train", description=SCRIPT, meta=meta)
    board = show()
    browser.sign_in("karl", PASSWORD)
    places = (
        "jobs/embed/started/8/asc/1",
        f"job/{running}",
        "jobs/train/queued/8/asc/1",
        "job/evil",
        "workers",
    )
    for place in places:
        browser.go(f"{board.url}/0/view/{place}")
        wait_until(lambda: seen(browser, "<img src=x"), f"{place} shows it as it stands")
        assert browser.run("window.harmed") is None
        assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.said == []


def test_nobody_comes_in_without_the_password_or_under_another_name(show: Callable[..., Dashboard]) -> None:
    board = show()
    for given in (None, ("karl", "wrong"), ("other", PASSWORD), ("karl", "")):
        answer = httpx.get(f"{board.url}/0/data/queues.json", auth=given)
        assert (answer.status_code, "queues" in answer.text) == (401, False)
    assert board.http.get("/static/js/underscore-umd-min.js", auth=("karl", "wrong")).status_code == 401
    for host in ("evil.example", "127.0.0.1.evil.example", "[", ""):
        assert board.http.get("/", headers={"Host": host}).status_code in {400, 421}
    assert board.http.get("/", headers={"Host": "localhost"}).status_code == 200
    page = board.http.get("/")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Server"] == "karl"


@pytest.fixture
def failed(workers: Workers, redis: Redis) -> str:
    """A job that has failed."""
    plant(redis, "bad", calling("os.system"))
    workers.work()
    assert state(redis, "bad") == "failed"
    return "bad"


CHANGING = (
    "/job/bad/delete",
    "/job/bad/requeue",
    "/requeue/embed",
    "/queue/embed/failed/empty",
    "/queue/embed/compact",
)


def test_it_only_shows_and_deletes_or_starts_nothing(
    show: Callable[..., Dashboard], redis: Redis, failed: str
) -> None:
    board = show()
    before = redis.hgetall(keys.job_key(failed))
    for place in CHANGING:
        assert board.http.post(place).status_code == 403, place
    assert board.http.get("/requeue/embed").status_code == 403
    assert board.http.delete("/job/bad/delete").status_code in {403, 405}
    assert (redis.hgetall(keys.job_key(failed)), redis.llen(keys.queue_key("embed"))) == (before, 0)


def test_told_to_it_changes_jobs_but_for_no_page_of_another_site(
    show: Callable[..., Dashboard], redis: Redis, failed: str
) -> None:
    board = show("--writable")
    foreign = {"Origin": "http://evil.example"}
    assert [board.http.post(place, headers=foreign).status_code for place in CHANGING] == [403] * len(
        CHANGING
    )
    assert board.http.get("/requeue/embed").status_code == 403
    assert state(redis, failed) == "failed"
    assert board.http.post(f"/job/{failed}/requeue", headers={"Origin": board.url}).json() == {"status": "OK"}
    assert (state(redis, failed), redis.llen(keys.queue_key("embed"))) == ("queued", 1)
    assert board.http.post(f"/job/{failed}/delete").json() == {"status": "OK"}
    assert not redis.exists(keys.job_key(failed))


def test_no_page_unpickles_what_somebody_left(
    show: Callable[..., Dashboard], redis: Redis, pickled: bytes, harmed: Path
) -> None:
    plant(redis, "evil", pickled, meta=pickled, result=pickled, description="innocent")
    redis.xadd(keys.results_key("evil"), {"type": 1, "return_value": pickled, "exc_string": pickled})
    redis.sadd(keys.QUEUES, keys.queue_key("embed"))
    redis.hset(keys.worker_key("w"), mapping={"queues": "embed", "current_job": "evil", "birth": "2026-01-01T00:00:00.0Z"})  # fmt: skip
    redis.sadd(keys.WORKERS, keys.worker_key("w"))
    board = show()
    asked = (
        "/", "/0/view/workers", "/0/data/workers.json", "/0/view/job/evil", "/0/data/job/evil.json",
        "/0/view/jobs/embed/queued/8/asc/1", "/0/data/jobs/embed/queued/8/asc/1.json", "/0/data/queues.json",
    )  # fmt: skip
    answers = {place: board.http.get(place).status_code for place in asked}
    assert answers["/"] == answers["/0/data/queues.json"] == 200
    assert set(answers.values()) <= {200, 500}
    assert not harmed.exists()


def test_a_job_that_is_gone_and_a_server_that_is_away_are_said(show: Callable[..., Dashboard]) -> None:
    board = show()
    assert board.http.get("/0/data/job/gone.json").status_code == 404
    assert board.http.get("/nowhere").status_code == 404


def test_a_password_is_made_once_shown_once_and_kept_for_its_owner(
    show: Callable[..., Dashboard], tmp_path: Path
) -> None:
    kept = tmp_path / "dashboard.password"
    first = show(password="")
    word = kept.read_text().strip()
    assert (word in first.printed, kept.stat().st_mode & 0o077, first.close()) == (True, 0, 0)
    assert httpx.get(f"{show(password='').url}/", auth=("karl", word)).status_code == 200
    assert word not in show(password="").printed
    told = show("--new-password", password="").printed
    assert kept.read_text().strip() in told
    assert word not in told


def test_without_its_packages_it_says_what_to_install(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "karl.jobs.dashboard", raising=False)
    monkeypatch.setitem(sys.modules, "rq_dashboard", None)
    asked = karl(tmp_path, "dashboard", "rq", KARL_REDIS_URL=redis_url)
    assert "pip install 'karl-ledger[dashboard]'" in str(asked.exception)


def test_the_image_shows_jobs_with_this_very_file(
    redis: Redis, redis_url: str, pickled: bytes, harmed: Path
) -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text().partition(" AS dashboard")[2]
    assert "COPY karl/jobs/dashboard.py /opt/dashboard.py" in image
    assert 'ENTRYPOINT ["python", "/opt/dashboard.py"]' in image
    source = (ROOT / "karl" / "jobs" / "dashboard.py").read_text()
    assert not re.search(r"^\s*(from|import) karl", source, re.MULTILINE)
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); from rq.serializers import resolve_serializer\n"
        "try: resolve_serializer(None).loads(sys.stdin.buffer.read())\n"
        "except ValueError: print('refused')"
    )
    words = [sys.executable, "-c", code, str(ROOT / "karl" / "jobs" / "dashboard.py")]
    done = subprocess.run(words, input=pickled, capture_output=True, check=True)
    assert (done.stdout, harmed.exists()) == (b"refused\n", False)


def _as_in_the_image(**more: Any) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DASHBOARD_")}
    words = [sys.executable, "-I", str(ROOT / "karl" / "jobs" / "dashboard.py")]
    return subprocess.run(
        words, env={**clean, **more}, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_image_does_not_start_without_a_password_worth_the_name() -> None:
    for password in ("", "short"):
        done = _as_in_the_image(DASHBOARD_PASSWORD=password, DASHBOARD_REDIS_URL="redis://nowhere:1")
        assert (done.returncode, "16 characters" in done.stderr) == (1, True)

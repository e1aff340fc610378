"""A real browser for tests: Chromium without a window, driven over a pair of pipes (its DevTools protocol)."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


#: It reads at 3 and writes at 4; ours may be these very numbers the other way round.
_AT_3_AND_4 = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class NoBrowser(Exception):
    """Raised where no browser runs; the message says why."""


class Browser:
    """One page of one browser; `said` are the errors that the page put on its console."""

    def __init__(self, profile: Path, timeout_s: float = 30.0) -> None:
        if CHROMIUM is None:
            raise NoBrowser("no chromium here")
        self._timeout_s = timeout_s
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]  # fmt: skip
        begin = [sys.executable, "-c", _AT_3_AND_4, str(to_read), str(to_write), *words]
        self._process = subprocess.Popen(
            begin, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._numbers = itertools.count(1)
        self._rest = b""
        self.said: list[str] = []
        try:
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        except (OSError, TimeoutError) as error:
            self.close()
            raise NoBrowser(f"chromium does not run here: {error}") from error
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it with all that it started."""
        for end in (self._to, self._from):
            os.close(end)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def sign_in(self, user: str, password: str) -> None:
        """Give user and password with every request."""
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.do("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {word}"})

    def go(self, url: str) -> None:
        """Open an address."""
        self.do("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Run a script in the page; gives the value of its last expression, waited for."""
        done = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def picture(self, path: Path) -> None:
        """Keep what is seen, as a PNG."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"]))

    def do(self, method: str, **more: Any) -> dict[str, Any]:
        """Do one thing of the protocol to the page."""
        return self._ask(method, session=self._session, **more)

    def _ask(self, method: str, session: str = "", **more: Any) -> dict[str, Any]:
        number = next(self._numbers)
        asked = {
            "id": number,
            "method": method,
            "params": more,
            **({"sessionId": session} if session else {}),
        }
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        end = time.monotonic() + self._timeout_s
        while True:
            said = self._heard(end)
            if said.get("id") == number:
                if "error" in said:
                    raise OSError(f"{method}: {said['error']}")
                found: dict[str, Any] = said["result"]
                return found
            self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        entry = said.get("params", {}).get("entry", {})
        if said.get("method") == "Log.entryAdded" and entry.get("level") == "error":
            self.said.append(f"{entry['text']} {entry.get('url', '')}")
        if said.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(said["params"]["exceptionDetails"])[:500])

    def _heard(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            if not (data := os.read(self._from, 1 << 16)):
                raise OSError("the browser has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

"""`karl up`: the whole line on one machine, each of its processes a child of this one.

    starting ---> running <--- backoff over / ended by itself ---> waiting
    running --- SIGINT, SIGTERM, SIGHUP, or the parent is gone ---> stopping ---> ended

Invariants:
- It sleeps until something happens: a signal, a line from a child, a restart that is due.
- Children are in sessions of their own, so a Ctrl-C reaches this process alone; each holds the other
  end of a pipe, and ends when this process is gone, however that happened.
- One per data folder, by a lock on `up.lock` in it.
- It ends its children in the order of the line: what one hands on, the next can still take.
- It stays small: neither Redis' client nor what draws on terminals is loaded here.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol, TextIO

import karl
from karl.errors import LineDown, Refused
from karl.hidden import hide_password
from karl.metrics import table as metrics
from karl.metrics.metric import Sample
from karl.metrics.serve import Place, Who, telling
from karl.settings import Settings
from karl.stream.server import Server, answers, socket_path
from workers.child import Child, Command, Terminal
from workers.processes import LINE, metrics_port

#: The wait before a restart, in seconds: doubled from the first to the last while deaths follow each other.
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 10.0
#: Seconds of life after which a death counts as the first again.
HEALTHY_S = 60.0
#: Seconds for a server of an earlier `karl up` that was killed to write its file and go.
PREDECESSOR_S = 15.0
#: Signals within so many seconds are one: a terminal and a wrapper may both hand on one Ctrl-C.
SAME_SIGNAL_S = 1.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def commands_of(settings: Settings) -> list[Command]:
    """Give the processes that belong on this machine: all, or those that need not be where the ledger is."""
    # -P: the folder that we are started in must not stand before the installed packages.
    start = (sys.executable, "-P", "-m", "karl.cli")
    return [
        Command(process.name, (*start, *process.words, "--supervised"), process.stop_s)
        for process in LINE
        if (settings.may_write or not process.at_ledger)
        and (not process.only_if or getattr(settings, process.only_if))
    ]


def up(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    commands: Sequence[Command] | None = None,
    quiet: bool = False,
    supervised: bool = False,
    stream: TextIO | None = None,
) -> int:
    """Run the line until told to stop; gives the exit code. Only in a process's main thread.

    `environ` is what the children get, with the Redis URL added. Without KARL_REDIS_URL the embedded
    server runs too. Raises Refused when the data folder has a `karl up` already or can not be used, or when
    nobody could ever write the ledger, and LineDown when the server does not start at all. `quiet` says
    only what is wrong; `supervised` ends the line when stdin closes; `stream` (stderr) takes what is said.
    """
    if not settings.may_write and not settings.redis_url:
        raise Refused(
            f"this node, {settings.node}, may not write the ledger (KARL_CANONICAL_WRITER names "
            f"{', '.join(settings.canonical_writer)}), and nobody else can reach the server that runs here; "
            "set KARL_REDIS_URL to the line's, or add this node"
        )
    commands = commands_of(settings) if commands is None else commands
    terminal = Terminal(stream or sys.stderr, [command.name for command in commands])
    with only_one(settings.data_dir):
        server = None if settings.redis_url else _Redis(settings.data_dir)
        children = [
            Child(command, _environ_of(settings, environ, server, command.name, quiet=quiet), terminal)
            for command in commands
        ]
        supervisor = _Supervisor(server, children, terminal)
        place = Place(settings.metrics_host, settings.metrics_port)
        who = Who("up", karl.__version__, settings.node)
        with supervisor.signals(), telling(place, who, lambda: [supervisor.figures]):
            banner = "" if quiet else _banner(settings)
            return supervisor.run(banner, parent_fd=0 if supervised else None)


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold a data folder for one `karl up`. Raises Refused, with the holder's process id."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            f"the data folder {data_dir} can not be used: {error.strerror}; set KARL_DATA_DIR"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise Refused(
                f"`karl up` runs already for {data_dir}, as process {pid}; end that one first (kill {pid}), "
                "or set KARL_DATA_DIR to another folder"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _environ_of(
    settings: Settings, environ: Mapping[str, str], server: _Redis | None, name: str, *, quiet: bool
) -> dict[str, str]:
    made = {**environ, "KARL_REDIS_URL": server.url if server else settings.redis_url}
    if settings.metrics_port:
        made["KARL_METRICS_PORT"] = str(metrics_port(settings.metrics_port, name))
    if quiet and settings.log_level.upper() in {"DEBUG", "INFO"}:
        made["KARL_LOG_LEVEL"] = "WARNING"
    return made


def _banner(settings: Settings) -> str:
    redis = hide_password(settings.redis_url) if settings.redis_url else "embedded"
    writers = ", ".join(settings.canonical_writer)
    elsewhere = f"  no ledger here       {writers} may write it; this is {settings.node}\n"
    return (
        f"karl {karl.__version__}: the line runs; what it keeps is in {settings.data_dir} (Redis: {redis})\n"
        f"{'' if settings.may_write else elsewhere}"
        "  record Claude Code   karl hooks install\n"
        "  look                 karl status, karl sessions\n"
        f"{_where_metrics_are(settings)}"
        "  stop                 Ctrl-C"
    )


def _where_metrics_are(settings: Settings) -> str:
    if not settings.metrics_port:
        return ""
    ports = {process.name: metrics_port(settings.metrics_port, process.name) for process in LINE}
    told = ", ".join(f"{name} {port or 'none'}" for name, port in ports.items())
    place = Place(settings.metrics_host, settings.metrics_port)
    return f"  metrics              {place.url}; {told}\n"


class _Unit(Protocol):
    """What is started, watched and started again."""

    name: str

    def start(self) -> None:
        """Start it. Raises OSError or LineDown when that fails."""

    def ended(self) -> str | None:
        """Say how it ended; null while it runs."""


class _Redis:
    """The embedded server as a unit."""

    name = "redis"

    def __init__(self, data_dir: Path) -> None:
        self._server = Server(data_dir)
        self._socket = socket_path(data_dir)
        self._log = data_dir / "redis" / "server.log"
        self.url = self._server.url

    def start(self) -> None:
        """Start it, after what is left of an earlier one has gone."""
        self._server.stop()  # closes the pipe that an orphan of a killed guard waits for
        deadline = time.monotonic() + PREDECESSOR_S
        # The folder is ours by its lock: a server that answers here is on its way out.
        while answers(self._socket) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._server.start()

    def ended(self) -> str | None:
        """Say that it ended; null while it runs."""
        return None if self._server.running() else f"ended (see {self._log})"

    def stop(self) -> None:
        """End it, cleanly when it lets us."""
        self._server.stop()


class Restart:
    """When a unit that ended is started again. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.due: float | None = None
        self._clock = clock
        self._deaths = 0
        self._started = clock()

    def started(self) -> None:
        """Note a start."""
        self.due = None
        self._started = self._clock()

    def after_death(self) -> float:
        """Plan the next start; gives the seconds until then."""
        now = self._clock()
        if self.due is None and now - self._started >= HEALTHY_S:
            self._deaths = 0
        wait = min(BACKOFF_MAX_S, BACKOFF_MIN_S * (1 << min(self._deaths, 16)))
        self._deaths += 1
        self.due = now + wait
        return wait


class _Asked(Exception):
    """Raised out of a wait for the server when we are told to stop meanwhile."""


class _Supervisor:
    """Starts, watches, restarts and ends; the state of the line is here alone."""

    def __init__(self, server: _Redis | None, children: Sequence[Child], terminal: Terminal) -> None:
        self._server = server
        self._children = children
        self._terminal = terminal
        self._units: list[_Unit] = [*([server] if server else []), *children]
        self._restarts = {unit.name: Restart() for unit in self._units}
        self._selector = selectors.DefaultSelector()
        self._asked_at: float | None = None
        self._waits_for_server = False

    def run(self, banner: str, *, parent_fd: int | None = None) -> int:
        """Run until told to stop; gives the exit code."""
        try:
            with suppress(_Asked):  # out of a wait for the server; the children end as always
                self._work(banner, parent_fd)
            self._end_all()
        finally:
            for child in self._children:
                child.close()
            if self._server:
                self._server.stop()
            self._selector.close()
        return 0

    def _work(self, banner: str, parent_fd: int | None) -> None:
        if self._server:
            self._start_server()
        for child in self._children:
            self._try_start(child)
        if banner:
            self._terminal.print(banner)
        if parent_fd is not None:
            self._listen_to_parent(parent_fd)
        while self._asked_at is None:
            self._wait(self._next_due())
            self._restart_the_dead()

    def figures(self) -> list[Sample]:
        """Say of each unit whether it runs, as it was seen last; from any thread."""
        return [
            Sample(metrics.PROCESS_UP, float(restart.due is None), (name,))
            for name, restart in self._restarts.items()
        ]

    # --- signals ---

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Let signals and the ends of children wake the loop; what was set before comes back."""
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            number: self._on_signal
            for number in _STOP_SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN  # `nohup karl up` means to stay
        }
        handlers[signal.SIGCHLD] = lambda _number, _frame: None  # being caught is enough: it wakes the loop
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        old = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, lambda: os.read(wake, 4096))
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(waker)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            if self._waits_for_server:
                raise _Asked
        elif now - self._asked_at > SAME_SIGNAL_S:
            raise SystemExit(128 + number)

    def _listen_to_parent(self, fd: int) -> None:
        def read() -> None:
            if not os.read(fd, 4096):
                self._selector.unregister(fd)
                self._asked_at = time.monotonic()

        self._selector.register(fd, selectors.EVENT_READ, read)

    # --- the loop ---

    def _wait(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()

    def _next_due(self) -> float | None:
        dues = [restart.due for restart in self._restarts.values() if restart.due is not None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _restart_the_dead(self) -> None:
        for unit in self._units:
            restart = self._restarts[unit.name]
            if restart.due is None:
                if (how := unit.ended()) is not None:
                    self._bury(unit, how)
            elif restart.due <= time.monotonic() and self._asked_at is None:
                self._try_start(unit)

    def _bury(self, unit: _Unit, how: str) -> None:
        if isinstance(unit, Child):
            self._silence(unit)
            unit.close()
        metrics.RESTARTS.add(1, unit.name)
        wait = self._restarts[unit.name].after_death()
        self._terminal.say("up", f"{unit.name.upper()} {how}; starting it again in {wait:g} s")

    def _try_start(self, unit: _Unit) -> None:
        try:
            self._start_server() if unit is self._server else self._start(unit)
        except (OSError, LineDown) as error:
            self._bury(unit, f"could not be started: {error}")

    def _start_server(self) -> None:
        assert self._server is not None
        self._waits_for_server = True
        try:
            self._server.start()
        finally:
            self._waits_for_server = False
        self._restarts[self._server.name].started()

    def _start(self, unit: _Unit) -> None:
        unit.start()
        self._restarts[unit.name].started()
        if isinstance(unit, Child) and unit.output_fd is not None:
            self._selector.register(unit.output_fd, selectors.EVENT_READ, lambda: self._hear(unit))

    def _hear(self, child: Child) -> None:
        if not child.listen():
            self._silence(child)

    def _silence(self, child: Child) -> None:
        if child.output_fd is not None:
            with suppress(KeyError):  # it had closed its end before it ended
                self._selector.unregister(child.output_fd)

    # --- the end ---

    def _end_all(self) -> None:
        self._terminal.say("up", "stopping")
        for child in self._children:
            if self._restarts[child.name].due is None:
                self._end(child)

    def _end(self, child: Child) -> None:
        child.ask()
        deadline = time.monotonic() + child.stop_s
        while child.ended() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                self._terminal.say("up", f"{child.name} did not end within {child.stop_s:g} s; killing it")
                break
            self._wait(left)
        self._silence(child)
        child.close()

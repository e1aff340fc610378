"""The Redis of the line: whether it answers, keeps what it was given, and lets us do our work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redis.exceptions import BusyLoadingError, NoPermissionError, RedisError, ResponseError

from karl.doctor.check import Check, Machine, size, span
from karl.doctor.machine import supervisor
from karl.errors import LineDown
from karl.hidden import hide_password
from karl.stream import keys
from karl.stream.connect import UNUSABLE, Secured, command, connect, secured
from karl.stream.facts import Facts, facts
from karl.stream.server import line_url, socket_path

if TYPE_CHECKING:
    from redis import Redis

LINK = "redis"

#: Seconds to wait for an answer: a person is waiting for us.
ANSWER_S = 3.0
PINGS = 5
#: Seconds between the clocks of the server and of this machine that are worth a word, and a failure.
CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 60.0
#: Milliseconds of a round trip that are worth a word.
SLOW_MS = 100.0
#: Seconds before its end at which a certificate is worth a word.
CERTIFICATE_WARN_S = 14 * 86_400.0
MEMORY_WARN, MEMORY_FAIL = 0.75, 0.95
OLDEST = (7, 0)

#: What to do about what Redis says, by words of its message.
_ADVICE = {
    "Authentication required": "put the password into KARL_REDIS_URL",
    "username-password": "the password in KARL_REDIS_URL is wrong",
    "loading": "it has just started; ask again in a moment",
    "MISCONF": "it can not write to its disk: look at its log, and make room",
    "no permissions": "its user needs at least +ping +client|setname",
    "read only": "this is a replica; point KARL_REDIS_URL at the primary",
    "OOM": "it is full: start more workers, or give it more memory",
    "maxmemory": "it is full: start more workers, or give it more memory",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one conversation with Redis gave. `redis` is null when it does not answer; `trouble` says why.
    `unusable` is a URL that nobody could connect with.

    `latency_ms` is the median of some round trips, `ahead_s` how far its clock is before ours;
    `clock_trouble` says why that is not known.
    """

    redis: Redis | None = None
    trouble: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    facts: Facts | None = None
    facts_trouble: str = ""
    latency_ms: float = 0.0
    ahead_s: float = 0.0
    clock_trouble: str = ""
    unusable: bool = False
    secured: Secured = field(default_factory=Secured)


@contextmanager
def asked(machine: Machine) -> Iterator[Asked]:
    """Talk to the line's Redis; the connection lives as long as the block."""
    try:
        redis = connect(line_url(machine.settings.redis_url, machine.settings.data_dir), name="karl-doctor")
    except LineDown as error:
        yield Asked(trouble=str(error).removeprefix(f"{UNUSABLE}: "), unusable=True)
        return
    # A person waits for us: a worker's patience with a server that is paused would be too long.
    redis.connection_pool.connection_kwargs.update(socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S)
    try:
        yield _ask(machine, redis)
    finally:
        redis.close()


def _ask(machine: Machine, redis: Redis) -> Asked:
    try:
        times = sorted(_ping(redis) for _ in range(PINGS))
        ahead, clock_trouble = _ahead(machine, redis)
        kept = secured(redis)
    except BusyLoadingError as error:
        return Asked(trouble=f"it is loading its data: {error}")
    except (RedisError, OSError) as error:
        return Asked(trouble=str(error))
    try:
        info = redis.info()
    except RedisError:
        info = {}  # said by the check of rights
    found, trouble = None, ""
    try:
        found = facts(redis)
    except LineDown as error:
        trouble = str(error)
    except (TypeError, ValueError) as error:
        trouble = f"what is kept there is not KARL's: {error}"
    latency = times[len(times) // 2]
    return Asked(redis, "", info, found, trouble, latency, ahead, clock_trouble, secured=kept)


def _ahead(machine: Machine, redis: Redis) -> tuple[float, str]:
    """Give the seconds by which the server's clock is before ours, or why they are not known."""
    before = machine.now_ns()
    try:
        seconds, micros = redis.time()
    except NoPermissionError:
        return 0.0, "this user may not ask the server's time"
    return seconds + micros / 1e6 - (before + machine.now_ns()) / 2e9, ""


def _ping(redis: Redis) -> float:
    started = time.perf_counter()
    redis.ping()
    return (time.perf_counter() - started) * 1000


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at the server."""
    url = hide_password(line_url(machine.settings.redis_url, machine.settings.data_dir))
    if line.redis is None:
        yield Check(
            LINK, "server", "fail", f"{url} can not be used: {line.trouble}", _unreachable(machine, line)
        )
        return
    slow = line.latency_ms > SLOW_MS
    hint = "the workers' throughput hangs on it: bring Redis nearer" if slow else ""
    seen = f"{url} answers in {line.latency_ms:.1f} ms"
    yield Check(LINK, "server", "warn" if slow else "ok", seen, hint)
    yield _encryption(machine, line.secured)
    yield _clock(line)
    if not line.info:
        yield Check(LINK, "state", "unknown", "this user may not ask INFO", "give it +info")
    else:
        yield _version(line.info)
        yield _role(line.info)
        yield _policy(machine, line)
        yield from _persistence(line)
        yield _memory(line.info)
    yield _rights(line.redis)


def _unreachable(machine: Machine, line: Asked) -> str:
    advice = next((advice for words, advice in _ADVICE.items() if words in line.trouble), "")
    if advice:
        return advice
    if line.unusable:
        return "write it anew; docs/operations.md has examples"
    if "no TLS with" in line.trouble:
        return "events wait in the spools until this is mended; docs/operations.md has TLS step by step"
    if machine.settings.redis_url and "Timeout reading" in line.trouble:
        return "something takes the connection and does not answer: is it stopped, overloaded, or no Redis?"
    if machine.settings.redis_url:
        return "is it running, and is KARL_REDIS_URL right?"
    pid = supervisor(machine.settings.data_dir)
    log = socket_path(machine.settings.data_dir).with_name("server.log")
    return f"`karl up` runs as process {pid}; look at {log}" if pid else "`karl up` starts it"


def _encryption(machine: Machine, found: Secured) -> Check:
    """Say who could read what goes over the network."""
    place = urlsplit(line_url(machine.settings.redis_url, machine.settings.data_dir))
    if place.scheme != "rediss":
        if place.scheme == "unix" or _is_here(place.hostname or "localhost"):
            return Check(LINK, "encryption", "ok", "none, and none is needed within this machine")
        seen = "none: whoever is in between reads the events and the password"
        return Check(LINK, "encryption", "warn", seen, "use rediss:// between machines (docs/operations.md)")
    if not found.checked:
        seen = f"{found.version}, but anybody may pass for the server: its certificate is not checked"
        hint = "take ssl_cert_reqs out of KARL_REDIS_URL, and name the CA's file by ssl_ca_certs"
        return Check(LINK, "encryption", "fail", seen, hint)
    if not found.named:
        seen = f"{found.version}, but whoever has a certificate of that CA may pass for the server"
        hint = "take ssl_check_hostname out of KARL_REDIS_URL, and write a name of the certificate into it"
        return Check(LINK, "encryption", "warn", seen, hint)
    left = found.ends - machine.now_ns() / 1e9
    seen = f"{found.version}; the server's certificate ends in {span(max(0.0, left))}"
    if left < CERTIFICATE_WARN_S:
        hint = "give the server a new one before that: afterwards nobody connects"
        return Check(LINK, "encryption", "warn", seen, hint)
    return Check(LINK, "encryption", "ok", seen)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _clock(line: Asked) -> Check:
    if line.clock_trouble:
        return Check(LINK, "clock", "unknown", line.clock_trouble, "ask as the user `look`, or give it +time")
    ahead = line.ahead_s
    seen = f"the server's is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > CLOCK_WARN_S:
        verdict: Any = "fail" if abs(ahead) > CLOCK_FAIL_S else "warn"
        hint = "set both clocks right (NTP): times and the closing of silent turns hang on them"
        return Check(LINK, "clock", verdict, seen, hint)
    return Check(LINK, "clock", "ok", f"within {max(1.0, abs(ahead) * 1000):.0f} ms of this machine's")


def _version(info: Mapping[str, Any]) -> Check:
    version = str(info.get("redis_version", "0"))
    name = "Redis"
    if "valkey_version" in info:
        name = f"Valkey {info['valkey_version']}, as Redis"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return Check(
            LINK, "version", "fail", f"{name} {version} is too old", "use Redis 7.0 or newer, or Valkey"
        )
    return Check(LINK, "version", "ok", f"{name} {version}")


def _role(info: Mapping[str, Any]) -> Check:
    role = info.get("role", "master")
    if role != "master":
        seen = f"it is a replica of {info.get('master_host')}:{info.get('master_port')}"
        return Check(LINK, "role", "fail", seen, "point KARL_REDIS_URL at the primary")
    return Check(LINK, "role", "ok", f"primary, with {info.get('connected_slaves', 0)} replicas")


def _policy(machine: Machine, line: Asked) -> Check:
    policy = line.info.get("maxmemory_policy")

    def mend() -> str:
        assert line.redis is not None
        command(line.redis, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        return "set maxmemory-policy to noeviction on the embedded server"

    if policy == "noeviction":
        return Check(LINK, "maxmemory-policy", "ok", "noeviction")
    seen = f"{policy}: when its memory is full it throws events away without a word"
    hint = "CONFIG SET maxmemory-policy noeviction, and put it into its configuration"
    embedded = not machine.settings.redis_url
    return Check(LINK, "maxmemory-policy", "fail", seen, hint, mend=mend if embedded else None)


def _persistence(line: Asked) -> Iterator[Check]:
    info = line.info
    assert line.redis is not None
    if not info.get("aof_enabled"):
        seen = "no append-only file: what waits in it is lost when it ends"
        hint = "CONFIG SET appendonly yes, and put it into its configuration"
        yield Check(LINK, "append-only file", "fail", seen, hint)
        return
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        hint = "it can not write to its disk: look at its log, and make room"
        yield Check(LINK, "append-only file", "fail", f"failed: {', '.join(failed)}", hint)
        return
    sync = _configured(line.redis, "appendfsync")
    if sync == "no":
        seen = "on, but synced whenever the system likes (appendfsync no)"
        yield Check(LINK, "append-only file", "warn", seen, "CONFIG SET appendfsync always")
        return
    text = f"on, synced {sync}" if sync else "on; how often it is synced this user may not ask"
    yield Check(LINK, "append-only file", "ok", text)


def _configured(redis: Redis, name: str) -> str | None:
    try:
        flat = command(redis, "CONFIG", "GET", name)
    except RedisError:
        return None  # hidden on many managed servers
    return flat[1].decode() if len(flat) > 1 else None


def _memory(info: Mapping[str, Any]) -> Check:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return Check(LINK, "memory", "ok", f"{size(used)}, without a bound of its own")
    text = f"{size(used)} of {size(most)}"
    if used <= MEMORY_WARN * most:
        return Check(LINK, "memory", "ok", text)
    hint = "start more workers, or give it more memory: when it is full, events wait in the spools"
    return Check(LINK, "memory", "fail" if used > MEMORY_FAIL * most else "warn", text, hint)


def _rights(redis: Redis) -> Check:
    """Try what the line's processes do, on a partition that there is not: nothing is written."""
    nowhere = keys.PARTITIONS
    tries: dict[str, tuple[Any, ...]] = {
        "write events (XADD)": ("XADD", keys.events_key(nowhere), "NOMKSTREAM", "*", "d", ""),
        "run scripts (EVAL)": ("EVAL", "return 1", 1, keys.lease_key(nowhere)),
        "read streams (XREAD)": ("XREAD", "COUNT", 1, "STREAMS", keys.events_key(nowhere), "0"),
    }
    denied = []
    for what, words in tries.items():
        try:
            command(redis, *words)
        except NoPermissionError:
            denied.append(what)
        except ResponseError as error:
            advice = next(
                (advice for sign, advice in _ADVICE.items() if sign in str(error)), "look at its log"
            )
            return Check(LINK, "rights", "fail", f"it refused to {what}: {error}", advice)
    if denied:
        hint = "that is right for a user that only looks; a process of the line needs them"
        return Check(LINK, "rights", "warn", f"this user may not {', '.join(denied)}", hint)
    return Check(LINK, "rights", "ok", "this user may write events, run scripts and read streams")

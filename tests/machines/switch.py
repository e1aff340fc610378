"""A network made by hand: one TUN device a node, and a switch in user space that carries packets between them.

The kernel's own tools for loss and delay are modules that many machines lack; this needs /dev/net/tun only.
The devices lie in network namespaces that nothing but open files holds, so they are gone with their process.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import heapq
import os
import random
import socket
import struct
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP_RUNNING = 0x41
_PACKET_MAX = 65_536
#: Packets that are taken from one node before the others have their turn.
_TURN = 64

_libc = ctypes.CDLL(None, use_errno=True)


def address(index: int) -> str:
    """Give the address of a node by its place in the list of nodes."""
    return f"10.77.0.{index + 1}"


def call(name: str, *arguments: int) -> None:
    """Call the C library. Raises OSError."""
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def become_root() -> None:
    """Be root in a user namespace of our own, where we are not root already. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return
    call("unshare", CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)


class Node:
    """A network namespace with one device; `device` gives and takes IP packets."""

    def __init__(self, index: int, home: int) -> None:
        call("unshare", CLONE_NEWNET)
        try:
            self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            wanted = struct.pack("16sH22x", b"eth0", _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(self.device, _TUNSETIFF, wanted)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                for request, text in ((_SIOCSIFADDR, address(index)), (_SIOCSIFNETMASK, "255.255.255.0")):
                    told = struct.pack("16sHH4s8x", b"eth0", socket.AF_INET, 0, socket.inet_aton(text))
                    fcntl.ioctl(asked, request, told)
                for name in (b"lo", b"eth0"):
                    fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sH22x", name, _IFF_UP_RUNNING))
        finally:
            call("setns", home, CLONE_NEWNET)


@dataclass(slots=True)
class Way:
    """How packets fare from one node to another: share lost, seconds of delay, bytes a second (0: any)."""

    cut: bool = False
    loss: float = 0.0
    delay_s: float = 0.0
    rate: float = 0.0
    free_at: float = 0.0

    #: Seconds of packets that a slow way keeps before it drops the next one.
    QUEUE_S = 1.0

    def due(self, now: float, size: int, chance: random.Random) -> float | None:
        """Say when a packet arrives; never, when it is lost."""
        if self.cut or (self.loss and chance.random() < self.loss):
            return None
        if not self.rate:
            return now + self.delay_s
        if self.free_at - now > self.QUEUE_S:
            return None
        self.free_at = max(now, self.free_at) + size / self.rate
        return self.free_at + self.delay_s


@dataclass
class Switch:
    """Carries packets between nodes, by the rules of each way (from, to)."""

    nodes: list[Node]
    chance: random.Random
    ways: defaultdict[tuple[int, int], Way] = field(default_factory=lambda: defaultdict(Way))
    #: Packets by what became of them.
    counted: Counter[str] = field(default_factory=Counter)
    _late: list[tuple[float, int, int, bytes]] = field(default_factory=list)

    def take(self, source: int) -> None:
        """Take what a node has sent, and send on what goes at once."""
        for _ in range(_TURN):
            try:
                packet = os.read(self.nodes[source].device, _PACKET_MAX)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4 or packet[16:19] != b"\x0a\x4d\x00":
                continue  # the kernel's own words, of IPv6 and to groups
            self._carry(packet, source, packet[19] - 1)

    def deliver(self) -> float | None:
        """Deliver what is due; gives the seconds until the next packet is."""
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._late)
            self._give(packet, target)
        return max(0.0, self._late[0][0] - now) if self._late else None

    def _carry(self, packet: bytes, source: int, target: int) -> None:
        now = time.monotonic()
        due = self.ways[source, target].due(now, len(packet), self.chance)
        if due is None or not 0 <= target < len(self.nodes):
            self.counted["lost"] += 1
        elif due <= now:
            self._give(packet, target)
        else:
            heapq.heappush(self._late, (due, self.counted["late"], target, packet))
            self.counted["late"] += 1

    def _give(self, packet: bytes, target: int) -> None:
        try:
            os.write(self.nodes[target].device, packet)
            self.counted["carried"] += 1
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                raise
            self.counted["lost"] += 1

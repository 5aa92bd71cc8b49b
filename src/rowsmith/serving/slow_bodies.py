"""SlowBodies: connections whose request bodies come a few bytes at a time are cut off.

Nothing that reads from a connection here can be told to give up: the server has no limit of its own for bodies, and no
way to end a read. But the kernel counts what each connection received and when something was last sent to it, and a
connection that is shut down for reading ends what waits for it. A request does not say which connection it is on; so,
while bodies from an address have been waited for too long, those connections of the address go which all that time were
sent nothing and got hardly anything. That is what a slow body looks like, or a connection that nobody uses.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

IS_POSSIBLE = sys.platform == "linux"
LEAST_BYTES = 500
"""A second: what Apache's mod_reqtimeout asks of a body, too."""
PAUSE_SECONDS = 1.0
LAST_SENT_AT, RECEIVED_AT, INFO_BYTES = 44, 128, 136
"""Where `struct tcp_info` has the milliseconds since something was sent, and the number of bytes received."""
SOCKETS = "/proc/self/fd"


@dataclass(slots=True)
class Wait:
    """For a body from an address, since a moment. `cut` is when connections from there were cut off."""

    address: str
    since: float
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class Connection:
    socket: socket.socket
    peer: tuple[str, int]
    idle_seconds: float
    received: int


@dataclass
class SlowBodies:
    """Looks once a second, in a thread of its own, at connections to `port` that keep a body back for `seconds`."""

    port: int
    seconds: float
    _waits: dict[int, Wait] = field(default_factory=dict)
    _seen: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)

    def start(self) -> None:
        if IS_POSSIBLE:
            threading.Thread(target=self._watch, name="rowsmith-slow-bodies", daemon=True).start()

    def begin(self, address: str) -> Wait:
        wait = Wait(address, time.monotonic())
        self._waits[id(wait)] = wait
        return wait

    def end(self, wait: Wait) -> bool:
        """Whether what it waited for may just have been cut off."""
        del self._waits[id(wait)]
        return wait.cut > 0.0 and time.monotonic() - wait.cut < 2 * PAUSE_SECONDS

    def _watch(self) -> None:
        while True:
            time.sleep(PAUSE_SECONDS)
            self.look()

    def look(self) -> None:
        now = time.monotonic()
        waits = [wait for wait in list(self._waits.values()) if now - wait.since > PAUSE_SECONDS]
        if not waits:
            self._seen.clear()
            return
        late = [wait for wait in waits if now - wait.since >= self.seconds]
        addresses = {_plain(wait.address) for wait in late}
        seen, self._seen = self._seen, {}
        for connection in connections(self.port):
            since, before = seen.get(connection.peer, (now, connection.received))
            if now - since >= self.seconds:
                came = connection.received - before
                is_slow = came < LEAST_BYTES * (now - since) and connection.idle_seconds >= self.seconds
                if is_slow and _plain(connection.peer[0]) in addresses:
                    self._cut(connection, late)
                since, before = now, connection.received
            self._seen[connection.peer] = (since, before)

    def _cut(self, connection: Connection, late: list[Wait]) -> None:
        for wait in late:
            if _plain(wait.address) == _plain(connection.peer[0]):
                wait.cut = time.monotonic()
        with suppress(OSError):  # its other end has gone by itself
            connection.socket.shutdown(socket.SHUT_RD)


def connections(port: int) -> Iterator[Connection]:
    """Those that this process has accepted on a port."""
    for name in os.listdir(SOCKETS):
        # A copy of the descriptor stays the same connection, whatever happens to the number meanwhile.
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as found:
            here, peer = found.getsockname(), found.getpeername()
            if found.type != socket.SOCK_STREAM or not isinstance(here, tuple) or here[1] != port:
                continue
            info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
            (idle,), (received,) = (
                struct.unpack_from("I", info, LAST_SENT_AT),
                struct.unpack_from("Q", info, RECEIVED_AT),
            )
            yield Connection(found, (peer[0], peer[1]), idle / 1000, received)


def _plain(address: str) -> str:
    """The address of IPv4 that one of IPv6 stands for, or itself."""
    return address.removeprefix("::ffff:")

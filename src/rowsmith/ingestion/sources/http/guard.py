"""Guard: an address is resolved once, looked at, and then connected to as it was looked at.

A recipe may be somebody else's. It must not make this machine ask its neighbours, nor the machine that lends it
credentials (169.254.169.254), on behalf of whoever wrote it. A name that answers with an internal address is no way
around, nor is a redirect, nor a name that answers differently the second time.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from rowsmith.errors import SourceError

VARIABLE = "ROWSMITH_INTERNAL_ADDRESSES"
ANY = "*"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Guard:
    """`allowed` are names of hosts and networks that may be reached though they are internal, `*` for all of them;
    `named` is the host that the user named in this very call, which is his own choice."""

    allowed: Sequence[str] = ()
    named: str = ""

    def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to for a host, as numbers, in the order of trying. Raises SourceError."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise SourceError(
                f"there is no host of this name: {getattr(problem, 'strerror', None) or problem}",
                where=host,
                next_step="look at the address, and at the network of this machine",
            ) from problem
        numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._is_allowed(host):
            for number in numbers:
                self._refuse_internal(host, ipaddress.ip_address(number.partition("%")[0]))
        return numbers

    def _is_allowed(self, host: str) -> bool:
        return ANY in self.allowed or host.lower() in (self.named.lower(), *map(str.lower, self.allowed))

    def _refuse_internal(self, host: str, number: Address) -> None:
        inner = _carried(number)
        if inner.is_global and not inner.is_multicast:
            return
        if any(inner in network for network in self._networks() if network.version == inner.version):
            return
        raise SourceError(
            "this address is internal, and was not named on the command line",
            where=host,
            received=str(number),
            allowed="addresses of the public internet",
            next_step=f"if it is meant to be read, set {VARIABLE}={host} (hosts and networks, separated by spaces)",
        )

    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(text, strict=False) for text in self.allowed if _is_network(text)]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _carried(number: Address) -> Address:
    """The address of version 4 that one of version 6 stands for, if it does (::ffff:10.0.0.1, 64:ff9b::, 6to4)."""
    if isinstance(number, ipaddress.IPv4Address):
        return number
    if number.ipv4_mapped:
        return number.ipv4_mapped
    if number.sixtofour:
        return number.sixtofour
    if number in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return number

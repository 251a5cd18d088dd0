"""Which addresses may be spoken to: only public ones, unless the user says otherwise; checked after a name is resolved.

Every connection goes to the address that was checked, so a name that resolves differently the second time gains nothing, and since a
redirect opens a connection too, it is checked like the first.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
from typing import Any

# Their last 32 bits are an IPv4 address: NAT64 (RFC 6052), IPv4-translated (RFC 7915), and IPv4-compatible (RFC 4291, deprecated).
_CARRIERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
# Never public, whatever Python's own table says: NAT64 of a local network (RFC 8215), and site-local addresses (RFC 3879).
_LOCAL = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "fec0::/10")))


class PrivateAddress(OSError):
    """A server's name leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet (not loopback, not a local network, not a cloud's metadata service).

    An IPv6 address that carries an IPv4 address (mapped, translated, compatible, 6to4, Teredo, NAT64) is as public as that one.
    """
    ip = ipaddress.ip_address(address.split("%")[0])
    carried = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            carried = [ip.ipv4_mapped]
        elif ip.sixtofour is not None:
            carried.append(ip.sixtofour)
        elif ip.teredo is not None:
            carried += ip.teredo
        elif any(ip in network for network in _LOCAL):
            return False
        elif any(ip in network for network in _CARRIERS):
            carried = [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return all(each.is_global and not each.is_multicast for each in carried)


def connect_public(address: tuple[str, int], timeout: Any = None, source_address: tuple[str, int] | None = None, **_: Any) -> socket.socket:
    """`socket.create_connection` to the public addresses of a host, in the resolver's order. Raises PrivateAddress where it has none."""
    host, port = address
    resolved_all = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    public = [each for each in resolved_all if is_public(str(each[4][0]))]
    if not public:
        listed = ", ".join(dict.fromkeys(str(each[4][0]) for each in resolved_all))
        raise PrivateAddress(f"{host} is {listed}, which is not a public address")
    failed: OSError | None = None
    for *_family, resolved in public:
        try:
            return socket.create_connection((str(resolved[0]), port), timeout, source_address)
        except OSError as error:
            failed = error
    raise failed or OSError(f"{host} has no address")


class PublicHTTPConnection(http.client.HTTPConnection):
    """Speaks HTTP with public addresses only. A proxy that the user's environment names is the user's choice, and is not checked."""

    def connect(self) -> None:
        """Resolve, check, connect."""
        if getattr(self, "_tunnel_host", None) is None:
            self._create_connection = connect_public
        super().connect()


class PublicHTTPSConnection(http.client.HTTPSConnection, PublicHTTPConnection):
    """TLS over a checked connection: HTTPSConnection.connect calls the next class's connect first."""

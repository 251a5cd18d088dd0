"""Only public addresses are spoken to, whichever client asks, and the check sees what the resolver said."""

import socket
import threading

import pytest

from finecomb.assets.addresses import PrivateAddress, PublicHTTPConnection, connect_public, is_public
from finecomb.assets.connections import Connections, body

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1",
    "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "2001:0:7f00:1::", "64:ff9b:1::7f00:1", "64:ff9b:1::1.1.1.1", "::ffff:0:127.0.0.1", "::ffff:0:10.0.0.1", "::127.0.0.1", "::10.0.0.1",
    "::a9fe:a9fe", "fec0::1", "feff::1",
]  # fmt: skip


@pytest.fixture
def listening():
    """A server that answers every connection, and the list of those it had."""
    had = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve():
            try:
                while True:
                    with server.accept()[0] as client:
                        had.append(client.recv(1000))
                        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], had


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_known(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::1.1.1.1", "2002:101:101::", "::ffff:0:1.1.1.1"])
def test_public_addresses_are_known(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1"])
def test_no_connection_is_even_opened_to_a_private_address(host, listening):
    port, had = listening
    with pytest.raises(PrivateAddress, match=r"127\.0\.0\.1, which is not a public address"):
        connect_public((host, port), 5)
    connection = PublicHTTPConnection(host, port, timeout=5)
    with pytest.raises(PrivateAddress):
        connection.request("GET", "/")
    assert had == []


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    """A name that is public when checked and private a moment later leads nowhere else."""
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 80))]])
    connected = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))
    monkeypatch.setattr(socket, "create_connection", lambda address, *_: connected.append(address))
    connect_public(("rebinding.example", 80), 5)
    assert connected == [("1.1.1.1", 80)]


def _get(url, *, allow_private):
    limits = {"connect_timeout": 5, "head_timeout": 5, "read_timeout": 5, "proxied": False}
    connections = Connections("test", allow_private=allow_private, **limits)
    with connections.request(url, {}) as answer:
        return b"".join(body(answer))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_client_is_held_to_the_same_rule(host, listening):
    port, had = listening
    with pytest.raises(PrivateAddress, match="not a public address"):
        _get(f"http://{host}:{port}/", allow_private=False)
    assert had == []
    assert _get(f"http://127.0.0.1:{port}/", allow_private=True) == b"ok"
    assert len(had) == 1

"""Where a request comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from interview_agent.web.proxies import Proxies, neighbourhood

if TYPE_CHECKING:
    from aiohttp import web


def asked(peer: str, *forwarded: str, proto: str | None = None) -> web.BaseRequest:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    headers += [("X-Forwarded-Proto", proto)] if proto else []
    return make_mocked_request("GET", "/", headers=CIMultiDict(headers)).clone(remote=peer)


PROXIES = Proxies(["10.0.0.0/8", "2001:db8::1"])

CLIENTS = {
    "nobody in between": ("192.0.2.7", (), "192.0.2.7"),
    "a stranger who claims": ("192.0.2.7", ("1.2.3.4",), "192.0.2.7"),
    "a proxy that tells": ("10.0.0.1", ("192.0.2.7",), "192.0.2.7"),
    "a proxy that tells nothing": ("10.0.0.1", (), "10.0.0.1"),
    "a client who claims to a proxy": ("10.0.0.1", ("1.2.3.4, 192.0.2.7",), "192.0.2.7"),
    "two lines": ("10.0.0.1", ("1.2.3.4", "192.0.2.7"), "192.0.2.7"),
    "two proxies": ("10.0.0.1", ("1.2.3.4, 192.0.2.7, 10.9.9.9",), "192.0.2.7"),
    "proxies alone": ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
    "garbage behind a proxy": ("10.0.0.1", ("192.0.2.7, <script>",), "10.0.0.1"),
    "garbage behind two": ("10.0.0.1", ("x, 10.0.0.2",), "10.0.0.2"),
    "an empty line": ("10.0.0.1", ("",), "10.0.0.1"),
    "a port": ("10.0.0.1", ("192.0.2.7:4711",), "192.0.2.7"),
    "version 6 with a port": ("10.0.0.1", ("[2001:db8::7]:4711",), "2001:db8::7"),
    "version 6": ("2001:db8::1", ("2001:DB8:0::7",), "2001:db8::7"),
    "version 4 in 6": ("::ffff:10.0.0.1", ("::ffff:192.0.2.7",), "192.0.2.7"),
    "a zone": ("fe80::1%eth0", (), "fe80::1"),
    "no address": ("", ("1.2.3.4",), "unknown"),
}


@pytest.mark.parametrize("case", CLIENTS, ids=lambda case: case)
def test_the_client_is_the_last_hop_that_no_trusted_proxy_is(case: str) -> None:
    peer, forwarded, client = CLIENTS[case]
    assert PROXIES.client_of(asked(peer, *forwarded)) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert Proxies().client_of(asked("127.0.0.1", "192.0.2.7")) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "proto", "by_tls"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "HTTPS ", True),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", None, False),
        ("192.0.2.7", "https", False),
    ],
)
def test_tls_is_believed_of_a_trusted_proxy(peer: str, proto: str | None, by_tls: bool) -> None:
    assert PROXIES.came_by_tls(asked(peer, proto=proto)) is by_tls


def test_limits_count_a_network_of_version_6_as_one() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1")
    assert neighbourhood("2001:db8::1") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("192.0.2.7") == "192.0.2.7"
    assert neighbourhood("unknown") == "unknown"

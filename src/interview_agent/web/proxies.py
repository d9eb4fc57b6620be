"""Where a request comes from, when proxies stand in between."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

UNKNOWN = "unknown"
_NEIGHBOURS_BITS = 64
_MOST_CHARS = 64
_REMEMBERED = 4096

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=_REMEMBERED)
def _address(text: str) -> _Address | None:
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@lru_cache(maxsize=_REMEMBERED)
def neighbourhood(client: str) -> str:
    """Return what limits count a client by: its address, of version 6 the network that it is in."""
    address = _address(client)
    if isinstance(address, ipaddress.IPv6Address):
        # One subscriber has a whole network of these to choose from.
        return str(ipaddress.ip_network((address, _NEIGHBOURS_BITS), strict=False))
    return client


class Proxies:
    """The networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted]

    def trusts(self, peer: str | None) -> bool:
        """Whether the address is one of a trusted proxy."""
        address = _address(peer or "")
        return address is not None and any(address in network for network in self._trusted)

    def client_of(self, request: web.BaseRequest) -> str:
        """Return the address of the client: the last one that no trusted proxy has."""
        client = request.remote or UNKNOWN
        if not self.trusts(client):
            return str(_address(client) or client)
        lines = request.headers.getall("X-Forwarded-For", [])
        for hop in reversed(",".join(lines).split(",")):
            address = _address(hop.strip()[:_MOST_CHARS])
            if address is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client

    def came_by_tls(self, request: web.BaseRequest) -> bool:
        """Whether the client spoke TLS, to us or to a trusted proxy."""
        if request.secure:
            return True
        told = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2]
        return told.strip().lower() == "https" and self.trusts(request.remote)

"""Which pages may speak to this service from a browser."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Collection

ANY = "*"


class Origins:
    """Pages of the `allowed` origins, of our own and of loopback; `*` allows all.

    `credentials` lets pages send cookies and TLS certificates along, which `*` rules out.
    """

    def __init__(self, allowed: Collection[str] = (), *, credentials: bool = False) -> None:
        self._allowed = frozenset(allowed)
        self.credentials = credentials and ANY not in self._allowed

    def welcomes(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may speak to what it reached as `host`."""
        origin = origin.strip().lower()
        if origin in self._allowed or ANY in self._allowed:
            return True
        try:
            page = URL(origin)
            own = URL(f"{page.scheme}://{host.strip().lower()}")
        except ValueError:
            return False
        if page.scheme not in {"http", "https"} or page.host is None:
            return False
        return (page.host, page.port) == (own.host, own.port) or _is_loopback(page.host)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Links into meetings: which may be opened, and what of them may be shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from interview_agent.domain.errors import ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LINK_CHARS = 2_000
_PLAIN = re.compile(r"https://[\x21-\x7e]+\Z", re.IGNORECASE)


def check_join_link(link: str, hosts: Iterable[str]) -> str:
    """Return a link that a bot may open: https, a host of the list by name, nobody's user.

    `hosts` are names, or `*.` and a name for all below it. Raises `ValidationFailed`, which does
    not repeat the link.
    """
    # A backslash is a slash to some browsers and none to us, so that they could see another host.
    if len(link) > MAX_LINK_CHARS or not _PLAIN.match(link) or "\\" in link:
        raise _refused("must be an https link of printable ASCII characters")
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused("is no valid link") from None
    if "@" in parts.netloc or port not in (None, 443):
        raise _refused("must name no user and no port")
    if not any(_matches(host, allowed) for allowed in hosts):
        raise _refused("leads to a host that SBERJAZZ_JOIN_HOSTS does not allow")
    return link


def masked_link(link: str) -> str:
    """Return what of a checked link may be shown: its host."""
    return f"https://{urlsplit(link).hostname}/…"


def _matches(host: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:]) and len(host) > len(allowed) - 1
    return host == allowed


def _refused(reason: str) -> ValidationFailed:
    return ValidationFailed.at("join_url", message=f"join_url {reason}", kind="join_url")

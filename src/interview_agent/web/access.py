"""Who may do what, in one list: what every route and every message on a socket needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.web.app import API_ROUTES, api_description
from interview_agent.web.docs import docs_routes
from interview_agent.web.live.escort import EVENT_NEEDS, need_of
from interview_agent.web.live.routes import METHOD, SOCKET_ROUTES
from interview_agent.web.routes_service import SERVICE_ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interview_agent.domain.policy import Need

_FORM_OF_A_NAME = re.compile(r"\{(\w+):[^}]*\}")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What asking for `path` needs; of a socket, opening it, or there the message `event`."""

    method: str
    path: str
    need: Need
    event: str | None = None


def access_rules() -> Iterator[AccessRule]:
    """Yield what everything that the API serves needs; HEAD needs what GET does."""
    for open_route in (*SERVICE_ROUTES, *docs_routes(api_description(""))):
        path = _FORM_OF_A_NAME.sub(r"{\1}", open_route.path)
        yield AccessRule("GET", path, open_route.need)
    for route in API_ROUTES:
        yield AccessRule(route.method, route.path, route.need)
    for socket in SOCKET_ROUTES:
        yield AccessRule(METHOD, socket.path, socket.need)
        for event in EVENT_NEEDS:
            yield AccessRule(METHOD, socket.path, need_of(event, socket.contour), event)

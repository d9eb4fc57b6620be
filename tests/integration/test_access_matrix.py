"""Everybody asks for everything, in every mode: who gets in, who does not, and what that leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from access_server import KEYS, TOKENS, AccessServer, Tokens, access_server, bearer, chunk, key
from connector_stand import connector_parts
from gateway_twin import GatewayTwin
from interview_agent.web.access import AccessRule, access_rules
from interview_agent.web.auth import Authenticator, OpenDoor
from interview_agent.web.live.protocol import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

OTHER_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

PRINCIPALS: dict[str, dict[str, str]] = {
    "nobody": {},
    "user key": key("alice"),
    "service key": key("machine"),
    "unknown key": key("eve"),
    "user token": bearer("user-of-a"),
    "no scope": bearer("service"),
    "read": bearer("service-read"),
    "write": bearer("service-write"),
    "ws": bearer("service-ws"),
    "ingest": bearer("service-ingest"),
    "expired": bearer("expired"),
    "bad token, good key": bearer("expired") | key("machine"),
}
NOBODY_ELSE = dict.fromkeys(PRINCIPALS, 401)

# What each kind of door answers in production to those who show a token; 2 is any success.
_OPEN = dict.fromkeys(PRINCIPALS, 2)


def _tokens(user: int, **scopes: int) -> dict[str, int]:
    services = dict.fromkeys(("no scope", "read", "write", "ws", "ingest"), 403)
    return NOBODY_ELSE | {"user token": user} | services | scopes


TOKEN_ROWS = {
    "open": _OPEN,
    "metrics": _tokens(403, read=2),
    "read": _tokens(2, read=2),
    "write": _tokens(2, write=2),
    "ingest": _tokens(403, ingest=2),
    "user socket": _tokens(101),
    "internal socket": _tokens(403, ws=101),
    "admin read": _tokens(403, read=2),
    "admin write": _tokens(403, write=2),
}
# What keys of users and of services are answered where keys are taken.
KEY_CELLS = {
    "open": (2, 2),
    "metrics": (403, 2),
    "read": (2, 2),
    "write": (2, 2),
    "ingest": (403, 2),
    "user socket": (101, 403),
    "internal socket": (403, 101),
    "admin read": (403, 2),
    "admin write": (403, 2),
}


def door_of(rule: AccessRule) -> str:
    """Return the row of the matrix that a path belongs to, by its path alone."""
    path = rule.path
    if path.startswith("/v1/ws"):
        return "internal socket" if path.endswith("/internal") else "user socket"
    if path == "/metrics":
        return "metrics"
    if path.startswith("/v1/admin/"):
        return "admin read" if rule.method == "GET" else "admin write"
    if path.startswith("/v1/internal/"):
        return "ingest"
    if path.startswith("/v1/meetings"):
        return "read" if rule.method == "GET" else "write"
    open_paths = {"/health", "/ready", "/openapi.json", "/redoc"}
    assert path in open_paths or path.startswith("/docs"), path
    return "open"


@dataclass(frozen=True)
class Mode:
    """A way to authenticate, and what it makes of the rows."""

    authenticator: Authenticator
    guard_metrics: bool

    def owner_for(self, principal: str) -> str:
        """Return who must own the meeting that a principal is to find its own."""
        if isinstance(self.authenticator, OpenDoor):
            return "subject:anonymous"
        return {"user key": "tenant:acme", "user token": "tenant:a"}.get(principal, "tenant:z")

    def expected(self, principal: str, door: str) -> int:
        """Return what a principal is answered at a door."""
        if door == "open" or (door == "metrics" and not self.guard_metrics):
            return 2
        if isinstance(self.authenticator, OpenDoor):
            return KEY_CELLS[door][0]
        if not isinstance(self.authenticator, Tokens):
            user, service = KEY_CELLS[door]
            keys = {"user key": user, "service key": service, "bad token, good key": service}
            return keys.get(principal, 401)
        if principal == "service key" and self is MODES["tokens, in development"]:
            return KEY_CELLS[door][1]
        return TOKEN_ROWS[door][principal]


MODES = {
    "open door, in development": Mode(OpenDoor(), guard_metrics=False),
    "keys": Mode(KEYS, guard_metrics=True),
    "tokens, in development": Mode(Tokens(service_keys=True), guard_metrics=False),
    "tokens, in production": Mode(Tokens(service_keys=False), guard_metrics=True),
}
REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/meetings/start"): {"json": {}},
    ("POST", "/v1/meetings/{meeting_id}/chunks"): {"json": chunk()},
    ("POST", "/v1/internal/meetings/{meeting_id}/chunks"): {"json": chunk()},
    ("POST", "/v1/meetings/{meeting_id}/recording"): {
        "data": b"audio",
        "headers": {"Content-Type": "audio/wav"},
    },
}
HTTP_RULES = [rule for rule in access_rules() if rule.method != "WS"]
SOCKET_RULES = [rule for rule in access_rules() if rule.method == "WS" and rule.event is None]


def filled(template: str, meeting: str = "m1") -> str:
    """Return a path of this template."""
    return template.format(meeting_id=meeting, name="swagger-ui.css", deletion_id=1)


async def answered(server: AccessServer, principal: str, rule: AccessRule, meeting: str) -> int:
    headers = PRINCIPALS[principal]
    if rule.method == "WS":
        status, _, _ = await server.dial.refusal(path=rule.path, headers=headers)
        return int(status)
    wanted = REQUESTS.get((rule.method, rule.path), {})
    path = filled(rule.path, meeting)
    headers = headers | wanted.get("headers", {})
    async with server.http.request(rule.method, path, **{**wanted, "headers": headers}) as answer:
        return answer.status


def same(expected: int, status: int, rule: AccessRule) -> bool:
    if expected == 2 and rule.path.startswith("/v1/admin/"):
        # What is asked for there may not exist; that it may be asked for is what counts.
        return status not in {401, 403, 405, 429} and status < 500
    return status // 100 == 2 if expected == 2 else status == expected


@pytest.mark.parametrize("name", MODES)
async def test_everybody_gets_what_the_matrix_says_and_each_refusal_leaves_one_event(
    database: Database, tmp_path: Path, name: str
) -> None:
    mode = MODES[name]
    wrong: dict[tuple[str, str, str], object] = {}
    async with access_server(
        database,
        tmp_path,
        mode.authenticator,
        guard_metrics=mode.guard_metrics,
        connector=lambda pool, audit: connector_parts(pool, GatewayTwin(), audit, needs_link=False),
    ) as server:
        for principal in PRINCIPALS:
            owner = mode.owner_for(principal)
            meeting = f"m-{list(PRINCIPALS).index(principal)}"
            await server.opened(meeting, owner)
            # Those that are refused come first: after them everything is as it was.
            rules = sorted(
                (*HTTP_RULES, *SOCKET_RULES),
                key=lambda rule: mode.expected(principal, door_of(rule)) < 400,
            )
            before, untouched = await server.traces(), True
            server.audit.taken()
            for rule in rules:
                expected = mode.expected(principal, door_of(rule))
                if expected < 400 and untouched:
                    assert await server.traces() == before, (name, principal)
                    untouched = False
                status = await answered(server, principal, rule, meeting)
                noted, tallied = server.audit.taken()
                denials = [event for event in noted if event.outcome == "deny"]
                if not same(expected, status, rule):
                    wrong[principal, rule.method, rule.path] = (expected, status)
                elif expected >= 400:
                    said = [(event.status_code, event.method) for event in denials]
                    if (said, len(noted), tallied) != ([(status, rule.method)], 1, []):
                        wrong[principal, rule.method, rule.path] = (noted, tallied)
                elif denials:
                    wrong[principal, rule.method, rule.path] = denials
    assert wrong == {}


async def test_everything_that_is_served_says_what_it_needs(
    database: Database, tmp_path: Path
) -> None:
    declared = {(rule.method, rule.path) for rule in access_rules() if rule.event is None}
    sockets = {path for method, path in declared if method == "WS"}
    async with access_server(database, tmp_path, KEYS) as server:
        served = set()
        for route in server.app.router.routes():
            assert route.resource is not None
            path = route.resource.canonical
            method = "GET" if route.method == "HEAD" else route.method
            served.add(("WS" if path in sockets else method, path))
    assert served == declared


def test_every_message_on_a_socket_says_what_it_needs() -> None:
    for path in ("/v1/ws", "/v1/ws/internal"):
        events = [rule.event for rule in access_rules() if rule.path == path and rule.event]
        assert sorted(events) == sorted(KINDS)


async def test_every_other_method_is_405_with_what_is_allowed(
    database: Database, tmp_path: Path
) -> None:
    allowed: dict[str, set[str]] = {}
    for rule in (*HTTP_RULES, *SOCKET_RULES):
        methods = {"GET": {"GET", "HEAD"}, "WS": {"GET"}}.get(rule.method, {rule.method})
        allowed.setdefault(rule.path, set()).update(methods)
    async with access_server(database, tmp_path, KEYS) as server:
        # "start" fits the template of a meeting as well.
        allowed["/v1/meetings/start"] |= allowed["/v1/meetings/{meeting_id}"]
        for template, methods in allowed.items():
            path = filled(template)
            for method in set(OTHER_METHODS) - methods:
                async with server.http.request(method, path, headers=key("machine")) as answer:
                    assert answer.status == 405, (method, path)
                    assert set(answer.headers["Allow"].split(",")) == methods, (method, path)
                    assert (await answer.json())["detail"]["code"] == "method_not_allowed"


async def test_head_is_judged_as_get_is(database: Database, tmp_path: Path) -> None:
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as server:
        await server.opened("m1", TOKENS["user-of-a"].owner)
        for rule in HTTP_RULES:
            if rule.method != "GET":
                continue
            path = filled(rule.path)
            for name in ("user-of-a", "user-of-b", "service-read", "service-write", "expired"):
                statuses = []
                for method in ("GET", "HEAD"):
                    async with server.http.request(method, path, headers=bearer(name)) as answer:
                        statuses.append(answer.status)
                assert statuses[0] == statuses[1], (name, path)


VARIANTS = tuple(
    form.format(*names)
    for names in (
        ("internal", "%69nternal", "meetings/m1/chunks"),
        ("admin", "%61dmin", "dlq/redrive"),
    )
    for form in (
        "/v1/{0}//{2}",
        "//v1//{0}/{2}",
        "/v1/{0};/{2}",
        "/V1/{0}/{2}",
        "/v1/{0}/{2}/",
        "/v1/{1}/{2}",
        "/v1/meetings/../{0}/{2}",
    )
)


async def test_no_other_way_to_write_a_path_gets_past_its_policy(
    database: Database, tmp_path: Path
) -> None:
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as server:
        before = await server.traces()
        for path in VARIANTS:
            for extra in ({}, {"X-Original-URL": path}, {"X-HTTP-Method-Override": "GET"}):
                status, _ = await server.ask(
                    "POST", path, bearer("user-of-a") | extra, json=chunk()
                )
                assert status in {403, 404}, path
        assert await server.traces() == before

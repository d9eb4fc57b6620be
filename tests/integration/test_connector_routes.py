"""The routes of the connector, and joining at the start of a meeting."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from access_server import KEYS, AccessServer, access_server, key
from connector_stand import connector_parts
from gateway_twin import GatewayTwin
from interview_agent.domain.connector import SessionState
from interview_agent.domain.errors import ConnectorBadRequest, ConnectorUnavailable, DatabaseError
from interview_agent.domain.meeting import Consent
from interview_agent.web.app import api_description
from interview_agent.web.routes_connector import CONNECTOR_ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

MACHINE, ALICE = key("machine"), key("alice")
BASE = "/v1/admin/connectors/sberjazz"
LINK = "https://salutejazz.ru/abc?psw=secret"
DOCUMENT = api_description("1")


@dataclass
class Desk:
    """An operator at the API, and the gateway behind it."""

    server: AccessServer
    gateway: GatewayTwin

    async def get(self, path: str) -> Any:
        status, body = await self.server.ask("GET", f"{BASE}/{path}", MACHINE)
        assert status == 200, body
        return body

    async def post(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        return await self.server.ask("POST", f"{BASE}/{path}", MACHINE, json=body or {})

    async def done(self, path: str, body: dict[str, Any] | None = None) -> Any:
        status, answer = await self.post(path, body)
        assert status == 200, answer
        return answer

    async def refused(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        status, answer = await self.post(path, body)
        return status, answer["detail"]["code"]

    async def start(self, **fields: Any) -> tuple[int, Any]:
        body = {"meeting_id": "m1", "context": {"join_url": LINK}, **fields}
        return await self.server.ask("POST", "/v1/meetings/start", ALICE, json=body)


@asynccontextmanager
async def served(database: Database, folder: Path, **options: Any) -> AsyncIterator[Desk]:
    gateway = GatewayTwin()
    async with access_server(
        database,
        folder,
        KEYS,
        connector=lambda pool, audit: connector_parts(pool, gateway, audit, **options),
    ) as server:
        yield Desk(server, gateway)


def check(path: str, method: str, body: Any) -> None:
    """Check an answer against what the API says of it."""
    operation = DOCUMENT["paths"][f"{BASE}/{path}"][method]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(body)


async def test_without_a_connector_every_route_says_that_there_is_none(
    database: Database, tmp_path: Path
) -> None:
    async with access_server(database, tmp_path, KEYS) as server:
        for route in CONNECTOR_ROUTES:
            path = route.path.format(meeting_id="m1")
            told = await server.told(route.method, path, MACHINE)
            assert told == (409, "connector_disabled"), path
        start = {"meeting_id": "m1", "auto_join_connector": True}
        told = await server.told("POST", "/v1/meetings/start", ALICE, json=start)
        assert told == (409, "connector_disabled")
        status, _ = await server.ask("GET", "/v1/meetings/m1", ALICE)
        assert status == 404
        status, body = await server.ask(
            "POST", "/v1/meetings/start", ALICE, json={"meeting_id": "m1"}
        )
        assert (status, body["connector_auto_join"], body["connector_provider"]) == (
            200,
            False,
            None,
        )


async def test_a_bot_joins_reconnects_and_leaves_and_its_link_is_never_shown(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        joined = await desk.done("m1/join", {"join_url": LINK, "bot_name": "Бот", "extra": 1})
        check("{meeting_id}/join", "post", joined)
        assert (joined["connected"], joined["state"], joined["attempts"]) == (True, "active", 1)
        assert joined["join_link"] == "https://salutejazz.ru/…"
        order = desk.gateway.active[0].order
        assert (order.join_url, order.bot_name) == (LINK, "Бот")
        again = await desk.done("m1/reconnect")
        assert (again["connected"], again["epoch"]) == (True, 2)
        listed = await desk.get("sessions")
        check("sessions", "get", listed)
        assert [each["meeting_id"] for each in listed["sessions"]] == ["m1"]
        left = await desk.done("m1/leave")
        assert (left["connected"], left["state"], left["reason"]) == (False, "ended", "left")
        status = await desk.get("m1/status")
        check("{meeting_id}/status", "get", status)
        assert "secret" not in repr((joined, again, listed, left, status))
        assert desk.gateway.active == []


async def test_a_meeting_that_a_join_opens_has_the_language_of_the_join(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        await desk.done("m1/join", {"join_url": LINK, "language": "en-US"})
        _, meeting = await desk.server.ask("GET", "/v1/meetings/m1", MACHINE)
        assert meeting["language"] == "en"


async def test_the_status_of_a_meeting_that_nobody_knows_is_that_of_no_bot(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        for absent in (await desk.get("nobody/status"), await desk.done("nobody/leave")):
            check("{meeting_id}/status", "get", absent)
            assert (absent["connected"], absent["attempts"], absent["state"]) == (False, 0, None)
        assert await desk.refused("nobody/reconnect") == (404, "not_found")


async def test_joining_opens_a_meeting_for_the_caller_as_a_first_chunk_does(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        await desk.done("m1/join", {"join_url": LINK})
        async with database.connection() as connection:
            owner = await connection.fetchval("SELECT owner FROM meetings")
        assert owner.startswith("subject:")
        status, _ = await desk.server.ask("GET", "/v1/meetings/m1", ALICE)
        assert status == 404


async def test_a_deleted_meeting_is_joined_no_more_and_its_bot_can_be_called_back(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        await desk.start()
        await desk.done("m1/join")
        await desk.server.ask("DELETE", "/v1/meetings/m1", ALICE)
        status, code = await desk.refused("m1/join", {"join_url": LINK})
        assert (status, code) == (409, "meeting_gone")
        assert (await desk.get("m1/status"))["state"] is None
        await desk.done("m1/leave")
        assert desk.gateway.active == []


@pytest.mark.parametrize("name", ["..", "a%2fb", "a%3Fb", "a%23b", "a%0d%0ab", "x" * 65, "%20"])
async def test_an_id_that_is_none_is_refused_before_the_gateway_hears_of_it(
    database: Database, tmp_path: Path, name: str
) -> None:
    async with served(database, tmp_path) as desk:
        for action in ("join", "leave", "reconnect"):
            status, _ = await desk.post(f"{name}/{action}", {"join_url": LINK})
            assert status in {404, 422}, action
        status, _ = await desk.server.ask("GET", f"{BASE}/{name}/status", MACHINE)
        assert status in {404, 422}
        assert desk.gateway.calls == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (409, "conflict")),
        ({"join_url": "http://salutejazz.ru/"}, (422, "validation")),
        ({"join_url": "https://127.0.0.1/"}, (422, "validation")),
        ({"join_url": "https://u:p@salutejazz.ru/"}, (422, "validation")),
        ({"join_url": 5}, (422, "validation")),
        ({"join_url": LINK, "bot_name": "a\nb"}, (422, "validation")),
        ({"join_url": LINK, "bot_name": "x" * 101}, (422, "validation")),
        ({"join_url": LINK, "language": "klingon!"}, (422, "validation")),
    ],
)
async def test_a_bad_wish_is_refused_and_the_gateway_asked_nothing(
    database: Database, tmp_path: Path, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    async with served(database, tmp_path) as desk:
        assert await desk.refused("m1/join", body) == expected
        assert desk.gateway.calls == []


async def test_consent_that_was_denied_keeps_every_bot_out(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        await desk.server.opened("m1", "tenant:acme", Consent.DENIED)
        for action in ("join", "reconnect"):
            told = await desk.refused(f"m1/{action}", {"join_url": LINK})
            assert told == (403, "consent_denied")
        assert desk.gateway.calls == []


async def test_faults_of_the_gateway_are_503_and_open_the_breaker_until_it_is_reset(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        closed = await desk.get("circuit-breaker")
        check("circuit-breaker", "get", closed)
        assert closed["state"] == "closed"
        desk.gateway.fail("join", ConnectorUnavailable(), ConnectorUnavailable())
        for _ in range(2):
            told = await desk.refused("m1/join", {"join_url": LINK})
            assert told == (503, "connector_unavailable")
        status, answer = await desk.post("m1/join")
        detail = answer["detail"]
        assert (status, detail["code"]) == (503, "connector_circuit_open")
        assert detail["details"]["operation"] == "join"
        assert detail["details"]["consecutive_failures"] == 2
        failed = await desk.get("m1/status")
        assert (failed["connected"], failed["last_error"]) == (False, "connector_circuit_open")
        opened = await desk.get("circuit-breaker")
        assert (opened["state"], opened["last_error"]) == ("open", "connector_unavailable")
        assert (await desk.get("health"))["details"] == {"circuit_breaker": "open"}
        assert (await desk.done("circuit-breaker/reset"))["state"] == "closed"
        assert (await desk.done("m1/join"))["last_error"] is None


async def test_an_operation_under_way_is_409_with_its_name(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        await desk.done("m1/join", {"join_url": LINK})
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE connector_sessions SET op_name = 'join', op_until = now() + interval '9 s'"
            )
        status, answer = await desk.post("m1/leave")
        assert (status, answer["detail"]["code"]) == (409, "connector_busy")
        assert answer["detail"]["details"] == {"meeting_id": "m1", "operation": "join"}


async def test_health_says_whether_the_gateway_works(database: Database, tmp_path: Path) -> None:
    async with served(database, tmp_path) as desk:
        health = await desk.get("health")
        check("health", "get", health)
        assert (health["provider"], health["configured"], health["healthy"]) == (
            "sberjazz",
            True,
            True,
        )
        desk.gateway.fail("health", ConnectorUnavailable())
        sick = await desk.get("health")
        assert (sick["healthy"], sick["details"]["error"]) == (False, "connector_unavailable")


async def test_limits_are_clamped_and_what_is_no_number_is_refused(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        for number in range(3):
            await desk.done(f"m{number}/join", {"join_url": LINK})
        for limit, count in (("0", 1), ("-5", 1), ("2", 2), ("99999", 3)):
            assert len((await desk.get(f"sessions?limit={limit}"))["sessions"]) == count
        looked = await desk.done("reconcile?limit=0")
        check("reconcile", "post", looked)
        assert (looked["scanned"], looked["stale_threshold_sec"]) == (0, 900)
        pulled = await desk.done("live-pull?limit_sessions=2&batch_limit=0")
        check("live-pull", "post", pulled)
        assert (pulled["scanned"], pulled["connected"], pulled["ingested"]) == (2, 2, 0)
        for path in ("sessions?limit=many", "sessions?limit=1.5"):
            told = await desk.server.told("GET", f"{BASE}/{path}", MACHINE)
            assert told == (422, "validation")


async def test_every_act_is_recorded_before_it_is_done_and_not_done_without_a_record(
    database: Database, tmp_path: Path
) -> None:
    acts = (
        "m1/join",
        "m1/reconnect",
        "m1/leave",
        "circuit-breaker/reset",
        "reconcile",
        "live-pull",
    )
    async with served(database, tmp_path) as desk:
        for act in acts:
            await desk.done(act, {"join_url": LINK})
        assert [event.reason.rpartition(":")[2] for event in desk.server.audit.recorded] == [
            "connector_join",
            "connector_reconnect",
            "connector_leave",
            "connector_breaker_reset",
            "connector_reconcile",
            "connector_live_pull",
        ]
        assert {event.meeting_id for event in desk.server.audit.recorded[:3]} == {"m1"}
        calls, desk.server.audit.fault = list(desk.gateway.calls), DatabaseError()
        for act in acts:
            assert await desk.refused(act, {"join_url": LINK}) == (503, "db_error")
        assert desk.gateway.calls == calls


async def test_a_start_that_asks_for_it_sends_a_bot(database: Database, tmp_path: Path) -> None:
    async with served(database, tmp_path) as desk:
        status, body = await desk.start(auto_join_connector=True, mode="postmeeting")
        assert status == 200
        assert body["connector_auto_join"] is True
        assert (body["connector_provider"], body["connector_connected"]) == ("sberjazz", True)
        assert desk.gateway.active[0].order.join_url == LINK
        await desk.start(auto_join_connector=True)
        assert desk.gateway.calls == ["join"]


@pytest.mark.parametrize(
    ("auto_join", "fields", "joins"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"auto_join_connector": False}, False),
        (True, {"mode": "postmeeting"}, False),
        (True, {"context": {}}, False),
        (True, {"consent": "denied"}, False),
    ],
)
async def test_a_start_that_says_nothing_sends_a_bot_where_that_is_set_and_possible(
    database: Database, tmp_path: Path, auto_join: bool, fields: dict[str, Any], joins: bool
) -> None:
    async with served(database, tmp_path, auto_join=auto_join) as desk:
        status, body = await desk.start(**fields)
        assert (status, body["connector_auto_join"]) == (200, joins)
        assert body["connector_connected"] is (True if joins else None)
        assert len(desk.gateway.bots) == joins


async def test_a_start_whose_join_fails_says_so_keeps_the_meeting_and_tries_again_when_repeated(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path) as desk:
        desk.gateway.fail("join", ConnectorBadRequest())
        status, body = await desk.start(auto_join_connector=True)
        assert (status, body["detail"]["code"]) == (503, "connector_bad_request")
        status, meeting = await desk.server.ask("GET", "/v1/meetings/m1", ALICE)
        assert (status, meeting["status"]) == (200, "queued")
        status, body = await desk.start(auto_join_connector=True)
        assert (status, body["connector_connected"]) == (200, True)
        status, body = await desk.start(auto_join_connector=True, meeting_id="m2", context={})
        assert (status, body["detail"]["code"]) == (409, "conflict")


async def test_a_bot_that_waits_in_the_lobby_is_not_connected_yet(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path, fresh_s=0.0) as desk:
        await desk.done("m1/join", {"join_url": LINK})
        desk.gateway.bots[0].state = SessionState.LOBBY
        waiting = await desk.done("m1/join")
        assert (waiting["connected"], waiting["state"]) == (False, "lobby")

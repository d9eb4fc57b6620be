"""What one caller may ask for, and that others do not feel it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from access_server import KEYS, TOKENS, AccessServer, Tokens, access_server, bearer, chunk, key
from interview_agent.adapters.postgres import PostgresBacklog
from interview_agent.web.rates import RateLimits
from socket_client import chunk as socket_chunk

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

LOOPBACK = ("127.0.0.1",)


def seen_from(address: str) -> dict[str, str]:
    """Return the header by which a trusted proxy tells the address of a client."""
    return {"X-Forwarded-For": address}


async def refusal(server: AccessServer, *given: Any, **options: Any) -> tuple[int, str, bool]:
    """Return status, code, and whether the answer says when to come back."""
    async with server.http.request(*given, **options) as answer:
        body = await answer.json()
        return answer.status, body["detail"]["code"], int(answer.headers["Retry-After"]) > 0


async def test_an_identity_past_its_rate_is_429_and_another_is_not(
    database: Database, tmp_path: Path
) -> None:
    rates = RateLimits(requests_per_s_of_identity=1.0)
    async with access_server(database, tmp_path, KEYS, rates=rates) as server:
        statuses = [(await server.ask("GET", "/v1/meetings", key("alice")))[0] for _ in range(40)]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        async with server.http.get("/v1/meetings", headers=key("bob")) as answer:
            assert answer.status == 200
        (first, *_) = server.audit.denied
        assert (first.reason, first.status_code) == ("rate_limited", 429)
        assert first.subject.startswith("key:")


async def test_an_address_past_its_rate_is_429_whatever_it_asks_for_and_another_is_not(
    database: Database, tmp_path: Path
) -> None:
    rates = RateLimits(requests_per_s_of_address=2.0)
    async with access_server(database, tmp_path, KEYS, rates=rates, trusted=LOOPBACK) as server:
        noisy, quiet = seen_from("192.0.2.1"), seen_from("192.0.2.2")
        paths = ("/nowhere", "/docs", "/v1/meetings", "/v1/ws")
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(server.ask("GET", paths[number % 4], noisy | key("alice")))
                for number in range(100)
            ]
        statuses = [task.result()[0] for task in asked]
        assert statuses.count(429) > 50
        assert await refusal(server, "GET", "/nowhere", headers=noisy) == (
            429,
            "rate_limited",
            True,
        )
        assert (await server.ask("GET", "/v1/meetings", quiet | key("alice")))[0] == 200
        for path in ("/health", "/ready"):
            assert (await server.ask("GET", path, noisy))[0] == 200
        assert {event.client_ip for event in server.audit.denied} == {"192.0.2.1"}


async def test_who_only_claims_to_be_elsewhere_is_counted_where_they_are(
    database: Database, tmp_path: Path
) -> None:
    rates = RateLimits(requests_per_s_of_address=1.0)
    async with access_server(database, tmp_path, KEYS, rates=rates) as server:
        statuses = [
            (await server.ask("GET", "/nowhere", seen_from(f"192.0.2.{number}")))[0]
            for number in range(60)
        ]
        assert 429 in statuses
        assert {event.client_ip for event in server.audit.denied} == {"127.0.0.1"}


@pytest.mark.parametrize("way", ["key", "token", "socket"])
async def test_two_hundred_guesses_lock_their_address_and_nobody_elsewhere(
    database: Database, tmp_path: Path, way: str
) -> None:
    tokens = way == "token"
    door = Tokens(service_keys=False) if tokens else KEYS
    good = bearer("user-of-a") if tokens else key("alice")
    async with access_server(
        database, tmp_path, door, rates=RateLimits(), trusted=LOOPBACK
    ) as server:
        evil, home = seen_from("192.0.2.1"), seen_from("192.0.2.2")

        async def shown(credential: dict[str, str], where: dict[str, str]) -> int:
            if way == "socket":
                offered = f"interview-agent.v1, bearer.{credential['X-API-Key']}"
                headers = where | {"Sec-WebSocket-Protocol": offered}
                return int((await server.dial.refusal(path="/v1/ws", headers=headers))[0])
            return (await server.ask("GET", "/v1/meetings", credential | where))[0]

        guesses = [
            bearer(f"guess-{number}") if tokens else key(f"guess-{number}") for number in range(200)
        ]
        statuses = [await shown(guess, evil) for guess in guesses]
        assert set(statuses) == {401, 429}
        assert statuses[:100] == [401] * 100
        assert statuses[-1] == 429
        assert await shown(good, evil) == 429
        assert await shown(good, home) in {200, 101}
        assert (await server.ask("GET", "/v1/meetings", evil))[0] == 401
        assert len(server.audit.denied) >= 200


async def test_sockets_and_event_streams_are_held_by_an_identity_up_to_a_bound(
    database: Database, tmp_path: Path
) -> None:
    rates = RateLimits(held_by_identity=2)
    async with (
        access_server(database, tmp_path, Tokens(service_keys=False), rates=rates) as server,
        AsyncExitStack() as stack,
    ):
        await server.opened("m1", TOKENS["user-of-a"].owner)
        events = "/v1/meetings/m1/events"
        anna = bearer("user-of-a")
        talk = await server.dial.open(None, headers=anna)
        stream = await stack.enter_async_context(server.http.get(events, headers=anna))
        assert stream.status == 200
        status, code, headers = await server.dial.refusal(path="/v1/ws", headers=anna)
        assert (status, code, int(headers["Retry-After"]) > 0) == (429, "rate_limited", True)
        assert await refusal(server, "GET", events, headers=anna) == (429, "rate_limited", True)
        other = await server.dial.open(None, headers=bearer("another-of-a"))
        await other.still_answers()
        await talk.socket.close()
        async with asyncio.timeout(10):
            while (await server.dial.refusal(path="/v1/ws", headers=anna))[0] == 429:
                await asyncio.sleep(0.05)
        assert {event.reason for event in server.audit.denied} == {"rate_limited"}


async def test_sockets_of_an_address_are_bounded_whoever_opens_them(
    database: Database, tmp_path: Path
) -> None:
    rates = RateLimits(held_by_address=2)
    async with access_server(
        database, tmp_path, Tokens(service_keys=False), rates=rates, trusted=LOOPBACK
    ) as server:
        here, there = seen_from("192.0.2.1"), seen_from("192.0.2.2")
        names = ("user-of-a", "user-of-b")
        held = [await server.dial.open(None, headers=bearer(name) | here) for name in names]
        third = bearer("another-of-a")
        assert (await server.dial.refusal(path="/v1/ws", headers=third | here))[0] == 429
        assert (await server.dial.refusal(path="/v1/ws", headers=third | there))[0] == 101
        for talk in held:
            await talk.still_answers()


async def test_one_connection_too_many_is_told_so_and_closed(
    database: Database, tmp_path: Path
) -> None:
    async with access_server(database, tmp_path, KEYS, max_connections=2) as server:
        url = URL(server.address)
        held = [await asyncio.open_connection(url.host, url.port) for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        for reader, _ in held:
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection(url.host, url.port)
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: " in head
        assert json.loads(body)["detail"]["code"] == "rate_limited"
        held[0][1].close()
        async with asyncio.timeout(10):
            while True:
                reader, writer = await asyncio.open_connection(url.host, url.port)
                writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                status = await reader.readline()
                writer.close()
                if b" 200 " in status:
                    break
                await asyncio.sleep(0.05)
        held[1][1].close()


async def test_connections_of_a_trusted_proxy_are_not_counted(
    database: Database, tmp_path: Path
) -> None:
    async with access_server(
        database, tmp_path, KEYS, max_connections=1, trusted=LOOPBACK
    ) as server:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(server.ask("GET", "/health")) for _ in range(20)]
        assert {task.result()[0] for task in asked} == {200}


async def test_a_tenant_whose_audio_waits_is_429_and_another_is_not(
    database: Database, tmp_path: Path
) -> None:
    async with access_server(
        database, tmp_path, Tokens(service_keys=False), backlog_max_chunks=3
    ) as server:
        anna, bert = bearer("user-of-a"), bearer("user-of-b")

        async def sent(meeting: str, seq: int, headers: dict[str, str]) -> int:
            path = f"/v1/meetings/{meeting}/chunks"
            return (await server.ask("POST", path, headers, json=chunk(seq)))[0]

        assert [await sent(f"a{seq % 2}", seq, anna) for seq in range(3)] == [200] * 3
        before = await server.traces()
        assert await refusal(
            server, "POST", "/v1/meetings/a0/chunks", headers=anna, json=chunk(9)
        ) == (429, "backlog_full", True)
        wav = anna | {"Content-Type": "audio/wav"}
        path = "/v1/meetings/a0/recording?seq=9"
        assert await refusal(server, "POST", path, headers=wav, data=b"x") == (
            429,
            "backlog_full",
            True,
        )
        assert await server.traces() == before
        # What is here already stays acknowledged, and nobody else waits.
        assert await sent("a0", 0, anna) == 200
        assert await sent("b0", 0, bert) == 200
        await server.backlog.refresh()
        assert await sent("a0", 9, anna) == 429
        async with database.connection() as connection:
            await connection.execute("UPDATE chunks SET state = 'done' WHERE meeting_id = 'a0'")
        await server.backlog.refresh()
        assert await sent("a0", 9, anna) == 200


async def test_a_tenant_opens_so_many_meetings_an_hour_whatever_it_opens_them_by(
    database: Database, tmp_path: Path
) -> None:
    """S08."""
    door = Tokens(service_keys=False)
    async with access_server(database, tmp_path, door, meetings_max_per_hour=2) as server:
        anna, bert = bearer("user-of-a"), bearer("user-of-b")

        async def started(meeting: str, headers: dict[str, str]) -> int:
            body = {"meeting_id": meeting}
            return (await server.ask("POST", "/v1/meetings/start", headers, json=body))[0]

        assert await started("a0", anna) == 200
        assert (await server.ask("POST", "/v1/meetings/a1/chunks", anna, json=chunk()))[0] == 200
        before = await server.traces()
        full = (429, "meeting_quota", True)
        wav = anna | {"Content-Type": "audio/wav"}
        start, other = "/v1/meetings/start", "/v1/meetings/a2"
        also_of_a = bearer("another-of-a")
        assert await refusal(server, "POST", start, headers=also_of_a, json={}) == full
        assert await refusal(server, "POST", f"{other}/chunks", headers=anna, json=chunk()) == full
        recording = f"{other}/recording"
        assert await refusal(server, "POST", recording, headers=wav, data=b"x") == full
        assert [event.reason for event in server.audit.denied] == ["meeting_quota"] * 3
        talk = await server.dial.open(None, headers=anna)
        for message in (socket_chunk("a2"), {"event_type": "session.start", "meeting_id": "a2"}):
            await talk.send(message)
            error = await talk.expect("error", code="meeting_quota", retryable=True)
            assert error["details"]["retry_after_s"] > 3500
        assert await server.traces() == before
        # What is open goes on, and others have an hour of their own.
        assert await started("a0", anna) == 200
        assert (await server.ask("POST", "/v1/meetings/a1/chunks", anna, json=chunk(1)))[0] == 200
        assert await started("b0", bert) == 200
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE meetings SET created_at = created_at - interval '61 min'"
                " WHERE meeting_id = 'a0'"
            )
        assert await started("a2", anna) == 200
        assert await started("a3", anna) == 429


async def test_live_tracks_are_no_backlog(database: Database, tmp_path: Path) -> None:
    async with access_server(database, tmp_path, KEYS, backlog_max_chunks=1) as server:
        talk = await server.dial.open("alice")
        for seq in range(3):
            await talk.send(socket_chunk("live", seq, str(seq).encode()))
        await talk.still_answers()
        assert not [said for said in talk.heard if said["event_type"] == "error"]
        assert await PostgresBacklog(database).waiting(1) == {}
        headers = key("alice")
        assert (await server.ask("POST", "/v1/meetings/m/chunks", headers, json=chunk()))[0] == 200
        assert await PostgresBacklog(database).waiting(1) == {"tenant:acme": 1}
        assert await PostgresBacklog(database).waiting(2) == {}

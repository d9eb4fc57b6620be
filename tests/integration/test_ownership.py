"""Whose meeting it is: users, tenants, services, and consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from access_server import (
    RULES,
    TOKENS,
    AccessServer,
    Tokens,
    access_server,
    bearer,
    chunk,
)
from interview_agent.adapters.postgres import PostgresArchive
from interview_agent.domain.meeting import Consent
from interview_agent.domain.policy import Policy
from interview_agent.web.access import access_rules
from socket_client import chunk as socket_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from socket_client import Talk

ANNA, ARTHUR, BERT = bearer("user-of-a"), bearer("another-of-a"), bearer("user-of-b")
READER, WRITER, FEEDER = bearer("service-read"), bearer("service-write"), bearer("service-ingest")
OWNER = TOKENS["user-of-a"].owner
WAV = {"Content-Type": "audio/wav"}
READS = [
    rule.path
    for rule in access_rules()
    if rule.method == "GET" and "{meeting_id}" in rule.path and "/admin/" not in rule.path
]


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[AccessServer]:
    """An API with a meeting of tenant A."""
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as opened:
        await opened.opened("of-a", OWNER)
        yield opened


async def full_answer(
    server: AccessServer, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str], str]:
    """Return everything of an answer but its trace id and time."""
    async with server.http.request(method, path, headers=headers) as answer:
        told = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"X-Trace-Id", "Date", "Content-Length"}
        }
        return answer.status, told, await answer.text()


async def test_a_foreign_meeting_reads_exactly_like_an_absent_one(server: AccessServer) -> None:
    asked = [("GET", path) for path in READS] + [("POST", "/v1/meetings/{meeting_id}/finish")]
    for method, template in asked:
        foreign = await full_answer(server, method, template.format(meeting_id="of-a"), BERT)
        absent = await full_answer(server, method, template.format(meeting_id="gone"), BERT)
        assert foreign[0] == 404, template
        assert (*foreign[:2], foreign[2].replace("of-a", "gone")) == absent, template


async def test_a_look_at_a_foreign_meeting_leaves_an_event_and_at_an_absent_one_none(
    server: AccessServer,
) -> None:
    for path in READS:
        await server.ask("GET", path.format(meeting_id="of-a"), BERT)
        (event,) = server.audit.taken()[0]
        assert (event.outcome, event.reason, event.meeting_id, event.status_code) == (
            "deny",
            "meeting_of_another",
            "of-a",
            404,
        )
        await server.ask("GET", path.format(meeting_id="gone"), BERT)
        assert server.audit.taken() == ([], [])


async def test_a_tenant_shares_its_meetings_and_services_see_them(server: AccessServer) -> None:
    for headers in (ANNA, ARTHUR, READER):
        for path in READS:
            async with server.http.get(path.format(meeting_id="of-a"), headers=headers) as answer:
                assert answer.status == 200, path


async def test_lists_show_ones_own_whatever_is_asked_for(server: AccessServer) -> None:
    for number in range(3):
        await server.opened(f"of-b-{number}", TOKENS["user-of-b"].owner)
    _, page = await server.ask("GET", "/v1/meetings?limit=1", BERT)
    cursor = page["next_cursor"]
    for query in ("", "?tenant_id=b", "?owner=tenant:b", f"?cursor={cursor}"):
        _, page = await server.ask("GET", f"/v1/meetings{query}", ANNA | {"X-Tenant-Id": "b"})
        assert {one["meeting_id"] for one in page["meetings"]} <= {"of-a"}, query
    _, page = await server.ask("GET", "/v1/meetings", READER)
    assert len(page["meetings"]) == 4


async def test_a_taken_id_is_a_conflict_that_tells_nothing(server: AccessServer) -> None:
    before = await server.traces()
    server.audit.taken()
    path = "/v1/meetings/of-a"
    answers = [
        await server.ask("POST", "/v1/meetings/start", BERT, json={"meeting_id": "of-a"}),
        await server.ask("POST", f"{path}/chunks", BERT, json=chunk()),
        await server.ask("POST", f"{path}/recording", BERT | WAV, data=b"audio"),
    ]
    wanted = {"code": "conflict", "message": "This meeting id is taken.", "details": {}}
    assert answers == [(409, {"detail": wanted})] * 3
    assert await server.traces() == before
    noted, tallied = server.audit.taken()
    assert [event.reason for event in noted] == ["meeting_of_another"] * 3
    assert tallied == []


async def test_starting_ones_own_meeting_again_returns_it_as_it_is(server: AccessServer) -> None:
    said = {"meeting_id": "of-a", "context": {"plan": ["new"]}}
    for headers in (ANNA, ARTHUR):
        status, body = await server.ask("POST", "/v1/meetings/start", headers, json=said)
        assert (status, body["meeting_id"]) == (200, "of-a")
    view = await PostgresArchive(server.database).meeting("of-a")
    assert view.meeting.context == {}


async def test_privileged_fields_of_a_start_change_nothing(server: AccessServer) -> None:
    said = {"meeting_id": "mine", "owner": "tenant:b", "tenant_id": "b", "status": "done"}
    assert (await server.ask("POST", "/v1/meetings/start", ANNA, json=said))[0] == 200
    view = await PostgresArchive(server.database).meeting("mine")
    assert (view.meeting.owner, view.report) == (OWNER, None)


async def owner_of(server: AccessServer, meeting_id: str) -> str:
    return (await PostgresArchive(server.database).meeting(meeting_id)).meeting.owner


async def test_a_service_brings_audio_for_anybody_and_the_meeting_keeps_its_owner(
    server: AccessServer,
) -> None:
    path = "/v1/internal/meetings/{}/chunks"
    status, body = await server.ask("POST", path.format("of-a"), FEEDER, json=chunk())
    assert (status, body["accepted"], body["duplicate"]) == (200, True, False)
    assert await owner_of(server, "of-a") == OWNER
    _, again = await server.ask("POST", path.format("of-a"), FEEDER, json=chunk())
    assert again == {**body, "duplicate": True}
    _, chunks = await server.ask("GET", "/v1/meetings/of-a/chunks", ANNA)
    assert chunks["tracks"][0]["received"] == [[0, 0]]
    status, _ = await server.ask("POST", path.format("new"), FEEDER, json=chunk())
    assert status == 200
    assert await owner_of(server, "new") == TOKENS["service-ingest"].owner
    assert await server.told("GET", "/v1/meetings/new", ANNA) == (404, "not_found")
    assert await server.told("POST", path.format("of-a"), ANNA, json=chunk()) == (403, "forbidden")


async def test_a_service_may_write_by_the_routes_of_users_too(server: AccessServer) -> None:
    path = "/v1/meetings/of-a"
    assert (await server.ask("POST", f"{path}/chunks", WRITER, json=chunk()))[0] == 200
    assert (await server.ask("POST", f"{path}/recording?seq=1", WRITER | WAV, data=b"x"))[0] == 202
    assert (await server.ask("POST", f"{path}/finish", WRITER))[0] == 202
    assert await owner_of(server, "of-a") == OWNER


async def talk_of(server: AccessServer, name: str) -> Talk:
    internal = name.startswith("service")
    path = "/v1/ws/internal" if internal else "/v1/ws"
    return await server.dial.open(None, path, headers=bearer(name))


async def test_a_service_sends_and_follows_anybodys_meeting_on_its_socket(
    server: AccessServer,
) -> None:
    talk = await talk_of(server, "service-ws")
    server.audit.taken()
    await talk.start("of-a")
    await talk.frames(range(5))
    await talk.say("session.stop")
    await talk.expect("session.stopped")
    await talk.say("session.resume", meeting_id="of-a")
    assert (await talk.expect("session.ready"))["next_frame"] == 5
    await talk.say("meeting.finish", meeting_id="of-a")
    await talk.expect("meeting.status")
    await talk.still_answers()
    assert await owner_of(server, "of-a") == OWNER
    noted, _ = server.audit.taken()
    assert {(event.method, event.meeting_id, event.outcome) for event in noted} == {
        ("WS", "of-a", "allow")
    }
    assert len(noted) == 3


async def test_a_foreign_meeting_on_a_socket_is_absent_and_the_third_closes_it(
    server: AccessServer,
) -> None:
    before = await server.traces()
    talk = await talk_of(server, "user-of-b")
    server.audit.taken()
    codes = []
    for said in ("session.subscribe", "session.resume", "meeting.finish"):
        await talk.say(said, meeting_id="of-a")
        codes.append(await talk.error())
    assert codes == ["not_found"] * 3
    assert await talk.closed() == 1008
    noted, tallied = server.audit.taken()
    assert [(event.reason, event.meeting_id) for event in noted] == [
        ("meeting_of_another", "of-a")
    ] * 3
    assert tallied == []
    talk = await talk_of(server, "user-of-b")
    await talk.send(socket_chunk("of-a"))
    assert await talk.error() == "conflict"
    await talk.say("session.start", meeting_id="of-a")
    assert await talk.error() == "conflict"
    assert await server.traces() == before


async def test_foreign_and_absent_say_the_same_on_a_socket(server: AccessServer) -> None:
    heard: list[list[Any]] = []
    for meeting_id in ("of-a", "gone"):
        talk = await talk_of(server, "user-of-b")
        for said in ("session.subscribe", "meeting.finish"):
            await talk.say(said, meeting_id=meeting_id)
            await talk.error()
        heard.append(talk.heard)
        await talk.socket.close()
    assert heard[0] == heard[1]


DOORS = {
    "chunk": ("user-of-a", "/v1/meetings/of-a/chunks"),
    "chunk of a service": ("service-ingest", "/v1/internal/meetings/of-a/chunks"),
    "recording": ("user-of-a", "/v1/meetings/of-a/recording"),
    "message": ("user-of-a", "audio.chunk"),
    "message of a service": ("service-ws", "audio.chunk"),
    "session": ("user-of-a", "session.start"),
    "session of a service": ("service-ws", "session.start"),
}


@pytest.mark.parametrize("door", DOORS)
async def test_denied_consent_stops_audio_at_every_door(
    database: Database, tmp_path: Path, door: str
) -> None:
    name, way = DOORS[door]
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as server:
        await server.opened("of-a", OWNER, Consent.DENIED)
        before = await server.traces()
        if way.endswith("/chunks"):
            assert await server.told("POST", way, bearer(name), json=chunk()) == (
                403,
                "consent_denied",
            )
        elif way.endswith("/recording"):
            headers = bearer(name) | WAV
            assert await server.told("POST", way, headers, data=b"x") == (403, "consent_denied")
        else:
            talk = await talk_of(server, name)
            server.audit.taken()
            said = socket_chunk("of-a")
            await talk.send(said if way == "audio.chunk" else {**said, "event_type": way})
            assert (await talk.expect("error"))["code"] == "consent_denied"
        assert await server.traces() == before
        (event,) = server.audit.denied
        assert (event.reason, event.meeting_id) == ("consent_denied", "of-a")
        assert server.audit.tallied == []


@pytest_asyncio.fixture
async def strict(database: Database, tmp_path: Path) -> AsyncIterator[AccessServer]:
    """An API where every user needs a tenant."""
    policy = Policy(RULES, tenant_required=True, tenant_context_key="org")
    async with access_server(
        database, tmp_path, Tokens(service_keys=False), policy=policy
    ) as opened:
        yield opened


async def test_where_tenants_are_compulsory_nobody_without_gets_in(strict: AccessServer) -> None:
    homeless = bearer("user-of-none")
    asked = [
        await strict.told("GET", "/v1/meetings", homeless),
        await strict.told("POST", "/v1/meetings/start", homeless, json={}),
        await strict.told("POST", "/v1/meetings/x/chunks", homeless, json=chunk()),
        (await strict.dial.refusal(path="/v1/ws", headers=homeless))[:2],
    ]
    assert asked == [(403, "forbidden")] * 4
    assert [event.reason for event in strict.audit.denied] == ["missing_tenant"] * 4
    assert (await strict.ask("GET", "/v1/meetings", READER))[0] == 200


async def test_the_tenant_is_written_into_the_context_and_another_is_refused(
    strict: AccessServer,
) -> None:
    for number, context in enumerate(({}, {"plan": ["x"]}, {"org": "a"})):
        said = {"meeting_id": f"m{number}", "context": context}
        assert (await strict.ask("POST", "/v1/meetings/start", ANNA, json=said))[0] == 200
        view = await PostgresArchive(strict.database).meeting(f"m{number}")
        assert view.meeting.context == {**context, "org": "a"}
    before = await strict.traces()
    said = {"meeting_id": "m9", "context": {"org": "b"}}
    assert await strict.told("POST", "/v1/meetings/start", ANNA, json=said) == (403, "forbidden")
    assert await strict.traces() == before
    assert [event.reason for event in strict.audit.denied] == ["tenant_mismatch"]

"""Deletion as callers meet it: over HTTP, on sockets and on event streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from erasure_stand import Deaf
from event_stream_client import event_stream
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    PostgresDeletions,
    PostgresErasureRecords,
    PostgresWorkStore,
)
from interview_agent.domain.errors import DatabaseError
from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure import ErasureStage
from interview_agent.pipeline.live_ingest import LiveLimits
from socket_client import chunk
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from socket_client import Dialler

POLICY_VIOLATION = 1008
M1 = "/v1/meetings/m1"


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[SocketServer]:
    limits = LiveLimits(chunk_s=0.05)
    async with served_sockets(database, tmp_path, live_limits=limits) as served:
        yield served


@pytest_asyncio.fixture
async def dial(server: SocketServer) -> Dialler:
    return server.dial


async def ask(
    dial: Dialler, method: str, path: str, key: str = "alice", **options: Any
) -> tuple[int, Any]:
    address = dial.address + path
    async with dial.http.request(method, address, headers={"X-API-Key": key}, **options) as answer:
        return answer.status, await answer.json()


async def erase(server: SocketServer, database: Database) -> None:
    blobs = LocalFsBlobStore(server.folder)
    await blobs.prepare()
    work = PostgresWorkStore(database)
    claim = await work.claim(Stage.ERASURE, "test", 60.0)
    assert claim is not None
    stage = ErasureStage(PostgresErasureRecords(database), blobs, Deaf(), settle_s=0.0)
    await work.complete(claim, (await stage.run(claim, lambda: None)).again_in_s)
    await blobs.aclose()


async def test_a_deletion_is_answered_at_once_and_followed_to_its_end(
    dial: Dialler, server: SocketServer, database: Database
) -> None:
    assert (await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1")))[0] == 200
    status, first = await ask(dial, "DELETE", M1)
    assert (status, first["meeting_id"], first["finished_at"]) == (202, "m1", None)
    assert await ask(dial, "DELETE", M1) == (202, first)
    await erase(server, database)
    status, last = await ask(dial, "DELETE", M1)
    assert status == 200
    assert last == first | {"finished_at": last["finished_at"]}
    assert last["finished_at"] is not None


async def test_every_read_answers_as_for_an_absent_meeting_and_every_write_that_it_is_gone(
    dial: Dialler,
) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    await ask(dial, "DELETE", M1)
    for path in ("", "/chunks", "/segments", "/events"):
        absent = await ask(dial, "GET", f"/v1/meetings/m0{path}")
        gone = await ask(dial, "GET", f"{M1}{path}")
        assert absent[0] == gone[0] == 404
        assert str(gone[1]).replace("m1", "m0") == str(absent[1])
    assert (await ask(dial, "POST", f"{M1}/finish"))[0] == 404
    assert (await ask(dial, "GET", "/v1/meetings"))[1]["meetings"] == []
    audio = {"data": b"sound", "headers": {"Content-Type": "audio/wav", "X-API-Key": "alice"}}
    async with dial.http.post(f"{dial.address}{M1}/recording", **audio) as answer:
        recording = answer.status, await answer.json()
    for status, said in (
        await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1", 1)),
        await ask(dial, "POST", "/v1/meetings/start", json={"meeting_id": "m1"}),
        recording,
    ):
        assert (status, said["detail"]["code"]) == (409, "meeting_gone")
    for status, said in (
        await ask(dial, "POST", f"{M1}/chunks", "bob", json=chunk("m1", 1)),
        await ask(dial, "POST", "/v1/meetings/start", "bob", json={"meeting_id": "m1"}),
    ):
        assert (status, said["detail"]["code"]) == (409, "conflict")


async def test_a_foreign_meeting_cannot_be_told_from_an_absent_one(dial: Dialler) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    foreign = await ask(dial, "DELETE", M1, "bob")
    assert foreign == await ask(dial, "DELETE", "/v1/meetings/m0", "bob")
    assert foreign[0] == 404
    assert (await ask(dial, "GET", M1))[0] == 200
    assert (await ask(dial, "DELETE", M1, "machine"))[0] == 202, "a service may"
    assert await ask(dial, "DELETE", M1, "bob") == foreign
    assert (await ask(dial, "DELETE", "/v1/meetings/.x"))[0] == 422


async def test_a_deletion_leaves_one_event_before_it_is_done_and_a_foreign_one_a_refusal(
    dial: Dialler, server: SocketServer
) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    server.audit.taken()
    assert (await ask(dial, "DELETE", M1, "bob"))[0] == 404
    assert [event.reason for event in server.audit.denied] == ["meeting_of_another"]
    server.audit.taken()
    server.audit.fault = DatabaseError()
    assert (await ask(dial, "DELETE", M1))[0] == 503
    assert (await ask(dial, "GET", M1))[0] == 200
    server.audit.fault = None
    assert (await ask(dial, "DELETE", M1))[0] == 202
    (event,) = server.audit.recorded
    assert (event.outcome, event.method, event.meeting_id) == ("allow", "DELETE", "m1")
    assert (event.reason, event.status_code) == ("auth_ok:meeting_delete", 202)
    assert server.audit.taken() == ([], [])


async def test_services_read_the_proof_page_by_page(
    dial: Dialler, server: SocketServer, database: Database
) -> None:
    for number in range(3):
        path = f"/v1/meetings/m{number}"
        await ask(dial, "POST", f"{path}/chunks", json=chunk(path[-2:], body=b"one"))
        await ask(dial, "POST", f"{path}/chunks", json=chunk(path[-2:], 1, b"two"))
        await ask(dial, "DELETE", path)
        await erase(server, database)
    proofs = "/v1/admin/deletions"
    assert (await ask(dial, "GET", proofs))[0] == 403
    _, page = await ask(dial, "GET", f"{proofs}?limit=2", "machine")
    assert [each["meeting_id"] for each in page["deletions"]] == ["m2", "m1"]
    _, rest = await ask(dial, "GET", f"{proofs}?limit=2&before={page['next_before']}", "machine")
    (last,) = rest["deletions"]
    assert rest["next_before"] is None
    assert last["counts"] == {"files": 2, "bytes": 6, "chunks": 2, "tracks": 1, "stage_work": 1}
    assert last | {"cause": "request", "meeting_id": "m0"} == last
    chunks = f"{proofs}/{last['id']}/chunks"
    assert (await ask(dial, "GET", chunks))[0] == 403
    _, one = await ask(dial, "GET", f"{chunks}?limit=1", "machine")
    _, two = await ask(dial, "GET", f"{chunks}?limit=1&after={one['next_after']}", "machine")
    assert (len(one["sha256"]), len(two["sha256"]), two["next_after"]) == (1, 1, None)
    assert one["sha256"] != two["sha256"]
    for path, code in (
        (f"{proofs}/99/chunks", 404),
        (f"{proofs}/x/chunks", 422),
        (f"{proofs}/{2**63}/chunks", 422),
        (f"{proofs}?before={2**63}", 422),
        (f"{proofs}?limit=0", 422),
        (f"{proofs}?limit=501", 422),
    ):
        assert (await ask(dial, "GET", path, "machine"))[0] == code, path


async def test_sockets_that_send_or_only_listen_are_told_and_closed(dial: Dialler) -> None:
    sender, listener = await dial.open(), await dial.open()
    await sender.start("m1")
    await sender.frames(range(3))
    await sender.acked_up_to(2)
    await listener.say("session.subscribe", meeting_id="m1")
    await listener.expect("meeting.status")
    assert (await ask(dial, "DELETE", M1))[0] == 202
    for talk in (sender, listener):
        assert await talk.closed() == POLICY_VIOLATION
        codes = [each["code"] for each in talk.heard if each["event_type"] == "error"]
        assert set(codes) == {"meeting_gone"}


async def test_a_sender_that_goes_on_hears_of_it_by_its_frames_alone(
    dial: Dialler, database: Database
) -> None:
    """Whoever's feed has not looked yet is told by the store."""
    sender = await dial.open()
    await sender.start("m1")
    await PostgresDeletions(database).request("m1", "somebody")
    await sender.frames(range(20))
    assert await sender.closed() == POLICY_VIOLATION
    codes = [each["code"] for each in sender.heard if each["event_type"] == "error"]
    assert set(codes) == {"meeting_gone"}
    assert sender.acked() == []


async def test_a_socket_that_follows_others_too_stays_for_them(dial: Dialler) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    await ask(dial, "POST", "/v1/meetings/m2/chunks", json=chunk("m2"))
    talk = await dial.open()
    for meeting_id in ("m1", "m2"):
        await talk.say("session.subscribe", meeting_id=meeting_id)
        await talk.expect("meeting.status")
    await ask(dial, "DELETE", M1)
    error = await talk.expect("error")
    assert (error["code"], error["details"]["meeting_id"]) == ("meeting_gone", "m1")
    await talk.still_answers()
    await talk.say("session.subscribe", meeting_id="m1")
    assert (await talk.expect("error"))["code"] == "not_found"
    await talk.say("session.resume", meeting_id="m1")
    assert (await talk.expect("error"))["code"] == "not_found"
    await talk.send(chunk("m1", 5))
    assert (await talk.expect("error"))["code"] == "meeting_gone"
    await talk.say("session.start", meeting_id="m1")
    assert (await talk.expect("error"))["code"] == "meeting_gone"
    await talk.still_answers()


async def test_an_event_stream_is_told_and_ends(dial: Dialler) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    async with event_stream(dial.address, "m1", {"X-API-Key": "alice"}) as stream:
        await stream.until(lambda it: it.told)
        await ask(dial, "DELETE", M1)
        await stream.until(lambda it: it.ended)
        assert stream.told[-1].message["code"] == "meeting_gone"


async def test_deletions_at_the_same_time_are_one(dial: Dialler) -> None:
    await ask(dial, "POST", f"{M1}/chunks", json=chunk("m1"))
    answers = await asyncio.gather(*(ask(dial, "DELETE", M1) for _ in range(10)))
    assert {status for status, _ in answers} == {202}
    assert len({said["deletion_id"] for _, said in answers}) == 1

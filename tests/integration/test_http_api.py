"""The HTTP API over a real database and a real folder."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse, FormData
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator

from admin_stand_ins import admin_parts
from audit_twin import NotedAudit
from erasure_stand import erasure_by
from http_stand_ins import Readying, stored_files
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
)
from interview_agent.metrics import Metrics
from interview_agent.pipeline.feed import Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import api_description, build_app
from interview_agent.web.auth import ApiKeys
from interview_agent.web.parts import Limits, ProbeParts, WebParts
from local_broadcast import LocalBroadcast
from long_meeting import CHUNKS_A_TRACK, longest_stall_s, make_long
from socket_server import NoWakeUps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from machine_pace import Pace

AUDIO = b"e2e-audio-chunk"
ALICE = {"X-API-Key": "alice"}
BOB = {"X-API-Key": "bob"}
SERVICE = {"X-API-Key": "machine"}
LIMITS = Limits(
    chunk_max_bytes=1000,
    recording_max_bytes=300_000,
    inflight_max_bytes=200_000,
    json_max_bytes=4096,
)

Client = TestClient[Any, Any]


@pytest_asyncio.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of the API with the keys of Alice, Bob and a service."""
    blobs = LocalFsBlobStore(tmp_path / "chunks")
    await blobs.prepare()
    archive = PostgresArchive(database)
    ingest = Ingest(
        PostgresIntake(database), archive, blobs, NoWakeUps(), clock=lambda: datetime.now(UTC)
    )
    parts = WebParts(
        ingest=ingest,
        live=LiveIngest(LiveParts(ingest.chunk, PostgresLiveSessions(database))),
        reader=Reader(archive, pii_masking=True),
        feed=Feed(archive, LocalBroadcast(), pii_masking=True),
        erasure=erasure_by(PostgresDeletions(database)),
        authenticator=ApiKeys(["alice", "bob"], ["machine"]),
        audit=NotedAudit(),
        probes=ProbeParts(Metrics("api"), Readying()),
        admin=admin_parts(database, blobs, NotedAudit()),
        limits=LIMITS,
        version="1.2.3",
    )
    async with TestClient(TestServer(build_app(parts))) as opened:
        yield opened
    await blobs.aclose()


def chunk(seq: Any = 1, body: bytes = AUDIO, **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "content_b64": base64.b64encode(body).decode(), **fields}


async def send_chunk(client: Client, meeting: str = "m1", **fields: Any) -> ClientResponse:
    url = f"/v1/meetings/{meeting}/chunks"
    return await client.post(url, json=chunk(**fields), headers=ALICE)


async def code_of(answer: ClientResponse) -> tuple[int, str]:
    body = await answer.json()
    assert set(body["detail"]) == {"code", "message", "details"}
    return answer.status, body["detail"]["code"]


async def read(client: Client, path: str, headers: dict[str, str] = ALICE) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status == 200
    return await answer.json()


async def test_a_client_of_the_reference_sees_the_fields_it_knows(client: Client) -> None:
    start = {
        "meeting_id": "e2e-1",
        "mode": "postmeeting",
        "language": "ru",
        "consent": "unknown",
        "context": {"source": "e2e"},
        "recipients": [],
        "auto_join_connector": None,
    }
    answer = await client.post("/v1/meetings/start", json=start, headers=ALICE)
    assert answer.status == 200
    assert await answer.json() == {
        "api_version": "v1",
        "meeting_id": "e2e-1",
        "status": "queued",
        "connector_auto_join": False,
        "connector_provider": None,
        "connector_connected": None,
    }
    fields = {"codec": "pcm", "sample_rate": 16000, "channels": 1}
    answer = await send_chunk(client, "e2e-1", **fields)
    accepted = await answer.json()
    digest = hashlib.sha256(AUDIO).hexdigest()
    assert answer.status == 200
    assert accepted["accepted"] is True
    assert accepted["duplicate"] is False
    assert (accepted["meeting_id"], accepted["seq"]) == ("e2e-1", 1)
    assert accepted["blob_key"] == f"meetings/e2e-1/main/0000000001-{digest[:32]}.bin"
    assert accepted["idempotency_key"].startswith("http-chunk_")
    meeting = await read(client, "/v1/meetings/e2e-1")
    assert meeting["status"] in {"queued", "processing"}
    assert (meeting["raw_transcript"], meeting["report"]) == ("", None)


async def test_an_empty_start_makes_an_id(client: Client) -> None:
    for said in ({}, {"meeting_id": None}, {"meeting_id": ""}):
        answer = await client.post("/v1/meetings/start", json=said, headers=ALICE)
        assert (await answer.json())["meeting_id"].startswith("mtg_")


async def test_an_unknown_meeting_is_404_with_the_fields_that_clients_poll(client: Client) -> None:
    answer = await client.get("/v1/meetings/nobody", headers=ALICE)
    body = await answer.json()
    assert answer.status == 404
    assert body["detail"]["code"] == body["status"] == "not_found"
    assert (body["raw_transcript"], body["enhanced_transcript"], body["report"]) == ("", "", None)


async def test_a_foreign_meeting_reads_as_absent_and_writes_as_a_conflict(client: Client) -> None:
    await send_chunk(client, "alices")
    for path in ("", "/chunks", "/segments"):
        foreign = await client.get(f"/v1/meetings/alices{path}", headers=BOB)
        absent = await client.get(f"/v1/meetings/absent{path}", headers=BOB)
        assert foreign.status == absent.status == 404
        assert (await foreign.text()).replace("alices", "absent") == await absent.text()
    finish = await client.post("/v1/meetings/alices/finish", headers=BOB)
    assert await code_of(finish) == (404, "not_found")
    start = await client.post("/v1/meetings/start", json={"meeting_id": "alices"}, headers=BOB)
    assert await code_of(start) == (409, "conflict")
    send = await client.post("/v1/meetings/alices/chunks", json=chunk(seq=2), headers=BOB)
    assert await code_of(send) == (409, "conflict")
    assert (await read(client, "/v1/meetings", BOB))["meetings"] == []
    assert (await read(client, "/v1/meetings/alices", SERVICE))["meeting_id"] == "alices"


async def test_the_same_bytes_again_are_a_duplicate_and_others_a_conflict(client: Client) -> None:
    first = await (await send_chunk(client)).json()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send_chunk(client)) for _ in range(20)]
    for task in tasks:
        again = await task.result().json()
        assert again == {**first, "duplicate": True}
    assert await code_of(await send_chunk(client, body=b"other")) == (409, "conflict")


async def test_denied_consent_stops_the_audio_at_the_door(client: Client, tmp_path: Path) -> None:
    said = {"meeting_id": "m1", "consent": "denied"}
    await client.post("/v1/meetings/start", json=said, headers=ALICE)
    assert await code_of(await send_chunk(client)) == (403, "consent_denied")
    recording = await client.post(
        "/v1/meetings/m1/recording", data=AUDIO, headers={**ALICE, "Content-Type": "audio/wav"}
    )
    assert await code_of(recording) == (403, "consent_denied")
    assert stored_files(tmp_path) == []


async def test_the_chunk_list_shows_what_to_resume_with(client: Client) -> None:
    for seq in (0, 1, 4):
        await send_chunk(client, seq=seq)
    (track,) = (await read(client, "/v1/meetings/m1/chunks"))["tracks"]
    assert (track["track"], track["received"], track["gaps"]) == (
        "main",
        [[0, 1], [4, 4]],
        [[2, 3]],
    )
    assert track["chunks"][0]["sha256"] == hashlib.sha256(AUDIO).hexdigest()


async def test_split_channels_become_tracks(client: Client) -> None:
    answer = await send_chunk(
        client, seq=0, channels=2, split_channels=True, channel_tracks=["anna", "boris"]
    )
    assert (await answer.json())["tracks"] == ["anna", "boris"]
    wrong = await send_chunk(client, seq=1, channels=2, split_channels=True, channel_tracks=["a"])
    assert await code_of(wrong) == (422, "validation")


async def test_finish_is_idempotent_and_takes_any_or_no_body(client: Client) -> None:
    await send_chunk(client, seq=0)
    url = "/v1/meetings/m1/finish"
    for said in (None, {}, {"tracks": {"main": {"last_seq": 0}}}):
        answer = (
            await client.post(url, json=said, headers=ALICE)
            if said is not None
            else (await client.post(url, headers=ALICE))
        )
        assert answer.status == 202
    absent = await client.post("/v1/meetings/absent/finish", headers=ALICE)
    assert await code_of(absent) == (404, "not_found")
    wrong = await client.post(url, json={"tracks": {"main": {"last_seq": "1"}}}, headers=ALICE)
    assert await code_of(wrong) == (422, "validation")


async def test_the_list_of_meetings_comes_in_pages(client: Client) -> None:
    for number in range(5):
        said = {"meeting_id": f"m{number}"}
        await client.post("/v1/meetings/start", json=said, headers=ALICE)
    seen: list[str] = []
    path = "/v1/meetings?limit=2"
    while True:
        page = await read(client, path)
        seen += [one["meeting_id"] for one in page["meetings"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/meetings?limit=2&cursor={page['next_cursor']}"
    assert seen == ["m4", "m3", "m2", "m1", "m0"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=nonsense"])
async def test_a_bad_page_is_a_validation_error(client: Client, query: str) -> None:
    answer = await client.get(f"/v1/meetings?{query}", headers=ALICE)
    assert await code_of(answer) == (422, "validation")


@pytest.mark.parametrize("shape", ["raw", "multipart"])
async def test_a_recording_is_streamed_to_disk_and_can_finish(
    client: Client, tmp_path: Path, shape: str
) -> None:
    body = bytes(range(256)) * 1000
    if shape == "raw":
        url = "/v1/meetings/m1/recording?split_channels=true&channel_tracks=a,b&finish=true"
        headers = {**ALICE, "Content-Type": "audio/wav"}
        answer = await client.post(url, data=body, headers=headers)
    else:
        form = FormData()
        for name, value in (("split_channels", "true"), ("channel_tracks", "a, b")):
            form.add_field(name, value)
        form.add_field("finish", "true")
        form.add_field("file", body, filename="talk.wav", content_type="audio/wav")
        answer = await client.post("/v1/meetings/m1/recording", data=form, headers=ALICE)
    accepted = await answer.json()
    assert answer.status == 202
    assert accepted["tracks"] == ["a", "b"]
    assert accepted["sha256"] == hashlib.sha256(body).hexdigest()
    assert (accepted["size_bytes"], accepted["finished"]) == (len(body), True)
    (stored,) = stored_files(tmp_path)
    assert stored.read_bytes() == body
    assert (await read(client, "/v1/meetings/m1"))["closed"] is True


async def test_the_same_recording_again_is_a_duplicate(client: Client) -> None:
    url, headers = "/v1/meetings/m1/recording", {**ALICE, "Content-Type": "audio/wav"}
    statuses = [(await client.post(url, data=AUDIO, headers=headers)).status for _ in range(2)]
    assert statuses == [202, 200]


async def test_answers_have_the_documented_form(client: Client) -> None:
    await send_chunk(client, seq=0)
    document = api_description("1")
    for path in ("", "/{meeting_id}", "/{meeting_id}/chunks", "/{meeting_id}/segments"):
        operation = document["paths"][f"/v1/meetings{path}"]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        body = await read(client, f"/v1/meetings{path}".replace("{meeting_id}", "m1"))
        Draft202012Validator(whole).validate(body)
        name = schema["$ref"].rpartition("/")[2]
        assert set(body) == set(document["components"]["schemas"][name]["properties"])


async def test_a_long_meeting_reads_as_its_chunks_stand(client: Client, database: Database) -> None:
    await client.post("/v1/meetings/start", json={"meeting_id": "m1"}, headers=ALICE)
    await make_long(database)
    meeting = await read(client, "/v1/meetings/m1")
    tracks = (await read(client, "/v1/meetings/m1/chunks"))["tracks"]
    assert meeting["chunks"] == {"pending": 10_800, "processing": 0, "done": 17_994, "failed": 4}
    assert meeting["gaps"] == [
        {"track": track, "first_seq": 50, "last_seq": 50} for track in ("left", "right")
    ]
    assert meeting["failed_chunks"] == [
        {"track": track, "seq": seq, "reason": "undecodable"}
        for track in ("left", "right")
        for seq in (70, 71)
    ]
    assert [each["track"] for each in tracks] == ["left", "right"]
    for track in tracks:
        assert track["received"] == [[0, 49], [51, CHUNKS_A_TRACK - 1]]
        assert (track["gaps"], track["upload_track"]) == ([[50, 50]], "main")
        assert len(track["chunks"]) == CHUNKS_A_TRACK - 1


@pytest.mark.parametrize("path", ["", "/chunks", "/segments"])
async def test_who_reads_a_long_meeting_holds_up_nobody(
    client: Client, database: Database, pace: Pace, path: str
) -> None:
    await client.post("/v1/meetings/start", json={"meeting_id": "m1"}, headers=ALICE)
    await make_long(database)

    async def ask() -> None:
        answer = await client.get(f"/v1/meetings/m1{path}", headers=ALICE)
        assert answer.status == 200
        await answer.read()

    assert await longest_stall_s(ask) < pace.slowed(0.05)

"""The admin routes over a real database, also one that keeps no audit rows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator

from admin_stand_ins import Hints, Issues, admin_parts, audit_trail
from erasure_stand import erasure_by
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresAuditStore,
    PostgresDeletions,
    PostgresLiveSessions,
)
from interview_agent.domain.readiness import Issue, Severity
from interview_agent.domain.route import Stage
from interview_agent.metrics import Metrics
from interview_agent.pipeline.feed import Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import api_description, build_app
from interview_agent.web.auth import ApiKeys
from interview_agent.web.parts import ProbeParts, Readiness, WebParts
from interview_agent.web.routes_admin import ADMIN_ROUTES
from local_broadcast import LocalBroadcast
from operations_room import Room
from work_bench import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

USER, SERVICE = {"X-API-Key": "alice"}, {"X-API-Key": "machine"}
PLACE = {"stage": "stt", "meeting_id": "m1", "track": "main"}
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON security_audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""
READS = [route.path.format(meeting_id="m1") for route in ADMIN_ROUTES if route.method == "GET"]
WRITES = [route.path for route in ADMIN_ROUTES if route.method == "POST"]


@dataclass
class Desk:
    """An operator's client, and what is behind the API."""

    client: TestClient[Any, Any]
    room: Room
    hints: Hints
    issues: Issues
    folder: Path

    async def get(self, path: str, headers: dict[str, str] = SERVICE) -> Any:
        answer = await self.client.get(f"/v1/admin/{path}", headers=headers)
        assert answer.status == 200, await answer.text()
        return await answer.json()

    async def act(self, action: str, **place: Any) -> tuple[int, Any]:
        answer = await self.client.post(
            f"/v1/admin/dlq/{action}", json={**PLACE, **place}, headers=SERVICE
        )
        return answer.status, await answer.json()

    async def events(self, count: int, query: str = "") -> list[Any]:
        """Return the audit events, the newest first, once there are so many."""
        async with asyncio.timeout(10):
            while True:
                events: list[Any] = (await self.get(f"security/audit?limit=500{query}"))["events"]
                events = [each for each in events if not each["endpoint"].endswith("/audit")]
                if len(events) >= count:
                    return events
                await asyncio.sleep(0.02)


async def ready() -> Readiness:
    return Readiness(ready=True)


@pytest_asyncio.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    room, hints, issues = Room(database), Hints(), Issues()
    blobs = LocalFsBlobStore(tmp_path / "chunks")
    await blobs.prepare()
    ingest = Ingest(room.intake, room.archive, blobs, hints, clock=lambda: datetime.now(UTC))
    audit = audit_trail(PostgresAuditStore(database))
    parts = WebParts(
        ingest=ingest,
        live=LiveIngest(LiveParts(ingest.chunk, PostgresLiveSessions(database))),
        reader=Reader(room.archive, pii_masking=True),
        feed=Feed(room.archive, LocalBroadcast(), pii_masking=True),
        erasure=erasure_by(PostgresDeletions(database), audit=audit),
        authenticator=ApiKeys(["alice"], ["machine"]),
        audit=audit,
        probes=ProbeParts(Metrics("api"), ready),
        admin=admin_parts(database, blobs, audit, hints, issues),
    )
    loop = asyncio.create_task(audit.run())
    async with TestClient(TestServer(build_app(parts))) as client:
        yield Desk(client, room, hints, issues, tmp_path / "chunks")
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    await blobs.aclose()


@asynccontextmanager
async def locked_trail(dsn: str) -> AsyncIterator[None]:
    """Hold the audit table so that nothing is read or written there."""
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute("LOCK TABLE security_audit_events IN ACCESS EXCLUSIVE MODE")
        yield
    await connection.close()


async def test_queues_are_in_order_and_count_what_waits_runs_and_failed(desk: Desk) -> None:
    await desk.room.fail_report()
    await desk.room.intake.accept(chunk(0, meeting_id="m2"))
    await desk.room.intake.accept(chunk(0, meeting_id="m3"))
    await desk.room.claim(Stage.STT)
    await desk.room.run("UPDATE stage_work SET due_at = now() - interval '9 s' WHERE stage = 'stt'")
    queues = (await desk.get("queues/health"))["queues"]
    names = ["stt", "enhancer", "analytics", "delivery", "retention", "live", "erasure"]
    assert [(each["queue"], each["group"]) for each in queues] == [
        (f"q:{name}", f"g:{name}") for name in names
    ]
    speech, report = queues[0], queues[2]
    assert (speech["depth"], speech["pending"], speech["dlq_depth"]) == (3, 1, 0)
    assert speech["waiting"] == 2
    assert 9 <= speech["oldest_undone_age_s"] < 60
    assert (report["depth"], report["dlq_depth"], report["error"]) == (0, 1, None)


async def test_a_queue_whose_hints_cannot_be_counted_says_so_alone(desk: Desk) -> None:
    desk.hints.away.add(Stage.STT)
    queues = (await desk.get("queues/health"))["queues"]
    assert {each["queue"] for each in queues if each["error"] is not None} == {"q:stt"}
    assert queues[0]["error"] == "redis_error"
    assert queues[0]["hints"] is None
    assert queues[0]["depth"] == 0


async def test_storage_health_probes_and_leaves_nothing(desk: Desk) -> None:
    assert await desk.get("storage/health") == {
        "mode": "local_fs",
        "base_dir": "data/chunks",
        "healthy": True,
        "error": None,
    }
    assert [each for each in desk.folder.rglob("*") if each.name.startswith("probe")] == []


async def test_a_storage_that_is_gone_is_not_healthy(desk: Desk) -> None:
    desk.folder.rename(desk.folder.with_name("away"))
    found = await desk.get("storage/health")
    assert found["healthy"] is False
    assert found["error"].startswith("storage_error")
    assert str(desk.folder) not in found["error"]


async def test_readiness_lists_what_is_found_and_only_errors_count(desk: Desk) -> None:
    assert await desk.get("system/readiness") == {"ready": True, "issues": []}
    desk.issues.found = [Issue(Severity.WARNING, "a", "A is odd.", "Mend A.")]
    assert (await desk.get("system/readiness"))["ready"] is True
    desk.issues.found.append(Issue(Severity.ERROR, "b", "B is wrong.", "Mend B."))
    found = await desk.get("system/readiness")
    assert found["ready"] is False
    assert found["issues"][1] == {
        "severity": "error",
        "code": "b",
        "message": "B is wrong.",
        "mend": "Mend B.",
    }


async def test_what_was_given_up_on_is_paged_redriven_and_discarded(desk: Desk) -> None:
    for track in "abc":
        await desk.room.fail_chunk(track=track)
    first = await desk.get("dlq?limit=2")
    second = await desk.get(f"dlq?limit=2&cursor={first['next_cursor']}")
    assert [each["track"] for each in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None
    assert first["items"][0]["reason"] == "stt_provider_error: x"
    status, handled = await desk.act("redrive", track="a")
    assert (status, handled["chunks"], handled["work"]) == (200, 1, False)
    assert desk.hints.told[-1] == (Stage.STT, "m1", "a")
    assert (await desk.act("discard", track="b"))[0] == 200
    assert [each["track"] for each in (await desk.get("dlq"))["items"]] == ["c"]
    assert desk.hints.unburied == [(Stage.STT, "m1", "a"), (Stage.STT, "m1", "b")]
    status, refused = await desk.act("redrive", track="b")
    assert (status, refused["detail"]["code"]) == (404, "not_found")


async def test_a_mirror_that_cannot_be_cleaned_now_keeps_no_operator_from_acting(
    desk: Desk,
) -> None:
    desk.hints.away.add(Stage.STT)
    for action in ("discard", "redrive"):
        await desk.room.fail_chunk(track=action)
        assert (await desk.act(action, track=action))[0] == 200
    assert (await desk.get("dlq"))["items"] == []


async def test_a_place_that_cannot_be_is_a_validation_error(desk: Desk) -> None:
    for place in (
        {"stage": "nonsense"},
        {"stage": "enhancer"},
        {"track": None},
        {"track": "../x"},
        {"meeting_id": "../../etc"},
        {"meeting_id": "a\0b"},
        {"meeting_id": 5},
    ):
        status, refused = await desk.act("redrive", **place)
        assert (status, refused["detail"]["code"]) == (422, "validation"), place


async def test_stages_of_a_meeting_have_reasons_and_an_unknown_one_is_404(desk: Desk) -> None:
    await desk.room.fail_report()
    stages = (await desk.get("meetings/m1/stages"))["stages"]
    assert [(each["stage"], each["state"]) for each in stages] == [
        ("stt", "done"),
        ("enhancer", "done"),
        ("analytics", "failed"),
        ("retention", "waiting"),
    ]
    assert stages[2]["reason"] == "internal: x"
    answer = await desk.client.get("/v1/admin/meetings/m2/stages", headers=SERVICE)
    assert answer.status == 404


async def test_every_read_act_and_refusal_leaves_one_row(desk: Desk) -> None:
    await desk.room.fail_chunk()
    for path in ("dlq", "queues/health"):
        await desk.get(path)
        answer = await desk.client.get(f"/v1/admin/{path}", headers=USER)
        assert answer.status == 403
    await desk.act("redrive", meeting_id="absent")
    await desk.act("redrive")
    # A row that an act waits for overtakes those that nobody waits for.
    events = sorted(await desk.events(6), key=lambda each: each["created_at"], reverse=True)
    assert [(e["outcome"], e["method"], e["endpoint"], e["status_code"]) for e in events] == [
        ("allow", "POST", "/v1/admin/dlq/redrive", 200),
        ("allow", "POST", "/v1/admin/dlq/redrive", 404),
        ("deny", "GET", "/v1/admin/queues/health", 403),
        ("allow", "GET", "/v1/admin/queues/health", 200),
        ("deny", "GET", "/v1/admin/dlq", 403),
        ("allow", "GET", "/v1/admin/dlq", 200),
    ]
    act, refused = events[0], events[2]
    assert act["reason"] == "service_auth_write:service_api_key:dlq_redrive:stt:main"
    assert (act["meeting_id"], act["client_ip"], act["times"]) == ("m1", "127.0.0.1", 1)
    assert (refused["reason"], refused["error_code"]) == ("not_service_identity", "forbidden")
    assert refused["auth_type"] == "user_api_key"
    denied = await desk.events(2, f"&outcome=deny&subject={refused['subject']}")
    assert denied == [events[2], events[4]]


async def test_the_trail_is_paged_by_what_comes_before(desk: Desk) -> None:
    for _ in range(5):
        await desk.client.get("/v1/admin/dlq", headers=USER)
    subject = (await desk.events(5, "&outcome=deny"))[0]["subject"]
    seen: list[int] = []
    query = f"limit=2&subject={subject}"
    while True:
        page = await desk.get(f"security/audit?{query}")
        seen += [each["id"] for each in page["events"]]
        if page["next_before"] is None:
            break
        query = f"limit=2&subject={subject}&before={page['next_before']}"
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


async def test_a_bad_query_is_a_validation_error(desk: Desk) -> None:
    for path in (
        *(f"security/audit?limit={each}" for each in ("-1", "0", "501", "1000000000", "1;drop")),
        "security/audit?outcome=x",
        "security/audit?before=0",
        "security/audit?before=9223372036854775808",
        "dlq?limit=0",
        "dlq?cursor=nonsense",
        "dlq?cursor=W10",
        "meetings/..%2f..%2fetc/stages",
    ):
        answer = await desk.client.get(f"/v1/admin/{path}", headers=SERVICE)
        body = await answer.json()
        assert (answer.status, body["detail"]["code"]) == (422, "validation"), path


async def test_the_trail_can_be_asked_for_any_subject(desk: Desk) -> None:
    for subject in ("%00", "a%0d%0ab", "%ff", "%F0%9F%98%80", "x" * 8_000):
        assert (await desk.get(f"security/audit?subject={subject}"))["events"] == []


async def test_answers_have_the_documented_form(desk: Desk) -> None:
    await desk.room.fail_chunk()
    document = api_description("1")
    for route in ADMIN_ROUTES:
        path = route.path.format(meeting_id="m1")
        answer = await desk.client.request(
            route.method, path, headers=SERVICE, json=PLACE if route.body else None
        )
        if path.endswith("/redrive"):
            await desk.room.run("UPDATE chunks SET state = 'failed'")
        assert answer.status == 200, path
        operation = document["paths"][route.path][route.method.lower()]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        body = await answer.json()
        Draft202012Validator(whole).validate(body)
        name = schema["$ref"].rpartition("/")[2]
        assert set(body) == set(document["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize("fault", ["trigger", "lock", "gone"])
async def test_without_an_audit_row_no_write_is_done_while_reads_and_refusals_go_on(
    desk: Desk, dsn: str, fault: str
) -> None:
    await desk.room.fail_chunk()
    if fault == "lock":
        async with locked_trail(dsn):
            await no_row_no_act(desk, trail_status=200 if fault == "trigger" else 503)
        return
    broken = REFUSE if fault == "trigger" else "ALTER TABLE security_audit_events RENAME TO away"
    mended = (
        "DROP TRIGGER refuse ON security_audit_events"
        if fault == "trigger"
        else "ALTER TABLE away RENAME TO security_audit_events"
    )
    await desk.room.run(broken)
    await no_row_no_act(desk, trail_status=200 if fault == "trigger" else 503)
    await desk.room.run(mended)
    # What was read and refused meanwhile comes to the rows once there are any.
    reads = len(READS) - 1
    refusals = reads + 2 * len(WRITES)
    outcomes = [each["outcome"] for each in await desk.events(reads + 1 + refusals)]
    assert (outcomes.count("allow"), outcomes.count("deny")) == (reads + 1, refusals)
    assert (await desk.act("redrive"))[0] == 200


async def no_row_no_act(desk: Desk, *, trail_status: int) -> None:
    """Ask for everything: reads are answered, but for the trail itself where it cannot be."""
    for action in ("redrive", "discard"):
        status, refused = await desk.act(action)
        assert (status, refused["detail"]["code"]) == (503, "db_error")
    (failed,) = (await desk.get("dlq"))["items"]
    assert (failed["track"], failed["seq"]) == ("main", 0)
    for path in READS:
        answer = await desk.client.get(path, headers=SERVICE)
        trail = path.endswith("/security/audit")
        assert answer.status == (trail_status if trail else 200), path
        assert (await desk.client.get(path, headers=USER)).status == 403
    for path in WRITES:
        answer = await desk.client.post(path, headers=USER, json=PLACE)
        assert answer.status == 403

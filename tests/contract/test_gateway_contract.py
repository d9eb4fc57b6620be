"""The published contract of gateways is sound, and both sides keep to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import pytest_asyncio
import yaml
from aiohttp import ClientSession

from fake_sberjazz import Fault, Voice
from gateway_stand import DEADLINE_S, ORDER, TOKEN, Stand, gateway_stand
from interview_agent.adapters.sberjazz import readings
from interview_agent.adapters.sberjazz.answer import IN_PROGRESS
from interview_agent.adapters.sberjazz.gateway import NO_BOT, AnswerLimits
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.ids import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).resolve().parents[2]
CONTRACT: dict[str, Any] = yaml.safe_load(
    (ROOT / "config" / "contracts" / "sberjazz-gateway.v1.yaml").read_text(encoding="utf-8")
)
SCHEMAS = CONTRACT["components"]["schemas"]
MEETING = "/api/v1/meetings/{meeting_id}/"


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference of the document points to, or the node itself."""
    found: Any = CONTRACT
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def check(document: Any, schema: dict[str, Any]) -> None:
    """Raise `ValidationError` unless a document is of a schema of the contract."""
    whole = {**schema, "components": CONTRACT["components"]}
    jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(document)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in CONTRACT["paths"].items():
        for method in ("get", "post"):
            if method in item:
                yield path, method, item[method]


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every body that an operation takes or gives."""
    bodies = [operation.get("requestBody", {}), *map(resolved, operation["responses"].values())]
    for body in bodies:
        yield from body.get("content", {}).values()


def answer_schema(path: str, method: str, status: int) -> dict[str, Any]:
    responses = CONTRACT["paths"][path][method]["responses"]
    response = resolved(responses.get(str(status), responses["default"]))
    return dict(response["content"]["application/json"]["schema"])


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


@pytest_asyncio.fixture
async def stand() -> AsyncIterator[Stand]:
    async with gateway_stand() as made:
        made.fake.voices = [Voice("p-1", "Анна", b"\0\1" * 16_000)]
        made.fake.pace = 1000.0
        yield made


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    assert CONTRACT["openapi"].startswith("3.1.")
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = [node for node in nodes(CONTRACT) if "$ref" in node]
    assert all(map(resolved, references))


def test_every_operation_is_told_whole() -> None:
    names = []
    for path, _, operation in operations():
        names.append(operation["operationId"])
        assert operation["summary"]
        assert "default" in operation["responses"]
        declared = CONTRACT["paths"][path].get("parameters", [])
        assert ("{meeting_id}" in path) == bool(declared)
    assert len(set(names)) == len(names) == 6


def test_every_example_is_of_its_schema() -> None:
    examples = 0
    for _, _, operation in operations():
        for content in contents(operation):
            if "example" in content:
                check(content["example"], content["schema"])
                examples += 1
    assert examples > 10


def test_the_words_of_the_contract_are_those_of_the_domain() -> None:
    assert set(SCHEMAS["State"]["enum"]) == set(SessionState) - {SessionState.REQUESTED}
    assert set(SCHEMAS["Reason"]["examples"]) == set(EndReason)
    refusals = {str(reason) for reason in EndReason if readings.refusal_in(reason) is not None}
    assert set(SCHEMAS["RefusalCode"]["enum"]) == refusals
    pattern = CONTRACT["components"]["parameters"]["MeetingId"]["schema"]["pattern"]
    assert pattern == NAME_PATTERN
    text = CONTRACT["info"]["description"]
    for code in (IN_PROGRESS, *NO_BOT):
        assert f"`{code}`" in text


def test_nothing_that_the_contract_allows_is_refused_for_its_size() -> None:
    chunk, session = SCHEMAS["Chunk"]["properties"], SCHEMAS["Session"]["properties"]
    assert chunk["content_b64"]["maxLength"] // 4 * 3 <= AnswerLimits().chunk_bytes
    assert chunk["id"]["maxLength"] == readings.MAX_ID_CHARS
    assert session["session_id"]["maxLength"] == readings.MAX_ID_CHARS
    assert session["participants"]["maxItems"] == readings.MAX_PARTICIPANTS
    page = SCHEMAS["Page"]["properties"]
    assert page["chunks"]["maxItems"] == readings.MAX_PAGE_CHUNKS
    assert page["next_cursor"]["maxLength"] == readings.MAX_CURSOR_CHARS
    assert AnswerLimits(chunk_bytes=1).live_bytes >= 8 * 2**20


@pytest.mark.parametrize("state", ["lobby", "active", "interrupted", "ended", "failed", "gone"])
async def test_the_fake_gateway_keeps_to_the_contract(stand: Stand, state: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "m1:1"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("/api/v1/health", "get", {}),
        (f"{MEETING}session", "get", {}),
        (f"{MEETING}join", "post", {"join_url": "https://salutejazz.ru/a"}),
        (f"{MEETING}join", "post", {}),
        (f"{MEETING}session", "get", {}),
        (f"{MEETING}live-chunks", "get", {}),
        (f"{MEETING}recording", "get", {}),
        (f"{MEETING}leave", "post", {}),
        (f"{MEETING}leave", "post", {}),
    ]
    statuses = []
    async with ClientSession(stand.fake.address, headers=headers) as http:
        for path, method, body in asked:
            url = path.format(meeting_id="m1")
            async with http.request(method, url, json=body or None) as answer:
                check(await answer.json(), answer_schema(path, method, answer.status))
                statuses.append(answer.status)
            if path.endswith("join"):
                stand.fake.room("m1").put(state, None if state != "ended" else "call_ended")
    assert statuses[:4] == [200, 404, 202, 202]


async def test_errors_of_the_fake_gateway_keep_to_the_contract(stand: Stand) -> None:
    stand.fake.break_next("health", Fault("status", status=503, retry_after_sec=2.5))
    async with ClientSession(stand.fake.address) as http:
        for path in ("/api/v1/health", "/api/v1/health", "/api/v1/nothing"):
            async with http.get(path) as answer:
                assert answer.status >= 400
                check(await answer.json(), {"$ref": "#/components/schemas/Error"})


async def test_what_the_adapter_asks_keeps_to_the_contract(stand: Stand) -> None:
    connector = stand.connector
    await connector.health(deadline_s=DEADLINE_S)
    await connector.join(ORDER, deadline_s=DEADLINE_S)
    await connector.session("m1", deadline_s=DEADLINE_S)
    page = await connector.live_chunks("m1", None, limit=5, deadline_s=DEADLINE_S)
    await connector.live_chunks("m1", page.next_cursor, limit=5000, deadline_s=DEADLINE_S)
    await connector.leave("m1", deadline_s=DEADLINE_S)
    known = {path.rpartition("/")[2]: item for path, item in CONTRACT["paths"].items()}
    for request in stand.fake.journal:
        item = known[request.call]
        operation = item.get("get") or item["post"]
        parameters = {each["name"]: each for each in map(resolved, operation.get("parameters", []))}
        for name, value in request.query.items():
            given = int(value) if parameters[name]["schema"]["type"] == "integer" else value
            check(given, parameters[name]["schema"])
        if "post" in item:
            check(request.key, parameters["Idempotency-Key"]["schema"])
            (content,) = operation["requestBody"]["content"].values()
            check(request.body, content["schema"])

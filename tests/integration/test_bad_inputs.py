"""Bad requests made from our own description of the API, as callers of several kinds."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from yarl import URL

from access_server import TOKENS, AccessServer, Tokens, access_server, bearer
from interview_agent.web.app import api_description

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

DOCUMENT = api_description("1")
CALLERS = ("user-of-a", "user-of-b", "service-read", "service-write", "service-ingest", "expired")
Request = tuple[str, str, dict[str, Any]]

IDS = (
    *("../x", "..", ".", "a/b", "a\0b", "a\r\nX: y", "x" * 65, "con\u0441", "~", "-a", "a b"),
    *("😀", "\u202ea", "%", "a%", "${x}", "' or 1=1 --", "{meeting_id}"),
)
TEXTS = ("", "\0", "x" * 5000, "\u202e", "😀", "-1", "1e400", "NaN", "null", "[]", "true", "0x1")
DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]
VALUES = (
    *(None, True, 0, -1, 1.5, 2**31, 10**30, 1e308, "", "x" * 5000, "\0", "😀", "\ud800"),
    *([], {}, [None], [[]], {"a": {}}, ["x"] * 1000, {"": ""}, DEEP),
)
RAW_BODIES = (
    *(b"", b" ", b"{", b"[]", b"null", b'"x"', b"1", b"NaN", b'{"a":NaN}', b"\xff\xfe", b"{}}"),
    *(b"\xef\xbb\xbf{}", b'{"seq":1,"seq":"x"}', b"[" * 20_000, b'{"a":' * 20_000, b"{}\0"),
)
BODY_TYPES = ("text/html", "application/json; charset=utf-16", "multipart/form-data", "", "a/b/c")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def good_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a body with the fields that must be there."""
    good: dict[str, Any] = {"seq": 0, "content_b64": "YXVkaW8="}
    return {name: good[name] for name in schema.get("required", ()) if name in good}


def bad_bodies(schema: dict[str, Any]) -> Iterator[Any]:
    good = good_body(schema)
    for name in schema.get("properties", {}):
        for value in VALUES:
            yield {**good, name: value}
    for name in good:
        yield {key: value for key, value in good.items() if key != name}
    yield {**good, "extra": DEEP}
    yield {**good, **{f"field {number}": number for number in range(60_000)}}


def bad_requests(method: str, path: str, operation: dict[str, Any]) -> Iterator[Request]:
    fine = path.replace("{meeting_id}", "m1")
    if "{meeting_id}" in path:
        for name in IDS:
            yield method, path.replace("{meeting_id}", quote(name, safe="")), {}
    for parameter in operation.get("parameters", ()):
        for text in TEXTS:
            if parameter["in"] == "query":
                yield method, f"{fine}?{parameter['name']}={quote(text, safe='')}", {}
            elif parameter["in"] == "header" and text.isascii() and "\0" not in text:
                yield method, fine, {"headers": {parameter["name"]: text}}
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        schema = resolved(content["application/json"]["schema"])
        for body in bad_bodies(schema):
            yield method, fine, {"data": json.dumps(body).encode(), **_of_type("application/json")}
        for raw in RAW_BODIES:
            yield method, fine, {"data": raw, **_of_type("application/json")}
        for media_type in BODY_TYPES:
            yield method, fine, {"data": b"{}", **_of_type(media_type)}
    elif content:
        for media_type in (*BODY_TYPES, "application/json", "audio/wav"):
            yield method, fine, {"data": b"", **_of_type(media_type)}


def _of_type(media_type: str) -> dict[str, Any]:
    return {"headers": {"Content-Type": media_type}} if media_type else {}


async def fault_of(server: AccessServer, request: Request, caller: str) -> str | None:
    """Return what is wrong with the answer to a request, None if nothing is."""
    method, path, options = request
    headers = options.get("headers", {}) | bearer(caller)
    body = io.BytesIO(options["data"]) if "data" in options else None
    url = URL(server.address + path, encoded=True)
    async with server.dial.http.request(method, url, headers=headers, data=body) as answer:
        if answer.content_type == "text/event-stream":
            return None
        text = await answer.text()
        if answer.status >= 500:
            return f"{answer.status} {text[:200]}"
        if answer.status < 400:
            return None
        detail = json.loads(text).get("detail", {})
        if set(detail) != {"code", "message", "details"} or not detail["code"]:
            return f"{answer.status} without a code: {text[:200]}"
        if "Traceback" in text or "asyncpg" in text or "/src/" in text:
            return f"{answer.status} tells of the inside: {text[:200]}"
        return None


@pytest.mark.parametrize("caller", CALLERS)
async def test_no_bad_request_is_a_500_and_each_is_told_a_code(
    database: Database, tmp_path: Path, caller: str
) -> None:
    faults: dict[str, str] = {}
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as server:
        await server.opened("m1", TOKENS["user-of-a"].owner)
        for method, path, operation in operations():
            # Whoever is turned away has nothing of a body looked at: a few are enough.
            turned_away = caller in {"expired", "service-read"} and method != "GET"
            for number, request in enumerate(bad_requests(method, path, operation)):
                if turned_away and number > 5:
                    break
                if fault := await fault_of(server, request, caller):
                    faults[f"{method} {request[1][:80]} {str(request[2])[:80]}"] = fault
        assert (await server.ask("GET", "/health"))[0] == 200
    assert faults == {}


async def test_answers_have_statuses_that_the_description_names(
    database: Database, tmp_path: Path
) -> None:
    unnamed = set()
    async with access_server(database, tmp_path, Tokens(service_keys=False)) as server:
        for method, template, operation in operations():
            named = {int(status) for status in operation["responses"]}
            path = template.replace("{meeting_id}", "absent")
            for caller in CALLERS:
                options = {"json": {}} if method == "POST" else {}
                status, _ = await server.ask(method, path, bearer(caller), **options)
                if status not in named:
                    unnamed.add((method, template, status))
    assert unnamed == set()

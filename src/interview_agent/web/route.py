"""Routes as declarations: what is checked, read and answered, in one place for all handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from interview_agent.domain.errors import NotFound, ValidationFailed
from interview_agent.domain.policy import Need
from interview_agent.web.body import (
    Lease,
    load_json,
    read_bounded,
    refuse_encoding,
    require_json,
)
from interview_agent.web.errors import envelope, error_answer
from interview_agent.web.long_json import long_json
from interview_agent.web.parts import BUDGET, GATE, PARTS, PROBES, WebParts

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler as AiohttpHandler

    from interview_agent.domain.identity import Identity
    from interview_agent.web.gate import Gate, Visit

MAX_LISTED_ERRORS = 20
TRACE_ID = web.RequestKey("TRACE_ID", str)
"""Key of the request under which its trace id lies."""


class Takes(Enum):
    """What a route takes as its body."""

    NOTHING = "nothing"
    JSON = "json"
    JSON_OR_NOTHING = "json_or_nothing"
    CHUNK_JSON = "chunk_json"
    AUDIO_STREAM = "audio_stream"


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request: who calls, what the query, the headers and the JSON body say."""

    request: web.Request
    parts: WebParts
    caller: Identity
    visit: Visit
    query: Any
    headers: Any
    body: Any

    @property
    def gate(self) -> Gate:
        """What let the caller in."""
        return self.request.app[GATE]

    @property
    def meeting_id(self) -> str:
        """The meeting that the path names."""
        return self.request.match_info["meeting_id"]

    @property
    def trace_id(self) -> str:
        """The trace id of this request."""
        return self.request[TRACE_ID]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose status is not the usual one of its route."""

    content: Mapping[str, Any]
    status: int


Handler = Callable[[Call], Awaitable[Mapping[str, Any] | Reply | web.StreamResponse]]
OpenHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the API: everything that serving, guarding and describing it needs.

    `need` is what the caller must be allowed. `also` lists further success statuses, `errors` the
    error statuses beyond the usual ones. An `answer` of None is a text of `media_type`. `headers`
    holds the headers that mean something. `absent` gives what stands beside the error when the
    meeting of that id is not there. `may_be_long` has the answer written outside the event loop.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[BaseModel] | None
    status: int = 200
    also: tuple[int, ...] = ()
    takes: Takes = Takes.NOTHING
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    media_type: str = "application/json"
    errors: tuple[int, ...] = ()
    tag: str = "meetings"
    absent: Callable[[str], Mapping[str, Any]] | None = None
    may_be_long: bool = False
    need: Need = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class OpenRoute:
    """A route that answers by itself; only `METRICS` may ask for an identity, where guarded."""

    path: str
    handler: OpenHandler
    summary: str
    answer: type[BaseModel] | None = None
    media_type: str = "application/json"
    also: tuple[int, ...] = ()
    tag: str = "service"
    need: Need = Need.OPEN


def json_response(content: Mapping[str, Any], status: int = 200) -> web.Response:
    """Return JSON in UTF-8, Cyrillic as it is."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return web.Response(status=status, text=text, content_type="application/json")


async def long_json_response(content: Mapping[str, Any], status: int) -> web.Response:
    """Return the same of what may be long, without holding up anybody meanwhile."""
    body = await asyncio.to_thread(long_json, content)
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")


def validated(model: type[BaseModel], value: Any, where: str) -> Any:
    """Return `value` as `model`. Raises `ValidationFailed` with a list of what is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # The input is not repeated: it may be sixteen megabytes of somebody's voice.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors = [
            {"loc": [where, *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
            for fault in found[:MAX_LISTED_ERRORS]
        ]
        raise ValidationFailed(details={"errors": errors}) from None


async def _json_body(route: Route, request: web.Request, parts: WebParts, lease: Lease) -> Any:
    limits = parts.limits
    is_chunk = route.takes is Takes.CHUNK_JSON
    may_be_empty = route.takes is Takes.JSON_OR_NOTHING
    refuse_encoding(request)
    if not may_be_empty:
        require_json(request)
    raw = await read_bounded(
        request,
        lease,
        max_bytes=limits.chunk_json_max_bytes if is_chunk else limits.json_max_bytes,
        silence_s=limits.body_timeout_s,
    )
    if may_be_empty and not raw.strip():
        return {}
    require_json(request)
    return await load_json(raw)


def _headers(model: type[BaseModel], request: web.Request) -> Any:
    names = [field.alias or name for name, field in model.model_fields.items()]
    given = {name: request.headers[name] for name in names if name in request.headers}
    return validated(model, given, "header")


def _served(route: Route) -> AiohttpHandler:
    async def serve(request: web.Request) -> web.StreamResponse:
        gate = request.app[GATE]
        visit = gate.visit(request)
        try:
            with gate.watch(request, visit):
                # Nothing of the body is read for somebody unknown.
                caller = await gate.admit(request, visit, route.need, status=route.status)
                answer = await _answered(route, request, caller, visit)
                gate.check_handed_over(request)
        except NotFound as error:
            if route.absent is None:
                raise
            return error_answer(error, beside=route.absent(request.match_info["meeting_id"]))
        if isinstance(answer, web.StreamResponse):
            return answer
        if isinstance(answer, Reply):
            return json_response(answer.content, answer.status)
        if route.may_be_long:
            return await long_json_response(answer, route.status)
        return json_response(answer, route.status)

    return serve


async def _answered(
    route: Route, request: web.Request, caller: Identity, visit: Visit
) -> Mapping[str, Any] | Reply | web.StreamResponse:
    parts = request.app[PARTS]
    query = validated(route.query, dict(request.query), "query") if route.query else None
    headers = _headers(route.headers, request) if route.headers else None
    with request.app[BUDGET].lease() as lease:
        body = None
        if route.body is not None:
            raw = await _json_body(route, request, parts, lease)
            body = validated(route.body, raw, "body")
            del raw
        return await route.handler(
            Call(request, parts, caller, visit, query=query, headers=headers, body=body)
        )


def _served_openly(route: OpenRoute) -> AiohttpHandler:
    if route.need is Need.OPEN:
        return route.handler

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.app[PROBES].guard_metrics:
            gate = request.app[GATE]
            visit = gate.visit(request)
            with gate.watch(request, visit):
                await gate.admit(request, visit, route.need)
        return await route.handler(request)

    return serve


async def _expected(request: web.Request) -> web.Response | None:
    # The framework's own answer to an unknown expectation is not in our form.
    if request.headers["Expect"].lower() != "100-continue":
        message = "only 100-continue can be expected"
        return json_response(envelope("expectation_failed", message), 417)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # What was sent so far is no part of the answer.
    request.writer.output_size = 0
    return None


def _add(app: web.Application, method: str, path: str, handler: AiohttpHandler) -> None:
    for each in (method, "HEAD") if method == "GET" else (method,):
        app.router.add_route(each, path, handler, expect_handler=_expected)


def register(app: web.Application, routes: Iterable[Route]) -> None:
    """Serve routes that need an identity."""
    for route in routes:
        _add(app, route.method, route.path, _served(route))


def register_open(app: web.Application, routes: Iterable[OpenRoute]) -> None:
    """Serve routes that need no identity, or only where they are guarded."""
    for route in routes:
        _add(app, "GET", route.path, _served_openly(route))

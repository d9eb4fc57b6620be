"""The description of the API, made from the routes and models that serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from interview_agent.domain.ids import NAME_PATTERN
from interview_agent.domain.policy import Need
from interview_agent.web.route import OpenRoute, Route, Takes
from interview_agent.web.schemas import RecordingQuery
from interview_agent.web.schemas_answers import ErrorAnswer

if TYPE_CHECKING:
    from pydantic import BaseModel

_REF = "#/components/schemas/{model}"
_GUARDED_ERRORS = (401, 403, 429)
_USUAL_ERRORS = (*_GUARDED_ERRORS, 422, 500, 503)

Document = dict[str, Any]
_Schemas = Mapping[tuple[Any, JsonSchemaMode], Document]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _content(schema: Document, media_type: str = "application/json") -> Document:
    return {media_type: {"schema": schema}}


def _parameters(model: type[BaseModel], where: str) -> list[Document]:
    schema = model.model_json_schema(mode="validation", ref_template=_REF)
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": where,
            "required": name in required,
            "schema": {key: value for key, value in field.items() if key != "title"},
        }
        for name, field in schema["properties"].items()
    ]


def _path_parameters(path: str) -> list[Document]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "pattern": NAME_PATTERN}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _audio_body() -> Document:
    fields = RecordingQuery.model_json_schema(mode="validation", ref_template=_REF)["properties"]
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {
        "type": "object",
        "description": "The fields come before the file.",
        "properties": {**fields, "file": file},
        "required": ["file"],
    }
    return {
        "required": True,
        "content": {
            "audio/*": {},
            "application/octet-stream": {},
            "multipart/form-data": {"schema": form},
        },
    }


def _request_body(route: Route, schemas: _Schemas) -> Document | None:
    if route.takes is Takes.AUDIO_STREAM:
        return _audio_body()
    if route.body is None:
        return None
    return {
        "required": route.takes is not Takes.JSON_OR_NOTHING,
        "content": _content(schemas[route.body, "validation"]),
    }


def _answer(route: Route | OpenRoute, schemas: _Schemas) -> Document:
    schema = schemas[route.answer, "serialization"] if route.answer else {"type": "string"}
    return _content(schema, route.media_type)


def _operation(route: Route, schemas: _Schemas) -> Document:
    answer = _answer(route, schemas)
    error = _content(schemas[ErrorAnswer, "serialization"])
    responses: Document = {
        str(status): {"description": _phrase(status), "content": answer}
        for status in (route.status, *route.also)
    }
    for status in sorted({*_USUAL_ERRORS, *route.errors}):
        responses[str(status)] = {"description": _phrase(status), "content": error}
    operation: Document = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "tags": [route.tag],
        "security": [{"apiKey": []}, {"bearer": []}, {}],
        "responses": responses,
    }
    query = _parameters(route.query, "query") if route.query else []
    headers = _parameters(route.headers, "header") if route.headers else []
    if parameters := [*_path_parameters(route.path), *query, *headers]:
        operation["parameters"] = parameters
    if body := _request_body(route, schemas):
        operation["requestBody"] = body
    return operation


def _open_operation(route: OpenRoute, schemas: _Schemas) -> Document:
    content = _answer(route, schemas)
    error = _content(schemas[ErrorAnswer, "serialization"])
    responses: Document = {
        str(status): {"description": _phrase(status), "content": content}
        for status in (200, *route.also)
    }
    is_open = route.need is Need.OPEN
    for status in () if is_open else _GUARDED_ERRORS:
        responses[str(status)] = {"description": _phrase(status), "content": error}
    return {
        "operationId": getattr(route.handler, "__name__", route.path.strip("/")),
        "summary": route.summary,
        "tags": [route.tag],
        "security": [] if is_open else [{"apiKey": []}, {}],
        "responses": responses,
    }


def describe(routes: Iterable[Route], open_routes: Iterable[OpenRoute], version: str) -> Document:
    """Return the OpenAPI 3.1 document of these routes."""
    routes, open_routes = list(routes), list(open_routes)
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {
        (ErrorAnswer, "serialization"): None
    }
    for route in routes:
        if route.answer:
            wanted[route.answer, "serialization"] = None
        if route.body:
            wanted[route.body, "validation"] = None
    for open_route in open_routes:
        if open_route.answer:
            wanted[open_route.answer, "serialization"] = None
    schemas, definitions = models_json_schema(list(wanted), ref_template=_REF)
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for open_route in open_routes:
        paths.setdefault(open_route.path, {})["get"] = _open_operation(open_route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Interview Agent",
            "version": version,
            "description": "Takes an interview as sound, gives it back as text and evidence.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def _older_schema(schema: Document) -> Document:
    older = {key: _older(value) for key, value in schema.items()}
    if "const" in older:
        older["enum"] = [older.pop("const")]
    if "prefixItems" in older:
        older["items"] = {"oneOf": older.pop("prefixItems")}
    if isinstance(older.get("examples"), list):
        older["example"] = older.pop("examples")[0]
    if "contentMediaType" in older:
        del older["contentMediaType"]
        older["format"] = "binary"
    choices = older.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del older["anyOf"]
        older |= {"allOf": rest} if len(rest) == 1 and "$ref" in rest[0] else {}
        older |= rest[0] if len(rest) == 1 and "$ref" not in rest[0] else {}
        older |= {"anyOf": rest} if len(rest) > 1 else {}
        older["nullable"] = True
    return older


def _older(value: Any) -> Any:
    if isinstance(value, dict):
        return _older_schema(value)
    return [_older(item) for item in value] if isinstance(value, list) else value


def for_viewer(document: Document) -> Document:
    """Return the same description as OpenAPI 3.0, which is all that the bundled viewer reads."""
    older = _older(document)
    older["openapi"] = "3.0.3"
    older.pop("jsonSchemaDialect")
    older["info"]["license"].pop("identifier")
    result: Document = older
    return result

"""The API description is true, complete and readable by tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from interview_agent.web.app import api_description
from interview_agent.web.openapi import for_viewer
from interview_agent.web.routes_admin import ADMIN_ROUTES
from interview_agent.web.routes_connector import CONNECTOR_ROUTES
from interview_agent.web.routes_erasure import ERASURE_ROUTES
from interview_agent.web.routes_events import EVENT_ROUTES
from interview_agent.web.routes_meetings import MEETING_ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTES = (*MEETING_ROUTES, *EVENT_ROUTES, *ERASURE_ROUTES, *ADMIN_ROUTES, *CONNECTOR_ROUTES)
DOCUMENT = api_description("1.2.3")


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from nodes(item)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_route_is_described_and_nothing_else() -> None:
    described = {(path, method.upper()) for path, method, _ in operations()}
    served = {(each.path, each.method) for each in ROUTES}
    service = {("/health", "GET"), ("/ready", "GET"), ("/metrics", "GET")}
    assert described == served | service


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node]
    names = {reference.removeprefix("#/components/schemas/") for reference in references}
    assert references
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_every_schema_is_valid_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for _, _, operation in operations():
        for parameter in operation.get("parameters", ()):
            Draft202012Validator.check_schema(parameter["schema"])


def test_operations_have_what_openapi_requires() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for path, _, operation in operations():
        named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert operation["summary"]
        assert all(response["description"] for response in operation["responses"].values())


def test_every_meeting_route_says_that_it_needs_a_key_and_how_errors_look() -> None:
    for path, _, operation in operations():
        if path.startswith("/v1/"):
            assert {"apiKey": []} in operation["security"]
            error = operation["responses"]["401"]["content"]["application/json"]["schema"]
            assert error == {"$ref": "#/components/schemas/ErrorAnswer"}


def test_the_viewer_gets_the_same_paths_in_words_of_openapi_3_0() -> None:
    older = for_viewer(DOCUMENT)
    assert older["openapi"] == "3.0.3"
    assert older["paths"].keys() == DOCUMENT["paths"].keys()
    for node in nodes(older):
        assert node.get("type") != "null"
        assert "const" not in node
        assert "prefixItems" not in node
        assert not isinstance(node.get("examples"), list)
    assert DOCUMENT["openapi"] == "3.1.0"
    json.dumps(older)

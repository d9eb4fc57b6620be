"""Whether spans are recorded at all."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from interview_agent.adapters.otlp import OtlpSpans
from interview_agent.compose.tracing import open_spans
from interview_agent.ports.spans import NoSpans
from interview_agent.settings import read_settings

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, NoSpans),
        ({"OTEL_ENABLED": "true"}, NoSpans),
        (COLLECTOR, OtlpSpans),
        (COLLECTOR | {"OTEL_ENABLED": "true"}, OtlpSpans),
        (COLLECTOR | {"OTEL_ENABLED": "false"}, NoSpans),
    ],
)
async def test_spans_go_to_a_collector_that_is_set_and_wanted(
    environment: dict[str, str], kind: type
) -> None:
    async with AsyncExitStack() as stack:
        assert isinstance(open_spans(read_settings(environment), stack), kind)

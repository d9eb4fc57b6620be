"""A trace id comes in with a request and is found in answer, rows, log and spans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from running_agents import run_to_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from running_agents import Agents

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STAGES = ("stt", "enhancer", "analytics", "delivery")


class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")

    def of(self, trace_id: str) -> dict[str, Span]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    taking = Collector()
    await taking.server.start_server()
    yield taking
    await taking.server.close()


async def test_one_trace_leads_from_the_request_through_every_stage_to_the_collector(
    agents: Agents, collector: Collector, dsn: str
) -> None:
    api, worker = agents.make_apart(
        ["api", "worker"],
        STT_PROVIDER="mock",
        MEETING_QUIET_SEC="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=str(collector.server.make_url("/")),
    )
    await api.start()
    await worker.start()
    path = "/v1/meetings/traced/chunks"
    body = {"seq": 0, "content_b64": "c291bmQ="}
    headers = {"X-API-Key": "acceptance-key", "traceparent": f"00-{TRACE}-{CALLER}-01"}
    status, _ = await api.call("POST", path, body, headers=headers)
    assert status == 200
    await api.call("POST", "/v1/meetings/traced/finish")
    await api.until(
        "traced",
        lambda seen: (
            ("delivery", "done") in {(stage["stage"], stage["state"]) for stage in seen["stages"]}
        ),
    )
    connection = await asyncpg.connect(dsn)
    (row,) = await connection.fetch("SELECT DISTINCT trace_id FROM stage_work")
    await connection.close()
    assert row["trace_id"] == TRACE
    status, _ = await api.call("GET", "/v1/meetings/traced", headers={"X-Trace-Id": "ab" * 16})
    assert (await worker.stop(), await api.stop()) == (0, 0)

    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    ended = [line for line in lines if line["msg"] == "stage_ended"]
    assert {line["stage"] for line in ended if line["trace_id"] == TRACE} >= set(STAGES)
    spans = collector.of(TRACE)
    assert spans.keys() >= {"POST /v1/meetings/{meeting_id}/chunks"} | {
        f"stage {stage}" for stage in STAGES
    }
    request = spans["POST /v1/meetings/{meeting_id}/chunks"]
    assert request.parent_span_id.hex() == CALLER
    assert not spans["stage stt"].parent_span_id
    assert "GET /v1/meetings/{meeting_id}" in collector.of("ab" * 16)
    assert not [span.name for span in collector.spans if "/health" in span.name]


async def test_a_collector_that_is_away_costs_neither_work_nor_a_clean_stop(agents: Agents) -> None:
    agent = agents.make(STT_PROVIDER="mock", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    await agent.start()
    await agent.send("traced", 0, b"sound")
    await agent.call("POST", "/v1/meetings/traced/finish")
    await agent.until_done("traced")
    assert await agent.stop() == 0


async def without_the_extra(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Run a command as if the libraries of the extra `tracing` were not installed."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None;"
        " from interview_agent.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    return await run_to_end("-c", program, *words, folder=folder, **environment)


async def test_without_the_extra_a_collector_stops_the_start_with_what_to_do(
    tmp_path: Path,
) -> None:
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "STT_PROVIDER": "mock"}
    code, said = await without_the_extra(tmp_path, "--role=api", **address)
    assert code == 1
    assert "interview-agent[tracing]" in said.splitlines()[-1]
    code, said = await without_the_extra(tmp_path, "migrate", "--check")
    assert (code, said.splitlines()[-1][:8]) == (1, "missing:"), said

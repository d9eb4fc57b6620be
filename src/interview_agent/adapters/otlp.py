"""Spans sent to a collector by OTLP over HTTP, with the official SDK (extra `tracing`)."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span as SdkSpan

    from interview_agent.domain.ids import CallerSpan
    from interview_agent.ports.spans import Span

_QUEUE = 2_048
"""Most spans that wait to be sent; more are dropped."""

_BATCH = 256
_SEND_TIMEOUT_S = 5.0

_wanted: ContextVar[int | None] = ContextVar("wanted_trace_id", default=None)


class _AdoptedIds(RandomIdGenerator):
    """Gives a span without a parent the trace id that the request or the work came with."""

    def generate_trace_id(self) -> int:
        return _wanted.get() or super().generate_trace_id()


class _OtlpSpan:
    def __init__(self, span: SdkSpan) -> None:
        self._span = span

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)


class OtlpSpans:
    """Sends spans in batches from a thread of its own; `close` sends what is left."""

    def __init__(self, endpoint: str) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "interview-agent"}),
            id_generator=_AdoptedIds(),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_TIMEOUT_S
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=_QUEUE, max_export_batch_size=_BATCH)
        )
        self._tracer = self._provider.get_tracer("interview_agent")

    @contextmanager
    def span(
        self, name: str, trace_id: str | None, parent: CallerSpan | None = None
    ) -> Iterator[Span]:
        """Record what happens in the block; of an exception only its type is kept."""
        span = self._started(name, trace_id, parent)
        try:
            yield _OtlpSpan(span)
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what is left; takes as long as one try to send."""
        self._provider.shutdown()

    def _started(self, name: str, trace_id: str | None, parent: CallerSpan | None) -> SdkSpan:
        wanted = int(trace_id, 16) if trace_id else None
        context, kind = Context(), SpanKind.CONSUMER
        if parent is not None and wanted is not None:
            flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
            theirs = SpanContext(wanted, int(parent.span_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(theirs), context)
        token = _wanted.set(wanted)
        try:
            return self._tracer.start_span(name, context, kind=kind)
        finally:
            _wanted.reset(token)

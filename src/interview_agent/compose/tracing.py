"""Where the spans of a process go."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.domain.errors import StartupError
from interview_agent.ports.spans import NoSpans

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.ports.spans import Spans
    from interview_agent.settings import Settings


def open_spans(settings: Settings, stack: AsyncExitStack) -> Spans:
    """Return spans that go to the collector, if one is set and wanted. Raises `StartupError`."""
    if not settings.otel_enabled or settings.otel_exporter_otlp_endpoint is None:
        return NoSpans()
    try:
        # The libraries of the extra `tracing` may be absent.
        from interview_agent.adapters.otlp import OtlpSpans  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = (
            "OTEL_EXPORTER_OTLP_ENDPOINT needs libraries that are not installed: pip install"
            " 'interview-agent[tracing]', or set OTEL_ENABLED=false"
        )
        raise StartupError(message) from error
    spans = OtlpSpans(settings.otel_exporter_otlp_endpoint)
    stack.push_async_callback(partial(asyncio.to_thread, spans.close))
    return spans

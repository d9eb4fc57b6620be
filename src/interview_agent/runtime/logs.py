"""Structured logs: one object a line, with what the context binds."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    structlog.processors.EventRenamer("msg"),
)


def _drop_none(_logger: object, _method: str, event: Any) -> Any:
    return {key: value for key, value in event.items() if value is not None}


def configure_logs(*, level: str, form: str) -> None:
    """Send our logs and those of libraries to standard error in the same form.

    `form` is `json` or `text`; `level` a name of `logging`.
    """
    shared = (*_SHARED, _drop_none)
    renderer: tuple[Any, ...] = (
        (
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        )
        if form == "json"
        else (
            structlog.dev.ConsoleRenderer(
                event_key="msg",
                timestamp_key="ts",
                colors=False,
                # The usual one shows the values of variables, secrets among them.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(shared),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("faster_whisper", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""Routes for the machine room: is it alive, can it work, what does it measure."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from interview_agent import metrics as meters
from interview_agent.domain.policy import Need
from interview_agent.web.parts import PROBES, Probe, Readiness
from interview_agent.web.route import OpenRoute, json_response
from interview_agent.web.schemas_answers import Alive, ReadyAnswer

READINESS_PATIENCE_S = 2.0

_log = structlog.get_logger(__name__)


async def health(_: web.Request) -> web.Response:
    """Say that the event loop runs; no dependency is asked."""
    return json_response({"ok": True})


async def _asked(probe: Probe) -> Readiness:
    try:
        async with asyncio.timeout(READINESS_PATIENCE_S):
            return await probe()
    except TimeoutError:
        return Readiness(ready=False, issues=("readiness_timeout",))
    except Exception:  # noqa: BLE001 - a probe that breaks means "not ready", and is logged
        _log.exception("readiness_probe_failed")
        return Readiness(ready=False, issues=("readiness_failed",))


async def ready(request: web.Request) -> web.Response:
    """Say whether this process can do its work now."""
    state = await _asked(request.app[PROBES].readiness)
    content = {"ready": state.ready, "issues": list(state.issues)}
    return json_response(content, status=200 if state.ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Return the exposition text."""
    response = web.Response(body=request.app[PROBES].metrics.render().encode())
    response.headers["Content-Type"] = meters.CONTENT_TYPE
    return response


SERVICE_ROUTES: tuple[OpenRoute, ...] = (
    OpenRoute("/health", health, "Is the process alive", Alive),
    OpenRoute("/ready", ready, "Can the process do its work now", ReadyAnswer, also=(503,)),
    OpenRoute(
        "/metrics", metrics, "Prometheus metrics", media_type="text/plain", need=Need.METRICS
    ),
)
"""The routes that every role serves."""

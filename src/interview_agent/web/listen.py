"""Binding an application to an address."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

_SHUTDOWN_TIMEOUT_S = 5.0
_KEEPALIVE_TIMEOUT_S = 75.0


async def listen(app: web.Application, stack: AsyncExitStack, *, host: str, port: int) -> str:
    """Serve `app` until `stack` closes and return its address; port 0 takes a free one.

    Raises `StartupError` when the address cannot be had.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} of {host} is in use; stop what listens there or set another"
        else:
            message = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise StartupError(message) from error
    bound = runner.addresses[0]
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return f"http://{shown}:{bound[1]}"

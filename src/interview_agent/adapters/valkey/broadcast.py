"""Signals to listeners on Redis or Valkey pub/sub, one channel for each meeting."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import structlog

from interview_agent.adapters.valkey.connection import FAULTS, connect, to_the_end
from interview_agent.domain.live import Signal, from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.client import PubSub

CHANNEL_PREFIX = "ws:"
_IDLE_CHANNEL = CHANNEL_PREFIX
"""A channel of no meeting; subscribing to it again asks the server for a sign of life."""

_OUTGOING = 1_000
_BATCH = 100
_MAX_MESSAGE_CHARS = 256 * 2**10
_PUBLISH_TIMEOUT_S = 0.2
_SUBSCRIBE_TIMEOUT_S = 5.0
_READ_S = 1.0
_ASK_EVERY_S = 5.0
_SILENCE_S = 12.0
_PAUSE_AFTER_FAILURE_S = 1.0

log = structlog.get_logger(__name__)


def _signal_of(text: str) -> Signal | None:
    if len(text) > _MAX_MESSAGE_CHARS:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return from_wire(value) if isinstance(value, dict) else None


class ValkeyBroadcast:
    """Implements `ports.broadcast.Broadcast`; `run_publisher` and `run_listener` are its loops.

    However many meetings are listened to, a process has one connection for it. `on_failure` is
    called for each signal that found no room and each fault of the server.
    """

    def __init__(self, url: str, *, on_failure: Callable[[], None]) -> None:
        self._publisher = connect(url, timeout_s=_PUBLISH_TIMEOUT_S)
        self._subscriber = connect(url, timeout_s=_SUBSCRIBE_TIMEOUT_S, text=True)
        self._on_failure = on_failure
        self._outgoing: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_OUTGOING)
        self._listeners: dict[str, dict[object, Callable[[Signal], None]]] = {}
        self._changed = asyncio.Event()
        self._heard_at = 0.0

    def publish(self, meeting_id: str, signal: Signal) -> None:
        """Leave a signal without waiting."""
        text = json.dumps(to_wire(signal), ensure_ascii=False, separators=(",", ":"))
        try:
            self._outgoing.put_nowait((CHANNEL_PREFIX + meeting_id, text))
        except asyncio.QueueFull:
            self._on_failure()

    def listen(self, meeting_id: str, deliver: Callable[[Signal], None]) -> Callable[[], None]:
        """Call `deliver` for each signal until the returned function is called."""
        channel, key = CHANNEL_PREFIX + meeting_id, object()
        self._listeners.setdefault(channel, {})[key] = deliver
        self._changed.set()

        def stop() -> None:
            listeners = self._listeners.get(channel, {})
            listeners.pop(key, None)
            if not listeners:
                self._listeners.pop(channel, None)
                self._changed.set()

        return stop

    async def run_publisher(self) -> None:
        """Publish what was left by `publish`, for ever."""
        while True:
            batch = [await self._outgoing.get()]
            while len(batch) < _BATCH and not self._outgoing.empty():
                batch.append(self._outgoing.get_nowait())
            pipeline = self._publisher.pipeline(transaction=False)
            for channel, text in batch:
                pipeline.publish(channel, text)
            try:
                await to_the_end(pipeline.execute())
            except FAULTS as error:
                self._on_failure()
                log.warning("signals_not_published", cause=type(error).__name__)
                self._forget_outgoing()
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    def _forget_outgoing(self) -> None:
        # A caption that comes late is worth nothing, and what is durable is found by polling.
        while not self._outgoing.empty():
            self._outgoing.get_nowait()

    async def run_listener(self) -> None:
        """Deliver what comes for the meetings that are listened to, for ever."""
        while True:
            pubsub = self._subscriber.pubsub()
            try:
                await self._receive(pubsub)
            except* FAULTS as faults:
                self._on_failure()
                log.warning("signals_not_received", cause=type(faults.exceptions[0]).__name__)
            finally:
                await to_the_end(pubsub.aclose())  # type: ignore[no-untyped-call]
            await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    async def _receive(self, pubsub: PubSub) -> None:
        await to_the_end(pubsub.subscribe(_IDLE_CHANNEL))
        self._heard_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_subscribed(pubsub))
            group.create_task(self._read(pubsub))

    async def _keep_subscribed(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._listeners)
            if missing := wanted - subscribed:
                await to_the_end(pubsub.subscribe(*missing))
            if unwanted := subscribed - wanted:
                await to_the_end(pubsub.unsubscribe(*unwanted))
            subscribed = wanted
            try:
                async with asyncio.timeout(_ASK_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                await self._ask_for_a_sign_of_life(pubsub)

    async def _ask_for_a_sign_of_life(self, pubsub: PubSub) -> None:
        # A connection that was cut without a word looks like one on which nothing is said.
        if time.monotonic() - self._heard_at > _SILENCE_S:
            message = "the server is silent"
            raise TimeoutError(message)
        await to_the_end(pubsub.subscribe(_IDLE_CHANNEL))

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message: dict[str, Any] | None = await to_the_end(pubsub.get_message(timeout=_READ_S))
            if message is None:
                continue
            self._heard_at = time.monotonic()
            if message["type"] == "message":
                self._deliver(message["channel"], message["data"])

    def _deliver(self, channel: str, text: str) -> None:
        listeners = self._listeners.get(channel)
        signal = _signal_of(text) if listeners else None
        if listeners and signal is not None:
            for deliver in tuple(listeners.values()):
                deliver(signal)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._publisher.aclose()
        await self._subscriber.aclose()

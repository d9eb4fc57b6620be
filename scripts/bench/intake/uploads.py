"""Chunks over HTTP, on a fixed schedule or as fast as they are answered."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from intake.load import CHUNK_BYTES, Load, Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

_OK = 200
_ANSWER_TIMEOUT_S = 30.0
_REOPEN_S = 0.1


class Answer(NamedTuple):
    """The status of an answer; whether it says when to come back; whether the connection ends."""

    status: int
    says_when: bool
    closes: bool


def read_head(head: bytes) -> tuple[Answer, int]:
    """Return what the head of an answer says, and the length of its body in bytes."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    answer = Answer(
        int(first.split(" ", 2)[1]),
        "retry-after" in fields,
        fields.get("connection", "").lower() == "close",
    )
    return answer, int(fields.get("content-length", "0"))


class Connection:
    """One connection that is kept open, and the meeting that it fills."""

    def __init__(self, load: Load, meeting_id: str, content_b64: bytes) -> None:
        where = urlsplit(load.address)
        self._host, self._port = where.hostname, where.port
        self._head = (
            f"POST /v1/meetings/{meeting_id}/chunks HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"X-API-Key: {load.key}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._content_b64 = content_b64
        self._next_seq = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def post(self) -> Answer:
        """Send the next chunk. Raises `OSError` or `EOFError` when the connection breaks."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        before = b'{"seq":%d,"codec":"pcm","content_b64":"' % self._next_seq
        size_bytes = len(before) + len(self._content_b64) + 2
        self._next_seq += 1
        self._writer.writelines(
            [self._head, b"%d\r\n\r\n" % size_bytes, before, self._content_b64, b'"}']
        )
        answer, length_bytes = read_head(await self._reader.readuntil(b"\r\n\r\n"))
        await self._reader.readexactly(length_bytes)
        if answer.closes:
            self.close()
        return answer

    def close(self) -> None:
        """Let the connection go; the next chunk opens another."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


async def send_uploads(load: Load) -> Outcome:
    """Send for as long as the load says, and return what was answered."""
    content_b64 = base64.b64encode(os.urandom(CHUNK_BYTES))
    outcome = Outcome(began_s=time.monotonic())
    # Whoever is free takes the next moment, so that at most `count` requests are under way.
    moments_s = iter(_moments_s(load, outcome.began_s))
    work = [
        asyncio.create_task(
            _send_in_turn(Connection(load, meeting_id, content_b64), moments_s, outcome)
        )
        for meeting_id in load.meetings
    ]
    await asyncio.wait(work, timeout=load.seconds + load.drain_s)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    outcome.acks += [Sample(due_s, None) for due_s in moments_s if load.per_s]
    outcome.ended_s = time.monotonic()
    return outcome


def _moments_s(load: Load, begin_s: float) -> Iterator[float]:
    if load.per_s:
        yield from (begin_s + at / load.per_s for at in range(int(load.per_s * load.seconds)))
        return
    while (now_s := time.monotonic()) < begin_s + load.seconds:
        yield now_s


async def _send_in_turn(
    connection: Connection, moments_s: Iterator[float], outcome: Outcome
) -> None:
    try:
        for due_s in moments_s:
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                outcome.late_ms.append((time.monotonic() - due_s) * 1000)
            await _send_one(connection, due_s, outcome)
    finally:
        connection.close()


async def _send_one(connection: Connection, due_s: float, outcome: Outcome) -> None:
    took_ms = None
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            answer = await connection.post()
    except (OSError, EOFError) as error:
        connection.close()
        outcome.refusals[type(error).__name__] += 1
        await asyncio.sleep(_REOPEN_S)
    else:
        if answer.status == _OK:
            took_ms = (time.monotonic() - due_s) * 1000
        else:
            when = "" if answer.says_when else " without Retry-After"
            outcome.refusals[f"{answer.status}{when}"] += 1
    finally:
        outcome.acks.append(Sample(due_s, took_ms))

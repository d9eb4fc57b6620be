"""A TCP proxy that breaks connections in the middle of whatever they carry."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from yarl import URL

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_READ_BYTES = 4096


@dataclass(frozen=True)
class Cut:
    """Where a connection breaks: after a time or so many bytes of a direction, whatever is first.

    `with_reset` makes it a reset, which a peer notices otherwise than an orderly end.
    """

    after_s: float
    up_bytes: int
    down_bytes: int
    with_reset: bool


def random_cuts(chance: random.Random) -> Callable[[], Cut]:
    """Return cuts within 1.2 s, 250 kB of audio or 20 kB of answers, from the handshake on."""

    def cut() -> Cut:
        return Cut(
            chance.uniform(0.0, 1.2),
            chance.randrange(250_000),
            chance.randrange(20_000),
            chance.random() < 0.5,
        )

    return cut


@dataclass(eq=False)
class _Pipe:
    """One connection of a client and the one behind it."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def close(self, *, with_reset: bool) -> None:
        for writer in self.writers:
            if with_reset:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class CuttingProxy:
    """Passes TCP connections on to `target` and breaks each where `plan` says.

    While `plan` is None nothing is broken but by `cut`.
    """

    def __init__(self, target: str, plan: Callable[[], Cut] | None = None) -> None:
        self._target = URL(target)
        self.plan = plan
        self.cuts = 0
        self.connections = 0
        self._pipes: set[_Pipe] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break every connection now."""
        for pipe in list(self._pipes):
            for task in pipe.tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        cut = self.plan() if self.plan else None
        pipe = _Pipe(writers=[writer])
        self._pipes.add(pipe)
        try:
            behind = await asyncio.open_connection(self._target.host, self._target.port)
            pipe.writers.append(behind[1])
            pipe.tasks = [
                asyncio.create_task(_pass_on(reader, behind[1], cut.up_bytes if cut else None)),
                asyncio.create_task(_pass_on(behind[0], writer, cut.down_bytes if cut else None)),
            ]
            await asyncio.wait(
                pipe.tasks,
                timeout=cut.after_s if cut else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except OSError:
            pass
        finally:
            self.cuts += cut is not None
            self._pipes.discard(pipe)
            pipe.close(with_reset=bool(cut and cut.with_reset))
            for task in pipe.tasks:
                task.cancel()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most_bytes: int | None
) -> None:
    """Pass on until the end, or until so many bytes went through."""
    left = most_bytes if most_bytes is not None else 1 << 62
    with contextlib.suppress(OSError):
        while left > 0 and (received := await reader.read(_READ_BYTES)):
            writer.write(received[:left])
            left -= len(received)
            await writer.drain()

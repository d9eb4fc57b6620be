"""The embedded Valkey: wake-ups and live partials, nothing that must survive."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from interview_agent.adapters.embedded import leftovers
from interview_agent.adapters.embedded.spawn import Child, Launch, spawn

if TYPE_CHECKING:
    from interview_agent.adapters.embedded.binaries import ServerBinaries
    from interview_agent.adapters.embedded.folder import StateFolder
    from interview_agent.adapters.embedded.identity import Identity

SOCKET = "valkey.sock"

# PostgreSQL is the truth, so nothing is written to disk; a full memory refuses writes rather than
# dropping entries behind the consumers' backs.
CONFIGURATION = """\
port 0
unixsocket valkey.sock
unixsocketperm 600
requirepass {password}
daemonize no
logfile ""
loglevel notice
always-show-logo no
save ""
appendonly no
maxmemory 64mb
maxmemory-policy noeviction
"""


class ValkeyServer:
    """Valkey on a unix socket in the folder of sockets."""

    name = "valkey"
    stop_steps = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    def __init__(
        self,
        binaries: ServerBinaries,
        folder: StateFolder,
        identity: Identity,
        *,
        sockets_fd: int,
        password: str,
    ) -> None:
        self._binaries = binaries
        self._folder = folder
        self._identity = identity
        self._sockets_fd = sockets_fd
        self._password = password

    @property
    def url(self) -> str:
        """Its address, good inside this process only: it goes through our own descriptor."""
        return f"unix://:{self._password}@/proc/self/fd/{self._sockets_fd}/{SOCKET}?db=0"

    async def launch(self) -> Child:
        """Start the server; its configuration goes in by stdin, so that no argument shows it."""
        leftovers.remove(self._sockets_fd, [SOCKET])
        launch = Launch(
            self.name,
            [str(self._binaries.valkey), "-"],
            self._sockets_fd,
            stdin=CONFIGURATION.format(password=self._password).encode(),
            death_signal=signal.SIGKILL,
        )
        return await spawn(launch, self._folder, self._identity)

    async def answers(self) -> bool:
        """Whether a PING was answered.

        Spoken by hand, since the client library swallows a cancellation that meets it while it
        closes, and the watch over this server is ended by cancelling it.
        """
        path = f"/proc/self/fd/{self._sockets_fd}/{SOCKET}"
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                    replies = [await reader.readline(), await reader.readline()]
                finally:
                    writer.close()
        except OSError:
            return False
        return replies == [b"+OK\r\n", b"+PONG\r\n"]

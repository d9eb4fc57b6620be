"""Tracks that are numbered by frames: who may write them now, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class NewLiveSession:
    """A socket that wants to send a track; `session_id` is a random name of this attempt.

    `owner` and `any_owner` are those of `NewChunk`.
    """

    meeting_id: str
    owner: str
    track: str
    session_id: str
    codec: str
    sample_rate: int
    channels: int
    language: str | None = None
    any_owner: bool = False


@dataclass(frozen=True, slots=True)
class LiveSession:
    """The right of one socket to write a track, until another one opens it.

    `next_frame` is the first frame that is not durable yet, `next_seq` the number of the chunk it
    will be part of, `size_bytes` the audio that is durable.
    """

    meeting_id: str
    track: str
    session_id: str
    codec: str
    sample_rate: int
    channels: int
    next_frame: int
    next_seq: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LiveCapacity:
    """Streams that all workers can caption together, and streams that are open now.

    `capacity` is None while no worker has told how much it can do.
    """

    capacity: float | None
    open_streams: int


class LiveSessions(Protocol):
    """Rows of live sessions. All methods raise `DatabaseError`."""

    async def open(self, new: NewLiveSession) -> LiveSession:
        """Open a track for this socket, taking it from the socket that had it.

        The meeting is opened for the caller where nobody started it, and takes the language where
        it has none; a session that goes on keeps its frames. Raises `Conflict` (somebody else's
        meeting; a track that is numbered by seq; another codec, rate or number of channels than
        before), `MeetingGone` and `ConsentDenied`.
        """
        ...

    async def resume(
        self, meeting_id: str, owner: str | None, track: str, session_id: str
    ) -> LiveSession:
        """Open a track of a meeting of `owner` (None: of anybody) again as it was.

        Raises `NotFound`, `ConsentDenied`.
        """
        ...

    async def hold(self, sessions: Sequence[LiveSession], hold_s: float) -> list[LiveSession]:
        """Hold the meetings open for `hold_s` from now; return the sessions taken by others.

        A session that was stopped meanwhile stays so.
        """
        ...

    async def stop(self, session: LiveSession) -> None:
        """Let go of the meeting; harmless when another socket has the track by now."""
        ...

    async def is_open(self, meeting_id: str, track: str) -> bool:
        """Say whether a socket holds this track, or did until a moment ago."""
        ...

    async def capacity(self) -> LiveCapacity:
        """Return how much is captioned and can be; split channels are a stream each."""
        ...

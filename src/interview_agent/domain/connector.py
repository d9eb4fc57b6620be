"""Words of the connector: how far a session with a meeting platform is, and why it ended."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

REJOIN_WINDOW_S = 600.0
"""Rejoins that nobody asked for are counted over so long."""

REJOIN_BUDGET = 5
"""Most of them in that time."""

_FIRST_PAUSE_S = 15.0


class SessionState(StrEnum):
    """How far the bot is that a gateway sent into a meeting.

    `requested` is ours alone: it was asked for and no gateway has answered yet.
    """

    REQUESTED = "requested"
    JOINING = "joining"
    LOBBY = "lobby"
    IN_ROOM = "in_room"
    ACTIVE = "active"
    INTERRUPTED = "interrupted"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def connected(self) -> bool:
        """Whether the bot is in the room, with or without sound at the moment."""
        return self in (SessionState.IN_ROOM, SessionState.ACTIVE, SessionState.INTERRUPTED)

    @property
    def alive(self) -> bool:
        """Whether a bot may still be about: in the room or on its way."""
        return self not in (SessionState.ENDED, SessionState.FAILED)


class EndReason(StrEnum):
    """Why a session is over, as gateways say it; what they say beyond these is `unknown`."""

    LEFT = "left"
    CALL_ENDED = "call_ended"
    REMOVED_BY_HOST = "removed_by_host"
    ADMISSION_DENIED = "admission_denied"
    ADMISSION_TIMEOUT = "admission_timeout"
    MEETING_NOT_FOUND = "meeting_not_found"
    BAD_PASSWORD = "bad_password"  # noqa: S105 - a reason, not a secret
    GUESTS_DISABLED = "guests_disabled"
    CAPACITY_EXCEEDED = "capacity_exceeded"
    NO_MEDIA = "no_media"
    BLOCKED = "blocked"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def may_rejoin(self) -> bool:
        """Whether sending a bot once more can help; never against the will of the meeting."""
        return self in (
            EndReason.CAPACITY_EXCEEDED,
            EndReason.NO_MEDIA,
            EndReason.LOST,
            EndReason.UNKNOWN,
        )


def may_rejoin_now(rejoins: Sequence[datetime], now: datetime) -> bool:
    """Whether another rejoin is within the budget; the pause after each is twice the one before.

    `rejoins` are the times of those within `REJOIN_WINDOW_S`, the oldest first.
    """
    if not rejoins:
        return True
    pause = timedelta(seconds=_FIRST_PAUSE_S * 2 ** (len(rejoins) - 1))
    return len(rejoins) < REJOIN_BUDGET and now >= rejoins[-1] + pause

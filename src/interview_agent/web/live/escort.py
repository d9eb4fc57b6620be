"""What an admitted caller may go on to do on a socket, judged and recorded message by message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.identity import Kind
from interview_agent.domain.policy import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.domain.errors import AgentError
    from interview_agent.domain.identity import Identity
    from interview_agent.web.gate import Gate, Visit

EVENT_NEEDS: Mapping[str, Need] = {
    "audio.chunk": Need.MEETING_WRITE,
    "session.start": Need.MEETING_WRITE,
    "session.resume": Need.MEETING_WRITE,
    "session.stop": Need.MEETING_WRITE,
    "meeting.finish": Need.MEETING_WRITE,
    "session.subscribe": Need.MEETING_READ,
    "ping": Need.OPEN,
}
"""What each message of a client needs, for the meeting that it names."""


def need_of(event_type: str, contour: Kind) -> Need:
    """Return what a message needs; on the internal contour what opened it is enough for all."""
    need = EVENT_NEEDS[event_type]
    if contour is Kind.SERVICE and need is not Need.OPEN:
        return Need.SOCKET_INTERNAL
    return need


class Escort:
    """Goes with one socket of `caller`, who was let in at `contour`."""

    def __init__(self, gate: Gate, visit: Visit, caller: Identity, contour: Kind) -> None:
        self.caller = caller
        self._gate = gate
        self._visit = visit
        self._contour = contour

    def judge(self, event_type: str) -> str:
        """Return the reason why the caller may send this. Raises `Forbidden`."""
        return self._gate.judge(self.caller, need_of(event_type, self._contour))

    def done(self, event_type: str, reason: str, meeting_id: str | None) -> None:
        """Record what was done: what changed a meeting, and everything that a service did."""
        need = EVENT_NEEDS[event_type]
        if meeting_id is None or need is Need.OPEN:
            return
        if need is Need.MEETING_WRITE or self.caller.is_service:
            often = event_type == "audio.chunk" or not self.caller.is_service
            self._gate.acted(self._visit, reason, meeting_id, often=often)

    def refused(self, error: AgentError, meeting_id: str | None) -> None:
        """Record a message that turned the caller away."""
        self._gate.refused(self._visit, error, meeting_id)

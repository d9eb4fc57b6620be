"""Captions: advances one track while its audio comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.route import Stage
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable


class LiveStage:
    """Implements `ports.work.StageHandler`."""

    stage = Stage.LIVE

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:  # noqa: ARG002
        """Caption the track as long as audio comes."""
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Leave the track to the hearing of the whole recording."""
        return False

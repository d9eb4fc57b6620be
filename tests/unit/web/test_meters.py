"""What the API counts of sockets is shown before it is counted."""

from __future__ import annotations

import inspect

from interview_agent.domain.errors import AgentError, ConnectionLost, FrameRefused, sockets
from interview_agent.metrics import Metrics
from interview_agent.web.meters import show_audio_meters

NEVER_TOLD = {AgentError, ConnectionLost, FrameRefused}
"""What others are made of, and what a client tells itself."""


def test_every_error_of_a_socket_is_shown_before_it_is_told() -> None:
    metrics = Metrics("api")
    show_audio_meters(metrics)
    shown = metrics.render()
    told = {
        each
        for _, each in inspect.getmembers(sockets, inspect.isclass)
        if issubclass(each, AgentError)
    } - NEVER_TOLD
    assert [
        each.code
        for each in told
        if f'agent_socket_errors_total{{code="{each.code}"}} 0' not in shown
    ] == []
    assert len(told) > 5

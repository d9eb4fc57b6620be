"""The list of all meters."""

from __future__ import annotations

from interview_agent.metrics import connector, live, process, requests, speech, work
from interview_agent.metrics.meter import Meter

METERS: tuple[Meter, ...] = tuple(
    meter
    for subject in (requests, work, live, speech, connector, process)
    for meter in vars(subject).values()
    if isinstance(meter, Meter)
)
"""Everything that a scrape can show, by subject."""

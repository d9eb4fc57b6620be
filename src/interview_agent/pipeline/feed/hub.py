"""One meeting that is listened to: its newest changes, kept once for all its listeners."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from interview_agent.domain.lens import Lens
from interview_agent.domain.live import Alert, AlertCode, Nudge, Partial, Signal
from interview_agent.domain.meeting import meeting_status
from interview_agent.domain.pii.disclosure import masked_among
from interview_agent.domain.text.enhancement import quality_of
from interview_agent.domain.transcript import Segment, TranscriptEvent
from interview_agent.pipeline.feed.items import (
    AlertShown,
    PartialShown,
    Retracted,
    StatusChanged,
    Updated,
)
from interview_agent.pipeline.feed.transcript_copy import TranscriptCopy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from interview_agent.domain.meeting import Meeting, StageView
    from interview_agent.ports.archive import MeetingListItem, MeetingView

_TAIL_EVENTS = 64
_MAX_TRACKS = 100

Logged = Updated | Retracted


@dataclass(slots=True, eq=False)
class Listener:
    """Where one listener is: the last event it was told, the last status, the newest signals."""

    masked: bool
    wants_partials: bool
    cursor: int = 0
    told: StatusChanged | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    partials_seen: dict[str, int] = field(default_factory=dict)
    alerts_seen: dict[tuple[str, AlertCode], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Newest:
    """The newest partial of a track under a number that grows, and how each lens shows it."""

    number: int
    partial: Partial
    shown: dict[bool, PartialShown] = field(default_factory=dict)


class Hub:
    """What all listeners of one meeting share; `wake` is called when its rows are to be read.

    Memory is bounded: the last events, one partial for each track, one alert for each of its
    codes, and a light copy of the transcript.
    """

    def __init__(
        self,
        meeting_id: str,
        *,
        wake: Callable[[], None],
        on_partials_dropped: Callable[[int], None],
    ) -> None:
        self.meeting_id = meeting_id
        self.listeners: set[Listener] = set()
        self.loading = asyncio.Lock()
        self.meeting: Meeting | None = None
        self.event = 0
        self.dirty = False
        self.looked_at = 0.0
        self.gone = False
        self._wake = wake
        self._on_partials_dropped = on_partials_dropped
        self._status: StatusChanged | None = None
        self._hints: dict[str, str | None] = {}
        self._lenses: dict[bool, Lens] = {}
        self._copy = TranscriptCopy()
        self._tail: deque[tuple[int, dict[bool, Logged]]] = deque(maxlen=_TAIL_EVENTS)
        self._partials: dict[str, _Newest] = {}
        self._alerts: dict[tuple[str, AlertCode], tuple[int, Alert]] = {}

    def load(self, view: MeetingView, segments: Sequence[Segment]) -> None:
        """Begin where the meeting stands: `segments` are those of `view`, or newer."""
        self.see(view)
        self.meeting = view.meeting
        self.event = view.meeting.event
        self._copy = TranscriptCopy(segments)
        self._set_status(view.meeting, view.stages)

    def is_of(self, meeting: Meeting) -> bool:
        """Whether this is the same meeting still, not another one that took its id."""
        return self.meeting is not None and self.meeting.created_at == meeting.created_at

    def see(self, view: MeetingView) -> None:
        """Note the tracks of the meeting and who speaks on them."""
        self._hints = {track.track: track.speaker_hint for track in view.tracks}
        self._lenses = {
            masked: Lens.of(self._hints, view.meeting.context, masked=masked)
            for masked in (False, True)
        }

    def knows(self, events: Sequence[TranscriptEvent]) -> bool:
        """Whether the speakers of these events are known."""
        return all(event.track in self._hints for event in events)

    def stand(self, item: MeetingListItem) -> None:
        """Note where the meeting stands now that all its events are here."""
        self._set_status(item.meeting, item.stages)
        self._wake_listeners()

    def _set_status(self, meeting: Meeting, stages: Sequence[StageView]) -> None:
        status = meeting_status(meeting, stages)
        self._status = StatusChanged(status, meeting.version, self.event)

    def take_events(self, events: Sequence[TranscriptEvent]) -> None:
        """Follow the next events."""
        wanted = {listener.masked for listener in self.listeners}
        for event in events:
            self._copy.apply(event)
            shown = {masked: self.shown(event, masked=masked) for masked in wanted}
            self._tail.append((event.event, shown))
            self.event = event.event
        self._wake_listeners()

    def shown(
        self,
        event: TranscriptEvent,
        *,
        masked: bool,
        instead: Mapping[str, Segment | None] | None = None,
    ) -> Logged:
        """Return what a listener is told of an event; `instead` as in `TranscriptCopy.near`."""
        if event.segment is None:
            return Retracted(event.event, event.segment_id, event.track)
        segment = self._lenses[masked].named(event.segment)
        if masked:
            segment = masked_among(segment, self._copy.near(segment, instead))
        stood = event.segment
        quality = quality_of(stood.raw_text, stood.text) if event.enhanced else None
        return Updated(event.event, segment, quality)

    def tail_after(self, listener: Listener) -> list[Logged] | None:
        """Return what the listener was not told yet; None when it is more than is kept here."""
        missing = [shown for event, shown in self._tail if event > listener.cursor]
        if len(missing) != self.event - listener.cursor:
            return None
        items = [shown.get(listener.masked) for shown in missing]
        return None if None in items else [item for item in items if item is not None]

    def status_for(self, listener: Listener) -> StatusChanged | None:
        """Return the status of the meeting if the listener was told another one."""
        now, told = self._status, listener.told
        if now is None or (told and (told.status, told.version) == (now.status, now.version)):
            return None
        listener.told = now
        return now

    def take_signal(self, signal: Signal) -> None:
        """Note what the broadcast says."""
        match signal:
            case Nudge():
                self.dirty = True
                self._wake()
            case Partial():
                self._take_partial(signal)
            case Alert():
                self._take_alert(signal)

    def _take_partial(self, partial: Partial) -> None:
        last = self._partials.get(partial.track)
        crowded = last is None and len(self._partials) >= _MAX_TRACKS
        if crowded or self._copy.outdates(partial):
            self._on_partials_dropped(1)
            return
        self._partials[partial.track] = _Newest(last.number + 1 if last else 1, partial)
        for listener in self.listeners:
            if listener.wants_partials:
                listener.changed.set()

    def _take_alert(self, alert: Alert) -> None:
        key = alert.track, alert.code
        number, _ = self._alerts.get(key, (0, alert))
        if number or len(self._alerts) < _MAX_TRACKS * len(AlertCode):
            self._alerts[key] = number + 1, alert
            self._wake_listeners()

    def signal_for(self, listener: Listener) -> PartialShown | AlertShown | None:
        """Return a signal that the listener was not told yet and that still holds."""
        return self._alert_for(listener) or (
            self._partial_for(listener) if listener.wants_partials else None
        )

    def _alert_for(self, listener: Listener) -> AlertShown | None:
        for key, (number, alert) in self._alerts.items():
            seen = listener.alerts_seen.get(key, 0)
            listener.alerts_seen[key] = number
            # Whoever never heard of it need not hear that it is over.
            if number > seen and (seen or alert.since_s > 0):
                return AlertShown(alert)
        return None

    def _partial_for(self, listener: Listener) -> PartialShown | None:
        for track, newest in self._partials.items():
            seen = listener.partials_seen.get(track, 0)
            if newest.number == seen:
                continue
            listener.partials_seen[track] = newest.number
            outdated = self._copy.outdates(newest.partial)
            overtaken = newest.number - seen - 1 if seen else 0
            if overtaken or outdated:
                self._on_partials_dropped(overtaken + outdated)
            if not outdated:
                return self._shown_partial(newest, masked=listener.masked)
        return None

    def _shown_partial(self, newest: _Newest, *, masked: bool) -> PartialShown:
        if masked not in newest.shown:
            partial = newest.partial
            newest.shown[masked] = (
                self._masked_partial(partial) if masked else PartialShown(partial, partial.text)
            )
        return newest.shown[masked]

    def _masked_partial(self, partial: Partial) -> PartialShown:
        if not partial.words:
            return PartialShown(partial, "")
        growing = Segment(
            meeting_id=self.meeting_id,
            segment_id=partial.segment_id,
            track=partial.track,
            start_s=partial.words[0].start_s,
            end_s=partial.words[-1].end_s,
            raw_text=partial.text,
            text=partial.text,
            words=partial.words,
            is_final=False,
        )
        seen = masked_among(growing, self._copy.near(growing))
        committed = min(partial.committed, len(seen.words))
        return PartialShown(replace(partial, words=seen.words, committed=committed), seen.raw_text)

    def _wake_listeners(self) -> None:
        """Let every listener look."""
        for listener in self.listeners:
            listener.changed.set()

    def end(self) -> None:
        """Tell every listener that the meeting is no more."""
        self.gone = True
        self._wake_listeners()

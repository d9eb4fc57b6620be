"""Captions: advances one track while its audio comes, and holds it as long as it does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from interview_agent.domain.live import Alert, AlertCode, Nudge, Partial
from interview_agent.domain.meeting import Chunk, ChunkState, Consent
from interview_agent.domain.route import Stage
from interview_agent.ports.live_records import LiveCommit, LiveNews, LiveRecords, LiveTrackRecord
from interview_agent.ports.transcriber import AudioPart
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.wake_queue import WakeQueue
    from interview_agent.stt.live_captions import LiveCaptions, LiveStep

_PAGE = 64
"""Most chunks that are read in one look."""
_FAIR_TRIES = 2
"""Claims without progress before a chunk on which the decoder dies is passed over."""
_LATE_S = 4.0
"""Captions later than this are said to be, until they are half as late."""
_CHECKPOINT_EVERY_S = 10.0
"""Sound after which the place is kept though nothing was said."""
_ALERT_EVERY_S = 30.0
"""A trouble that lasts is told again so often."""


@dataclass(frozen=True, slots=True)
class LiveTimes:
    """How long things last, in seconds.

    New chunks are looked for every `poll_s`. What was heard stands when no chunk came for
    `stall_s`. The track is let go after `idle_s`, one that brought nothing at all after `stall_s`.
    """

    poll_s: float = 0.3
    stall_s: float = 2.0
    idle_s: float = 10.0


class OpenCaptions(Protocol):
    """Makes the captions of a track from where they stand.

    A `language` of None is detected; with `forgiving` a chunk on which the decoder dies is passed
    over.
    """

    def __call__(
        self, checkpoint: dict[str, Any] | None, *, language: str | None, forgiving: bool
    ) -> LiveCaptions:
        """Return the captions; nothing is heard yet."""
        ...


@dataclass(frozen=True, slots=True)
class LiveOutlets:
    """Where captions go: rows, signals, hints.

    `on_delay` is told the seconds from the arrival of a sound to its text.
    """

    records: LiveRecords
    broadcast: Broadcast
    wake: WakeQueue
    on_delay: Callable[[float], None]


class LiveStage:
    """Implements `ports.work.StageHandler`.

    `language` is that of meetings which name none, None to detect it.
    """

    stage = Stage.LIVE

    def __init__(
        self,
        outlets: LiveOutlets,
        open_captions: OpenCaptions,
        *,
        language: str | None,
        times: LiveTimes | None = None,
    ) -> None:
        self._outlets = outlets
        self._open_captions = open_captions
        self._language = language
        self._times = times or LiveTimes()
        self._stopping = asyncio.Event()
        self.streams = 0
        """Tracks that are captioned here now."""

    def stop(self) -> None:
        """Let every track go, for other workers to take."""
        self._stopping.set()

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Caption the track until no audio comes any more or the meeting is closed."""
        record = await self._outlets.records.open(claim)
        meeting = record.meeting
        if meeting.consent is Consent.DENIED:
            return Outcome()
        captions = self._open_captions(
            record.checkpoint,
            language=meeting.language_or(self._language),
            forgiving=claim.attempts > _FAIR_TRIES,
        )
        run = _LiveRun(claim, captions, record, self._outlets)
        self.streams += 1
        try:
            async with aclosing(captions):
                return await self._follow(run, alive)
        finally:
            self.streams -= 1

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Leave the track to the hearing of the whole recording."""
        return False

    async def _follow(self, run: _LiveRun, alive: Callable[[], None]) -> Outcome:
        times = self._times
        heard_at, heard_any, flushed = time.monotonic(), False, False
        while not self._stopping.is_set():
            news = await run.news()
            alive()
            if await run.hear(news):
                heard_at, heard_any, flushed = time.monotonic(), True, False
                continue
            silent_s = time.monotonic() - heard_at
            if not flushed and (news.closed or silent_s > times.stall_s):
                await run.flush()
                flushed = True
            let_go_s = times.idle_s if heard_any else times.stall_s
            if flushed and (news.closed or silent_s > let_go_s):
                return Outcome(reached=news.wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(times.poll_s):
                    await self._stopping.wait()
        # What stands is stored; the next worker hears the rest of the window again.
        return Outcome(unfinished=True)


class _LiveRun:
    """One claim's worth of captions of one track."""

    def __init__(
        self, claim: Claim, captions: LiveCaptions, record: LiveTrackRecord, outlets: LiveOutlets
    ) -> None:
        self._claim = claim
        self._captions = captions
        self._growing = record.growing
        self._offset_s = record.offset_s
        self._outlets = outlets
        self._accepted_at: deque[tuple[int, datetime]] = deque(maxlen=4 * _PAGE)
        self._kept_s = captions.heard_s
        self._shown = False
        self._alerted: dict[AlertCode, float] = {}

    async def news(self) -> LiveNews:
        """Look for chunks that were not heard yet."""
        return await self._outlets.records.news(self._claim, self._captions.after_seq, _PAGE)

    async def hear(self, news: LiveNews) -> bool:
        """Hear new chunks and take every step there is; False when there was nothing to hear."""
        parts = _playable(news, self._captions.after_seq)
        for chunk in parts:
            self._accepted_at.append((chunk.seq, chunk.accepted_at))
            if chunk.state is ChunkState.DONE:
                # The meeting was closed in between, and the whole recording heard up to here.
                await self._captions.pass_over(AudioPart.of(chunk))
            else:
                await self._captions.hear(AudioPart.of(chunk))
        self._watch_lag()
        while (step := await self._captions.advance()) is not None:
            await self._take(step)
        self._tell_alerts()
        if self._captions.heard_s - self._kept_s > _CHECKPOINT_EVERY_S:
            await self._commit((), last_grows=False)
        return bool(parts)

    async def flush(self) -> None:
        """Let everything stand that was heard."""
        while (step := await self._captions.flush()) is not None:
            await self._take(step)
        await self._commit((), last_grows=False)

    async def _take(self, step: LiveStep) -> None:
        if step.segments:
            await self._commit(step.segments, last_grows=step.last_grows)
            last_seq = step.segments[-1].last_seq
            accepted = next((at for seq, at in self._accepted_at if seq >= last_seq), None)
            if accepted is not None:
                self._outlets.on_delay((datetime.now(UTC) - accepted).total_seconds())
        shows = bool(step.may_follow)
        if shows or self._shown:
            self._outlets.broadcast.publish(self._claim.meeting_id, self._partial(step))
        self._shown = shows

    def _partial(self, step: LiveStep) -> Partial:
        return Partial(
            track=self._claim.track,
            segment_id=self._growing.segment_id,
            revision=self._growing.revision,
            words=tuple(word.shifted(self._offset_s) for word in (*step.growing, *step.may_follow)),
            committed=len(step.growing),
            last_seq=max(self._captions.after_seq, 0),
            language=self._captions.language,
        )

    async def _commit(self, segments: Sequence[Any], *, last_grows: bool) -> None:
        outlets, meeting_id = self._outlets, self._claim.meeting_id
        commit = LiveCommit(
            segments=tuple(each.shifted(self._offset_s) for each in segments),
            last_grows=last_grows and bool(segments),
            checkpoint=self._captions.checkpoint(),
            heard_s=self._captions.heard_s,
        )
        self._growing = await outlets.records.commit(self._claim, self._growing, commit)
        self._kept_s = self._captions.heard_s
        if segments:
            outlets.broadcast.publish(meeting_id, Nudge())
        if len(segments) > commit.last_grows:
            outlets.wake.notify(Stage.ENHANCER, meeting_id)

    def _watch_lag(self) -> None:
        late_s = self._captions.late_s
        was_late = AlertCode.BACKPRESSURE in self._captions.watch.troubles()
        limit_s = _LATE_S / 2 if was_late else _LATE_S
        self._captions.watch.lag(late_s, too_late=late_s > limit_s)

    def _tell_alerts(self) -> None:
        troubles = self._captions.watch.troubles()
        for code in [each for each in self._alerted if each not in troubles]:
            del self._alerted[code]
            self._tell(code, 0.0)
        for code, since_s in troubles.items():
            told_s = self._alerted.get(code)
            if told_s is None or since_s - told_s >= _ALERT_EVERY_S:
                self._alerted[code] = since_s
                self._tell(code, since_s)

    def _tell(self, code: AlertCode, since_s: float) -> None:
        alert = Alert(self._claim.track, code, round(since_s, 1))
        self._outlets.broadcast.publish(self._claim.meeting_id, alert)


def _playable(news: LiveNews, after_seq: int) -> list[Chunk]:
    """Return the new chunks in order; a hole holds the track until it is given up on.

    That is when the meeting is closed at the latest. The whole hearing has what comes after that.
    """
    found: list[Chunk] = []
    for chunk in news.chunks:
        given_up = news.skips_before is not None and chunk.accepted_at < news.skips_before
        if not (news.closed or given_up) and after_seq >= 0 and chunk.seq != after_seq + 1:
            break
        after_seq = chunk.seq
        if chunk.state is not ChunkState.FAILED:
            found.append(chunk)
    return found

"""The runs of the benchmark: one stream, many streams, and how many are too many."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from captions.delays import GROWTH_S, Delays, committed_words, measure, percentile
from captions.recordings import rotated
from captions.service import ServiceError
from captions.stream import Stream, StreamRefused, open_stream
from captions.words import timed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from captions.recordings import Conversation, Recording
    from captions.service import Service
    from captions.words import TimedWord

COMMITTED_P95_S = 5.0
LOST_SHARE = 0.15
"""Streams that commit so much less of the words than a batch pass hears are not sustained."""
MOST_STREAMS = 64
DONE_TIMEOUT_S = 180.0
SETTLE_S = 1.0


@dataclass
class OneStream:
    """What one stream cost and gave."""

    recording: Recording
    delays: Delays
    committed: list[TimedWord]
    final: list[TimedWord]
    live_cpu_s: float
    finish_cpu_s: float
    finish_took_s: float
    live_peak_mb: float
    peak_mb: float
    most_late_s: float
    errors: list[str]

    @property
    def cpu_per_audio_s(self) -> float:
        """CPU seconds of the live phase for a second of audio."""
        return self.live_cpu_s / self.recording.seconds


@dataclass
class ManyStreams:
    """What so many streams at once cost and gave."""

    count: int
    refused: str | None = None
    delays: list[Delays] = field(default_factory=list)
    expected_share: float = 0.0
    cpu_per_audio_s: float = 0.0
    peak_mb: float = 0.0
    resident_peak_mb: float = 0.0
    most_late_s: float = 0.0
    errors: list[str] = field(default_factory=list)

    def shown_s(self, per_cent: float) -> float | None:
        """Return the percentile of the delays of words first shown, over all streams."""
        return percentile((s for d in self.delays for s in d.shown_s.values()), per_cent)

    def committed_s(self, per_cent: float) -> float | None:
        """Return the percentile of the delays of words committed, over all streams."""
        return percentile((s for d in self.delays for s in d.committed_s.values()), per_cent)

    @property
    def share(self) -> float:
        """The part of the words said that stood in the end."""
        said = sum(each.words for each in self.delays)
        return sum(len(each.committed_s) for each in self.delays) / said if said else 0.0

    @property
    def growth_s(self) -> float:
        """How much the delays grew from the first third to the last, averaged over streams."""
        grown = [each.growth_s for each in self.delays]
        return sum(grown) / len(grown) if grown else 0.0

    @property
    def fault(self) -> str | None:
        """Why so many streams are not sustained; None when they are."""
        p95_s = self.committed_s(95)
        if self.refused:
            return f"refused: {self.refused}"
        if self.errors:
            return "errors: " + ", ".join(sorted(set(self.errors)))
        if p95_s is None or p95_s > COMMITTED_P95_S:
            return "commits are late"
        if self.growth_s > GROWTH_S:
            return "delays grow"
        if self.share < self.expected_share - LOST_SHARE:
            return "words are lost"
        return None


async def one_stream(service: Service, recording: Recording) -> OneStream:
    """Speak one recording, wait for its live text, finish the meeting and wait until it is done."""
    meeting_id = await start_meeting(service, recording.language)
    async with open_stream(service.http, service.address, meeting_id, "main") as stream:
        await stream.start(recording.language)
        begin_s = time.monotonic()
        await stream.speak(recording.samples, begin_s)
        await stream.stop()
        await asyncio.sleep(SETTLE_S)
        captions, finish_s = stream.log.since(begin_s), time.monotonic()
        live_end_s = stream.log.last_commit_s or finish_s
        await stream.finish()
        await _until_done(service, meeting_id)
        done_s = time.monotonic()
    usage = service.usage
    return OneStream(
        recording=recording,
        delays=measure(recording.words, captions),
        committed=committed_words(captions),
        final=await _final_words(service, meeting_id),
        live_cpu_s=usage.cpu_s(begin_s, live_end_s),
        finish_cpu_s=usage.cpu_s(finish_s, done_s),
        finish_took_s=done_s - finish_s,
        live_peak_mb=usage.peak_mb(begin_s, finish_s),
        peak_mb=usage.peak_mb(),
        most_late_s=stream.most_late_s,
        errors=stream.log.errors,
    )


async def many_streams(
    service: Service, conversations: Sequence[Conversation], count: int
) -> ManyStreams:
    """Let `count` tracks speak at the same time, two to a conversation, each begun elsewhere."""
    result = ManyStreams(count)
    pairs = (count + 1) // 2
    streams: list[tuple[Stream, Recording]] = []
    async with contextlib.AsyncExitStack() as sockets:
        try:
            for number in range(pairs):
                spoken = rotated(conversations[number % len(conversations)], number / pairs)
                meeting_id = await start_meeting(service, spoken.tracks[0].language)
                for side, track in enumerate(spoken.tracks[: count - 2 * number]):
                    name = f"speaker-{side}"
                    opening = open_stream(service.http, service.address, meeting_id, name)
                    stream = await sockets.enter_async_context(opening)
                    await stream.start(track.language)
                    streams.append((stream, track))
            await _speak_all(service, streams, result)
        except StreamRefused as refusal:
            result.refused = str(refusal)
    return result


async def _speak_all(
    service: Service, streams: list[tuple[Stream, Recording]], result: ManyStreams
) -> None:
    begin_s = time.monotonic()
    async with asyncio.TaskGroup() as speakers:
        for number, (stream, track) in enumerate(streams):
            # People do not begin their seconds together.
            at_s = begin_s + number / len(streams)
            speakers.create_task(stream.speak(track.samples, at_s))
    end_s = max((s.log.last_commit_s or begin_s for s, _ in streams), default=begin_s)
    spoken_s = sum(track.seconds for _, track in streams)
    result.cpu_per_audio_s = service.usage.cpu_s(begin_s, end_s) / spoken_s
    result.peak_mb = service.usage.peak_mb()
    result.resident_peak_mb = service.usage.resident_peak_mb()
    result.most_late_s = max(stream.most_late_s for stream, _ in streams)
    for stream, track in streams:
        captions = stream.log.since(stream.first_frame_s)
        result.delays.append(await asyncio.to_thread(measure, track.words, captions))
        result.errors += stream.log.errors
    said = sum(len(track.words) for _, track in streams)
    heard = sum(track.batch_share * len(track.words) for _, track in streams)
    result.expected_share = heard / said if said else 0.0


async def most_sustained(
    first: int,
    at_least: int,
    is_sustained: Callable[[int], Awaitable[bool]],
    may_go_on: Callable[[], bool],
) -> int:
    """Return the largest number of streams found to be sustained, by growing and then halving.

    `at_least` is known to be. Even numbers are tried, since conversations have two sides.
    """
    good, bad, trying = at_least, MOST_STREAMS + 2, first
    while good < trying < bad and may_go_on():
        if await is_sustained(trying):
            good = trying
        else:
            bad = trying
        half = (good + bad) // 2
        trying = half if bad <= MOST_STREAMS else min(half, max(good + 2, good * 3 // 2))
        trying -= trying % 2
    return good


async def start_meeting(service: Service, language: str | None) -> str:
    """Begin a meeting and return its id."""
    meeting_id = f"bench-{secrets.token_hex(6)}"
    body = {"meeting_id": meeting_id, "mode": "realtime", "consent": "granted"}
    body |= {"language": language} if language else {}
    await _call(service, "POST", "/v1/meetings/start", json=body)
    return meeting_id


async def _until_done(service: Service, meeting_id: str) -> None:
    deadline_s = time.monotonic() + DONE_TIMEOUT_S
    while time.monotonic() < deadline_s:
        meeting = await _call(service, "GET", f"/v1/meetings/{meeting_id}")
        if meeting["status"] == "done":
            return
        if meeting["status"] == "failed":
            break
        await asyncio.sleep(0.25)
    message = f"a meeting was {meeting['status']} {DONE_TIMEOUT_S:.0f} s after its end"
    raise ServiceError(message)


async def _final_words(service: Service, meeting_id: str) -> list[TimedWord]:
    answer = await _call(service, "GET", f"/v1/meetings/{meeting_id}/segments")
    return [
        word
        for segment in answer["segments"]
        for word in timed((w["text"], w["start"], w["end"]) for w in segment["words"])
    ]


async def _call(service: Service, method: str, path: str, **options: Any) -> Any:
    async with service.http.request(method, service.address + path, **options) as answer:
        if answer.status != 200:
            message = f"{method} {path} was answered with {answer.status}"
            raise ServiceError(message)
        return await answer.json()

"""What a listener is shown of a transcript that grows: order, masking, captions."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from interview_agent.domain.errors import NotFound
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.live import Alert, AlertCode, Nudge, Partial
from interview_agent.domain.meeting import Consent, Meeting, Mode
from interview_agent.domain.transcript import Segment, TranscriptEvent, Word
from interview_agent.pipeline.feed import (
    AlertShown,
    Feed,
    FeedItem,
    PartialShown,
    StatusChanged,
    Updated,
)
from interview_agent.ports.archive import MeetingListItem, MeetingView, TrackView
from local_broadcast import LocalBroadcast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OWNER = Identity("a", "user_api_key", Kind.USER)
SERVICE = Identity("s", "service_api_key", Kind.SERVICE)


def words(text: str, start_s: float = 0.0) -> tuple[Word, ...]:
    return tuple(
        Word(word, start_s + n * 0.5, start_s + n * 0.5 + 0.4)
        for n, word in enumerate(text.split())
    )


def segment(
    segment_id: str, text: str, start_s: float = 0.0, *, track: str = "main", **fields: Any
) -> Segment:
    spoken = words(text, start_s)
    return Segment("m1", segment_id, track, start_s, spoken[-1].end_s, text, text, spoken, **fields)


def partial(
    segment_id: str, text: str, start_s: float = 0.0, *, revision: int = 1, track: str = "main"
) -> Partial:
    return Partial(track, segment_id, revision, words(text, start_s), committed=1, last_seq=0)


class GrowingMeeting:
    """An archive that holds one meeting whose transcript grows."""

    def __init__(self, broadcast: LocalBroadcast) -> None:
        self._broadcast = broadcast
        self._log: list[TranscriptEvent] = []
        self._meeting = Meeting(
            meeting_id="m1",
            owner=OWNER.owner,
            mode=Mode.REALTIME,
            language="ru",
            consent=Consent.GRANTED,
            context={},
            recipients=(),
            created_at=NOW,
            last_audio_at=NOW,
            audio_version=1,
            closed_version=None,
            reported_version=None,
            finish_requested=False,
            version=0,
            event=0,
            expected_last_seq={},
        )

    def write(self, written: Segment | str, track: str = "main") -> None:
        """Commit a segment, or take one back, without telling anybody."""
        event = len(self._log) + 1
        if isinstance(written, str):
            self._log.append(TranscriptEvent(event, written, track, None))
        else:
            stood = replace(written, event=event)
            self._log.append(TranscriptEvent(event, stood.segment_id, stood.track, stood))
        self._meeting = replace(self._meeting, event=event)

    def commit(self, *written: Segment | str) -> None:
        """Commit and nudge."""
        for each in written:
            self.write(each)
        self._broadcast.publish("m1", Nudge())

    async def owner(self, meeting_id: str) -> str:
        if meeting_id != "m1":
            raise NotFound
        return self._meeting.owner

    async def meeting(self, meeting_id: str) -> MeetingView:
        if meeting_id != "m1":
            raise NotFound
        tracks = [TrackView(track, None, None, 0.0) for track in ("left", "main")]
        return MeetingView(self._meeting, tracks, (), (), None, None)

    async def standings(self, meeting_ids: Sequence[str]) -> dict[str, MeetingListItem]:
        return {each: MeetingListItem(self._meeting, ()) for each in meeting_ids}

    async def events(self, meeting_id: str, after: int, limit: int) -> list[TranscriptEvent]:
        assert meeting_id == "m1"
        await asyncio.sleep(0)
        return self._log[after : after + limit]

    async def changes(
        self, after: Mapping[str, int], limit: int
    ) -> dict[str, list[TranscriptEvent]]:
        return {each: await self.events(each, number, limit) for each, number in after.items()}

    async def segments(self, meeting_id: str) -> list[Segment]:
        assert meeting_id == "m1"
        present: dict[str, Segment] = {}
        for event in self._log:
            present.pop(event.segment_id, None)
            if event.segment is not None:
                present[event.segment_id] = event.segment
        return list(present.values())


class Scene:
    """A meeting, its broadcast and a feed that runs."""

    def __init__(self) -> None:
        self.broadcast = LocalBroadcast()
        self.meeting = GrowingMeeting(self.broadcast)
        self.dropped = 0

    def _drop(self, count: int) -> None:
        self.dropped += count

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[Feed]:
        feed = Feed(
            self.meeting,  # type: ignore[arg-type]  # the reads that a feed needs
            self.broadcast,
            pii_masking=True,
            on_partials_dropped=self._drop,
        )
        loop = asyncio.create_task(feed.run())
        try:
            yield feed
        finally:
            assert not loop.done()
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    @asynccontextmanager
    async def listener(
        self, feed: Feed, caller: Identity = OWNER, after: int | None = 0
    ) -> AsyncIterator[AsyncGenerator[FeedItem, None]]:
        """Follow the meeting, the first status already taken."""
        async with aclosing(feed.follow(caller, "m1", after=after, partials=True)) as items:
            assert isinstance(await anext(items), StatusChanged)
            yield items

    def show(self, signal: Partial | Alert) -> None:
        self.broadcast.publish("m1", signal)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def next_update(items: AsyncGenerator[FeedItem, None]) -> Segment:
    async with asyncio.timeout(5):
        item = await anext(items)
    assert isinstance(item, Updated), item
    return item.segment


async def next_caption(items: AsyncGenerator[FeedItem, None]) -> PartialShown:
    async with asyncio.timeout(5):
        item = await anext(items)
    assert isinstance(item, PartialShown), item
    return item


async def test_a_number_over_two_segments_is_hidden_in_the_later_one(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.meeting.commit(segment("s1", "мой номер 8 916"))
        await next_update(items)
        scene.meeting.commit(segment("s2", "123 45 67 звоните", 2.0))
        seen = await next_update(items)
        assert seen.raw_text == "[PHONE] звоните"
        assert "123" not in repr(seen)


async def test_a_service_sees_what_is_hidden_from_users(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed, SERVICE) as items:
        scene.meeting.commit(segment("s1", "номер 8 916 123-45-67"))
        assert (await next_update(items)).raw_text == "номер 8 916 123-45-67"
        scene.show(partial("s2", "8 916 123-45-67", 9.0))
        assert (await next_caption(items)).text == "8 916 123-45-67"


async def test_what_the_final_transcript_hides_is_hidden_when_old_events_are_replayed(
    scene: Scene,
) -> None:
    """The halves of a number were two segments once; the batch pass made one of them."""
    scene.meeting.write(segment("s1", "мой номер 8 916"))
    scene.meeting.write(segment("s2", "123 45 67 звоните", 2.0))
    whole = segment("s1", "мой номер 8 916 123 45 67 звоните", revision=2)
    scene.meeting.write("s2")
    scene.meeting.write(whole)
    for number in range(100):
        scene.meeting.write(segment(f"more-{number}", "и так далее", 100.0 + number))
    async with scene.feed() as feed, scene.listener(feed, after=0) as items:
        await next_update(items)
        assert (await next_update(items)).raw_text == "[PHONE] звоните"
    async with scene.feed() as feed, scene.listener(feed, after=1) as items:
        assert "123" not in repr(await anext(items)), "also for one who has the first half already"


async def test_a_caption_holds_a_number_back_while_it_may_still_become_a_telephone_number(
    scene: Scene,
) -> None:
    spoken = ["звоните", "мне", "8", "916", "123", "45", "67", "после", "шести", "часов", "вечера"]
    async with scene.feed() as feed, scene.listener(feed) as items:
        shown = []
        for length in range(1, len(spoken) + 1):
            scene.show(partial("s1", " ".join(spoken[:length])))
            caption = await next_caption(items)
            shown.append(caption.text)
            shown += [word.text for word in caption.partial.words]
            assert caption.partial.committed <= len(caption.partial.words)
    assert not any(character.isdigit() for text in shown for character in text)
    assert "звоните мне [PHONE] после шести часов вечера" in shown


async def test_a_plain_number_is_shown_once_it_is_followed_by_words(scene: Scene) -> None:
    spoken = ["с", "2019", "года", "я", "работал", "там"]
    async with scene.feed() as feed, scene.listener(feed) as items:
        shown = []
        for length in range(1, len(spoken) + 1):
            scene.show(partial("s1", " ".join(spoken[:length])))
            shown.append((await next_caption(items)).text)
    assert shown == ["с", "с", "с", "с", "с 2019 года я работал", "с 2019 года я работал там"]


async def test_a_segment_that_grows_holds_back_what_its_caption_does(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.meeting.commit(segment("s1", "звоните 8 916 123", is_final=False))
        seen = await next_update(items)
        assert (seen.raw_text, [word.text for word in seen.words]) == ("звоните", ["звоните"])
        scene.meeting.commit(segment("s1", "звоните 8 916 раз", revision=2))
        assert (await next_update(items)).raw_text == "звоните 8 916 раз"


async def test_a_caption_is_masked_together_with_the_segment_before_it(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.meeting.commit(segment("s1", "мой номер 8 916"))
        await next_update(items)
        scene.show(partial("s2", "123 45 67 звоните мне после шести", 2.0))
        assert (await next_caption(items)).text == "[PHONE] звоните мне после шести"


async def test_a_slow_listener_gets_the_newest_caption_of_each_track(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        for track in ("left", "main"):
            scene.show(partial(f"s-{track}", "раз", track=track))
            assert (await next_caption(items)).text == "раз"
        for text in ("раз два", "раз два три", "раз два три четыре"):
            for track in ("left", "main"):
                scene.show(partial(f"s-{track}", text, track=track))
        await asyncio.sleep(0)
        captions = [await next_caption(items), await next_caption(items)]
        assert {caption.partial.track for caption in captions} == {"left", "main"}
        assert {caption.text for caption in captions} == {"раз два три четыре"}
        assert scene.dropped == 4


async def test_a_caption_of_a_segment_that_is_final_or_taken_back_is_not_shown(
    scene: Scene,
) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.meeting.commit(segment("s1", "раз два три"))
        await next_update(items)
        scene.show(partial("s1", "раз два", revision=9))
        scene.meeting.commit("s1", segment("s2", "раз два три четыре"))
        await anext(items)
        await next_update(items)
        scene.show(partial("s1", "раз два", revision=9))
        scene.show(partial("s3", "пять", 9.0))
        assert (await next_caption(items)).text == "пять"
        assert scene.dropped == 2


async def test_a_caption_of_an_older_revision_is_not_shown_after_a_newer_one(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.meeting.commit(segment("s1", "раз два три", revision=5, is_final=False))
        await next_update(items)
        scene.show(partial("s1", "раз", revision=4))
        scene.show(partial("s1", "раз два три четыре", revision=5))
        assert (await next_caption(items)).text == "раз два три четыре"


@pytest.mark.parametrize("seed", range(20))
async def test_no_caption_comes_after_the_final_text_of_its_segment(
    scene: Scene, seed: int
) -> None:
    """Commits, captions late and early, and a listener that dawdles, in any order."""
    chance = random.Random(seed)
    final: set[str] = set()
    revisions: dict[str, int] = {}
    late: list[Partial] = []
    last = 60

    async def speak() -> None:
        for number in range(last):
            segment_id, start_s = f"s{number // 4}", number // 4 * 10.0
            text, revision = "да " * (number % 4 + 1), number % 4 + 1
            caption = partial(segment_id, text, start_s, revision=revision)
            if chance.random() < 0.3:
                late.append(caption)
            else:
                scene.show(caption)
            is_final = number % 4 == 3
            said = segment(segment_id, text, start_s, revision=revision, is_final=is_final)
            (scene.meeting.commit if chance.random() < 0.7 else scene.meeting.write)(said)
            if late and chance.random() < 0.5:
                scene.show(late.pop(chance.randrange(len(late))))
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01)))

    async with scene.feed() as feed, scene.listener(feed) as items:
        speaking = asyncio.create_task(speak())
        told: list[int] = []
        captions = 0
        async with asyncio.timeout(20):
            while len(told) < last:
                item = await anext(items)
                if isinstance(item, Updated):
                    told.append(item.event)
                    revisions[item.segment.segment_id] = item.segment.revision
                    final |= {item.segment.segment_id} if item.segment.is_final else set()
                if isinstance(item, PartialShown):
                    captions += 1
                    assert item.partial.segment_id not in final
                    assert item.partial.revision >= revisions.get(item.partial.segment_id, 0)
                await asyncio.sleep(chance.choice((0, 0, 0.005)))
        await speaking
    assert told == list(range(1, last + 1))


async def test_an_alert_is_told_and_so_is_its_end_to_those_who_heard_of_it(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed) as items:
        scene.show(Alert("main", AlertCode.NO_AUDIO, 5.0))
        assert await anext(items) == AlertShown(Alert("main", AlertCode.NO_AUDIO, 5.0))
        async with scene.listener(feed) as second:
            assert await anext(second) == AlertShown(Alert("main", AlertCode.NO_AUDIO, 5.0))
        over = Alert("main", AlertCode.NO_AUDIO, 0.0)
        scene.show(over)
        assert await anext(items) == AlertShown(over)
        async with scene.listener(feed) as third:
            scene.show(partial("s1", "раз"))
            assert isinstance(await anext(third), PartialShown)


async def test_a_foreign_writer_cannot_fill_the_memory_with_tracks(scene: Scene) -> None:
    async with scene.feed() as feed, scene.listener(feed):
        for number in range(1_000):
            scene.show(partial("s", "x", track=f"t{number}"))
            scene.show(Alert(f"t{number}", AlertCode.NO_AUDIO, 1.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.dropped == 900

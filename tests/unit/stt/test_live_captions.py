"""Chunks of a live track become segments that grow and close, whoever captions them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from caption_twin import CaptionTwin, Said, pcm, script
from interview_agent.domain.errors import StorageError, SttError
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.stt.caption_policy import CaptionPolicy
from interview_agent.stt.live_captions import LiveCaptions
from made_speech import MemoryBlobs, ScriptedDecoder, part_of, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.transcriber import AudioPart
    from interview_agent.stt.live_captions import LiveStep

POLICY = CaptionPolicy()
CHUNK_S = 0.25


def sentences(*pieces: tuple[float, str]) -> list[Said]:
    """Return the words of each text, after a pause in seconds."""
    words = script(*((pause_s, len(text.split())) for pause_s, text in pieces))
    spoken = " ".join(text for _, text in pieces).split()
    return [replace(word, text=text) for word, text in zip(words, spoken, strict=True)]


TALK = sentences(
    (0.5, "Good morning to you all."),
    (0.9, "We begin with a question that has no short answer"),
    (0.8, "and goes on after a breath."),
    (1.3, "No end in sight"),
    (3.0, "Now something else. It comes without a pause. And ends here."),
    (1.2, "Over"),
)


@dataclass
class Page:
    """The transcript of a listener: what is complete, what grows, and what was partial."""

    complete: list[DraftSegment] = field(default_factory=list)
    growing: DraftSegment | None = None
    checkpoints: list[tuple[Page, dict[str, Any]]] = field(default_factory=list)
    steps: list[LiveStep] = field(default_factory=list)

    def take(self, step: LiveStep) -> None:
        self.steps.append(step)
        if not step.segments:
            assert len(step.growing) == (len(self.growing.words) if self.growing else 0)
            return
        if self.growing is not None:
            whole = " ".join(segment.text for segment in step.segments)
            assert whole.startswith(self.growing.text)
        segments = list(step.segments)
        self.growing = segments.pop() if step.last_grows else None
        self.complete += segments
        assert step.growing == (self.growing.words if self.growing else ())

    def copy(self) -> Page:
        return Page(list(self.complete), self.growing)

    @property
    def texts(self) -> list[str]:
        return [segment.text for segment in self.complete]

    @property
    def seqs(self) -> list[tuple[int, int]]:
        return [(segment.first_seq, segment.last_seq) for segment in self.complete]


class Bench:
    """A track of raw samples in chunks, and captions of it."""

    def __init__(self, twin: CaptionTwin, crashes: int = 0) -> None:
        self.twin = twin
        self.blobs = MemoryBlobs()
        self.decoder = ScriptedDecoder(crashes)
        self.parts: tuple[AudioPart, ...] = ()

    async def fill(self, *, chunk_s: float = CHUNK_S, tail_s: float = 3.0) -> None:
        samples, step = int((self.twin.said[-1].end_s + tail_s) * SAMPLE_RATE), 1
        step = int(chunk_s * SAMPLE_RATE)
        chunks = [pcm(at, min(at + step, samples)) for at in range(0, samples, step)]
        self.parts = await store(self.blobs, chunks)

    def captions(self, checkpoint: dict[str, Any] | None = None, **options: Any) -> LiveCaptions:
        return LiveCaptions(
            self.blobs,  # type: ignore[arg-type]  # only `open` is used
            self.decoder,
            self.twin,
            json.loads(json.dumps(checkpoint)),
            language="en",
            policy=POLICY,
            **options,
        )

    async def write(self, page: Page, captions: LiveCaptions, *, flush: bool = True) -> Page:
        """Hear what comes after the last chunk that was heard."""
        for part in self.parts:
            if part.seq > captions.after_seq:
                await captions.hear(part)
                while (step := await captions.advance()) is not None:
                    page.take(step)
                    page.checkpoints.append((page.copy(), captions.checkpoint()))
        while flush and (step := await captions.flush()) is not None:
            page.take(step)
            page.checkpoints.append((page.copy(), captions.checkpoint()))
        await captions.aclose()
        assert self.decoder.open_streams == 0
        return page


async def written(said: Sequence[Said] = TALK, **options: float) -> tuple[Bench, Page]:
    bench = Bench(CaptionTwin(said))
    await bench.fill(**options)
    return bench, await bench.write(Page(), bench.captions())


async def test_segments_close_where_a_sentence_and_a_pause_meet_and_after_a_gap() -> None:
    _, page = await written()
    assert page.texts == [
        "Good morning to you all.",
        "We begin with a question that has no short answer and goes on after a breath.",
        "No end in sight",
        "Now something else.",
        "It comes without a pause.",
        "And ends here.",
        "Over",
    ]
    assert page.growing is None


async def test_a_segment_that_no_sentence_ends_closes_while_the_silence_lasts() -> None:
    """It does not wait for the next word."""
    bench = Bench(CaptionTwin(sentences((0.5, "and then"))))
    await bench.fill(tail_s=1.3)
    page = await bench.write(Page(), bench.captions(), flush=False)
    assert page.texts == ["and then"]


async def test_words_name_the_chunks_that_they_sound_in() -> None:
    _, page = await written()
    for segment, (first, last) in zip(page.complete, page.seqs, strict=True):
        assert first == int(segment.start_s / CHUNK_S)
        assert last == int((segment.end_s - 0.01) / CHUNK_S)


async def test_chunks_of_any_length_give_the_same_segments() -> None:
    _, page = await written()
    for chunk_s in (0.07, 1.0, 30.0):
        _, other = await written(chunk_s=chunk_s)
        assert other.texts == page.texts


async def test_whoever_takes_over_at_any_checkpoint_writes_the_same() -> None:
    """The same words, segments and chunks as without an interruption."""
    bench, page = await written()
    assert len(page.checkpoints) > 10
    for before, checkpoint in page.checkpoints:
        heir = await bench.write(before, bench.captions(checkpoint))
        assert heir.texts == page.texts
        assert heir.seqs == page.seqs
        for one, other in zip(heir.complete, page.complete, strict=True):
            assert abs(one.start_s - other.start_s) < 0.05


async def test_whoever_takes_over_opens_few_chunks_again() -> None:
    bench, page = await written()
    _, checkpoint = page.checkpoints[-1]
    bench.blobs.opened.clear()
    await bench.write(Page(), bench.captions(checkpoint))
    assert len(bench.blobs.opened) <= (POLICY.max_window_s + 1) / CHUNK_S


async def test_what_a_predecessor_heard_does_not_count_as_new() -> None:
    bench, page = await written()
    _, checkpoint = page.checkpoints[-1]
    captions = bench.captions(checkpoint)
    before_s = captions.heard_s
    first = next(part for part in bench.parts if part.seq > captions.after_seq)
    await captions.hear(first)
    assert captions.heard_s - before_s <= CHUNK_S
    assert captions.heard_s >= before_s
    await captions.aclose()


async def test_a_checkpoint_of_another_format_is_not_read() -> None:
    bench, page = await written()
    for unknown in ({"format": 99}, {}, None):
        assert (await bench.write(Page(), bench.captions(unknown))).texts == page.texts


async def spoiled(body: bytes, crashes: int = 0, **options: Any) -> tuple[Bench, LiveCaptions]:
    """Return captions of a track whose second second is a chunk with this body."""
    bench = Bench(CaptionTwin(sentences((0.3, "first"), (2.6, "second one.")), strict=False))
    bench.decoder.crashes = crashes
    await bench.fill(chunk_s=1.0)
    bench.blobs.blobs["blob-1"] = body
    parts = list(bench.parts)
    parts[1] = part_of(1, "blob-1", body)
    bench.parts = tuple(parts)
    return bench, bench.captions(**options)


async def test_a_chunk_that_cannot_be_decoded_is_passed_over() -> None:
    bench, captions = await spoiled(b"bad!")
    page = await bench.write(Page(), captions)
    assert page.texts[0] == "first"
    assert captions.after_seq == bench.parts[-1].seq
    assert captions.heard_s == pytest.approx(bench.parts[-1].seq, abs=1.0)


@pytest.mark.parametrize("left", [None, b"bad!", pcm(0, 16_000)[:-2]])
async def test_a_chunk_that_is_lost_leaves_its_stream_alone(left: bytes | None) -> None:
    """A container would not be understood any more without its beginning."""
    bench, captions = await spoiled(pcm(0, 16_000))
    if left is None:
        del bench.blobs.blobs["blob-1"]
    else:
        bench.blobs.blobs["blob-1"] = left
    for part in bench.parts[:2]:
        await captions.hear(part)
        assert bench.decoder.open_streams == 1
    assert captions.heard_s == pytest.approx(1.0)
    assert (await bench.write(Page(), captions)).texts


async def test_a_decoder_that_dies_fails_the_track_and_another_try_succeeds() -> None:
    bench, captions = await spoiled(b"crash!", crashes=1)
    with pytest.raises(SttError):
        await bench.write(Page(), captions)
    await captions.aclose()
    page = await bench.write(Page(), bench.captions(captions.checkpoint()))
    assert page.texts[0] == "first"


async def test_a_chunk_on_which_every_decoder_dies_is_passed_over_in_the_end() -> None:
    bench, captions = await spoiled(b"crash!", crashes=99, forgiving=True)
    assert (await bench.write(Page(), captions)).texts[0] == "first"


async def test_a_store_that_is_down_fails_the_track() -> None:
    bench, captions = await spoiled(b"")
    bench.blobs.blobs.clear()
    with pytest.raises(StorageError):
        await captions.hear(bench.parts[0])


async def test_chunks_that_were_heard_otherwise_are_not_captioned_again() -> None:
    """Their words are known; those of the next chunks are not."""
    bench, page = await written()
    before, checkpoint = next(
        each for each in page.checkpoints if each[0].complete and each[0].growing is None
    )
    captions = bench.captions(checkpoint)
    known_s = 7.0
    for part in bench.parts:
        if captions.after_seq < part.seq < known_s / CHUNK_S:
            await captions.pass_over(part)
    heir = await bench.write(Page(), captions)
    starts = [segment.start_s for segment in heir.complete]
    assert starts[0] >= known_s
    after = [segment.text for segment in page.complete if segment.start_s >= known_s]
    assert heir.texts[-len(after) :] == after
    assert not set(heir.texts) & {segment.text for segment in before.complete}


async def test_passing_over_chunks_that_were_captioned_already_changes_nothing() -> None:
    bench, page = await written()
    _, checkpoint = page.checkpoints[-1]
    captions = bench.captions(checkpoint)
    for part in bench.parts:
        if part.seq > captions.after_seq:
            await captions.pass_over(part)
    assert await captions.flush() is None
    await captions.aclose()

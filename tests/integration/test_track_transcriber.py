"""The real model hears a track in chunks as plain faster-whisper hears the whole recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest_asyncio

from captions.words import edits
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.stt.track_transcriber import TrackTranscriber
from made_speech import Written, part_of, write_down
from real_speech import Track, heard_words, plain_words, recording, silence

if TYPE_CHECKING:
    from interview_agent.adapters.whisper.model import WhisperSpeechModel
    from interview_agent.ports.transcriber import AudioPart


@pytest_asyncio.fixture
async def blobs(tmp_path: Path) -> LocalFsBlobStore:
    """A folder of its own for each test."""
    store = LocalFsBlobStore(tmp_path / "blobs")
    await store.prepare()
    return store


async def parts_of(blobs: LocalFsBlobStore, track: Track, seconds: float) -> tuple[AudioPart, ...]:
    body, step = track.tobytes(), 2 * int(seconds * 16000)
    parts = []
    for seq, at in enumerate(range(0, len(body), step)):
        part = part_of(seq, f"m/{seconds}-{seq}.bin", body[at : at + step])
        await blobs.put(part.blob_key, body[at : at + step])
        parts.append(part)
    return tuple(parts)


async def test_chunks_give_the_words_of_the_whole_recording(
    speech_model: WhisperSpeechModel, blobs: LocalFsBlobStore
) -> None:
    """Woken up in between, the track ends within a word of faster-whisper, and on its times."""
    track = recording("interview_en.stereo.wav", channel=1)
    transcriber = TrackTranscriber(blobs, ChildDecoder(), speech_model)
    parts = await parts_of(blobs, track, 0.5)
    written = Written()
    for count in (len(parts) // 2, len(parts) - 3):
        await write_down(transcriber, parts[:count], written, closed=False)
    await write_down(transcriber, parts, written)
    expected = plain_words(speech_model, track, "en")
    heard = heard_words(written.segments)
    assert len(expected) > 100
    assert edits([w for w, _, _ in expected], [w for w, _, _ in heard]) <= 1
    pairs = [(a, b) for a, b in zip(expected, heard, strict=False) if a[0] == b[0]]
    near = [max(abs(a[1] - b[1]), abs(a[2] - b[2])) <= 0.25 for a, b in pairs]
    assert sum(near) >= 0.95 * len(pairs)


async def test_speech_that_has_to_be_guessed_is_guessed_the_same_way(
    speech_model: WhisperSpeechModel, blobs: LocalFsBlobStore
) -> None:
    """Where the recogniser falls back to sampling, chunks and wake-ups still change nothing."""
    clip = recording("tone_short.wav")
    pauses = [silence(s) for s in (0.4, 3.0, 0.9)]
    track = np.concatenate([piece for pause in pauses for piece in (clip, pause)])
    whole = await write_down(
        TrackTranscriber(blobs, ChildDecoder(), speech_model),
        await parts_of(blobs, track, 60),
        language="ru",
    )
    transcriber = TrackTranscriber(blobs, ChildDecoder(), speech_model)
    parts = await parts_of(blobs, track, 3)
    written = await write_down(transcriber, parts[:-2], closed=False, language="ru")
    await write_down(transcriber, parts, written, language="ru")
    assert written.text == whole.text
    assert written.text


async def test_short_speech_is_heard_and_its_language_found(
    speech_model: WhisperSpeechModel, blobs: LocalFsBlobStore
) -> None:
    """A few seconds with no language given are Russian, and say what was said."""
    track = recording("tone_short.wav")
    transcriber = TrackTranscriber(blobs, ChildDecoder(), speech_model)
    written = await write_down(transcriber, await parts_of(blobs, track, 0.5), language=None)
    assert {segment.language for segment in written.segments} == {"ru"}  # type: ignore[attr-defined]  # DraftSegment
    assert "приедет" in written.text.lower()


async def test_silence_has_no_words(
    speech_model: WhisperSpeechModel, blobs: LocalFsBlobStore
) -> None:
    """Half a minute of nothing, and of faint noise, is nothing."""
    faint = np.random.default_rng(1).normal(0, 20, 20 * 16000).astype(np.int16)
    track = np.concatenate((silence(15), faint))
    transcriber = TrackTranscriber(blobs, ChildDecoder(), speech_model)
    written = await write_down(transcriber, await parts_of(blobs, track, 3), language="ru")
    assert written.segments == []


async def test_a_whole_file_is_heard_on_the_chosen_channel(
    speech_model: WhisperSpeechModel, blobs: LocalFsBlobStore
) -> None:
    """A file in one piece gives the interviewer's words alone."""
    path = Path(__file__).parents[2] / "config/sample/interview_en.stereo.wav"
    await blobs.put("m/file.bin", path.read_bytes())
    part = replace(part_of(0, "m/file.bin", path.read_bytes(), "auto"), channel=0)
    decoder = ChildDecoder()
    transcriber = TrackTranscriber(blobs, decoder, speech_model)
    written = await write_down(transcriber, [part])
    await decoder.aclose()
    expected = plain_words(speech_model, recording("interview_en.stereo.wav", 0), "en")
    heard = heard_words(written.segments)
    assert edits([w for w, _, _ in expected], [w for w, _, _ in heard]) <= 1
    assert "payment" not in written.text

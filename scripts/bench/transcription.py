"""Compares our incremental transcription with plain faster-whisper on the same whole file.

Prints, for each recording and chunk length, the words that differ, the largest difference of a word
time, and CPU seconds per audio second of both in the same run; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import tempfile
import time
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.whisper.model import WhisperSpeechModel
from interview_agent.adapters.whisper.model_files import find_model
from interview_agent.ports.transcriber import AudioPart, TrackInput
from interview_agent.stt.track_transcriber import TrackTranscriber

if TYPE_CHECKING:
    from interview_agent.domain.transcript import DraftSegment

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_RATE = 16_000
DEFAULT = (ROOT / "config/sample/interview_en.stereo.wav", ROOT / "tests/data/libri_2412_0.wav")

Heard = list[tuple[str, float]]
"""Words in small letters without punctuation, with their starts in seconds."""


@dataclass
class Row:
    """One comparison."""

    name: str
    chunk_s: float
    words: int
    edits: int
    largest_shift_s: float
    ours_cpu: float
    plain_cpu: float


def normal(words: list[tuple[str, float]]) -> Heard:
    """Strip what does not count: case, punctuation, ё."""
    return [
        (part, start)
        for text, start in words
        for part in re.sub(r"[^\w\s]", "", text.lower().replace("ё", "е")).split()
    ]


def compare(plain: Heard, ours: Heard) -> tuple[int, float]:
    """Return the words that differ and the largest difference of the starts of equal words."""
    matcher = SequenceMatcher(None, [w for w, _ in plain], [w for w, _ in ours], autojunk=False)
    blocks = matcher.get_matching_blocks()
    same = sum(block.size for block in blocks)
    shifts = [
        abs(plain[block.a + i][1] - ours[block.b + i][1])
        for block in blocks
        for i in range(block.size)
    ]
    return max(len(plain), len(ours)) - same, max(shifts, default=0.0)


def plain_words(model: WhisperModel, sound: Any, language: str | None) -> Heard:
    """Hear the whole recording at once with faster-whisper itself."""
    segments, _ = model.transcribe(
        sound, language=language, beam_size=1, vad_filter=True, word_timestamps=True
    )
    return normal([(word.word, word.start) for s in segments for word in s.words])


async def our_words(
    transcriber: TrackTranscriber,
    blobs: LocalFsBlobStore,
    sound: Any,
    chunk_s: float,
    language: str | None,
) -> Heard:
    """Hear the recording as chunks of raw samples, the way a worker does."""
    pcm = np.round(sound * 32768).clip(-32768, 32767).astype("<i2").tobytes()
    step = int(chunk_s * SAMPLE_RATE) * 2
    parts = []
    for seq, at in enumerate(range(0, len(pcm), step)):
        body = pcm[at : at + step]
        await blobs.put(f"meetings/bench/{seq}", body)
        digest = hashlib.sha256(body).hexdigest()
        key = f"meetings/bench/{seq}"
        parts.append(AudioPart(seq, key, len(body), digest, "pcm", SAMPLE_RATE, 1, None))
    track = TrackInput("bench", "main", language, tuple(parts), closed=True, checkpoint=None)
    heard: list[DraftSegment] = []
    async for step_taken in transcriber.advance(track):
        heard[step_taken.keep :] = step_taken.segments
    return normal([(word.text, word.start_s) for s in heard for word in s.words])


def cpu_s() -> float:
    """Return the CPU seconds of this process so far."""
    return time.process_time()


async def run(files: list[Path], chunks_s: list[float], language: str | None) -> list[Row]:
    """Compare every recording at every chunk length."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        speech = await WhisperSpeechModel.load(size="base", data_dir=Path(folder), threads=1)
        plain = WhisperModel(
            str(find_model("base", Path(folder))), compute_type="int8", cpu_threads=1
        )
        blobs = LocalFsBlobStore(Path(folder) / "chunks")
        await blobs.prepare()
        decoder = ChildDecoder()
        for file in files:
            sounds = decode_audio(str(file), split_stereo=True)
            channels = sounds[:1] if np.array_equal(*sounds) else sounds
            for number, sound in enumerate(channels):
                began = cpu_s()
                expected = plain_words(plain, sound, language)
                plain_cpu = (cpu_s() - began) / (len(sound) / SAMPLE_RATE)
                for chunk_s in chunks_s:
                    transcriber = TrackTranscriber(blobs, decoder, speech)
                    began = cpu_s()
                    heard = await our_words(transcriber, blobs, sound, chunk_s, language)
                    ours_cpu = (cpu_s() - began) / (len(sound) / SAMPLE_RATE)
                    edits, shift_s = compare(expected, heard)
                    name = f"{file.name}[{number}]"
                    rows.append(
                        Row(name, chunk_s, len(expected), edits, shift_s, ours_cpu, plain_cpu)
                    )
                    show(rows[-1])
        await decoder.aclose()
        await speech.aclose()
        await blobs.aclose()
    return rows


def show(row: Row) -> None:
    """Print one comparison."""
    print(
        f"{row.name:32} chunks {row.chunk_s:5.1f} s  words {row.words:4d}  differ {row.edits:3d}"
        f"  largest shift {row.largest_shift_s:5.2f} s"
        f"  CPU s per audio s {row.ours_cpu:.3f}, plain {row.plain_cpu:.3f}",
        flush=True,
    )


def main() -> None:
    """Read the command line and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=list(DEFAULT))
    parser.add_argument("--language", default="en", help="a code, or auto")
    parser.add_argument("--chunks", default="0.5,3,30", help="chunk lengths in seconds")
    options = parser.parse_args()
    language = None if options.language == "auto" else options.language
    chunks_s = [float(each) for each in options.chunks.split(",")]
    rows = asyncio.run(run(options.files, chunks_s, language))
    words = sum(row.words for row in rows)
    print(
        json.dumps(
            {
                "words": words,
                "wer_difference_points": round(100 * sum(r.edits for r in rows) / words, 3)
                if words
                else None,
                "largest_shift_s": round(max(row.largest_shift_s for row in rows), 3),
                "cpu_ratio_to_plain": round(
                    sum(row.ours_cpu for row in rows) / sum(row.plain_cpu for row in rows), 3
                ),
            }
        )
    )


if __name__ == "__main__":
    main()

"""Plain faster-whisper in a process of its own: a batch pass, or the baseline at real-time pace.

`python -m captions.plain_whisper batch|live --model FOLDER --threads N [--language xx] FILE.npy`
reads samples and prints one JSON object. CPU seconds are those of this process after loading.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel

from captions.local_agreement import SAMPLE_RATE, Hearing, LocalAgreement, Sound, Spoken

PERIOD_S = 1.0
LIKELY_SILENCE = 0.9


def hear(model: WhisperModel, language: str | None, sound: Sound, prompt: str) -> Hearing:
    """Hear one window as whisper_streaming does."""
    segments, _ = model.transcribe(
        sound,
        language=language,
        initial_prompt=prompt,
        beam_size=1,
        word_timestamps=True,
        condition_on_previous_text=True,
    )
    heard = list(segments)
    words = [
        (word.word, word.start, word.end)
        for segment in heard
        if segment.no_speech_prob <= LIKELY_SILENCE
        for word in segment.words
    ]
    return Hearing(tuple(words), tuple(segment.end for segment in heard))


def batch(model: WhisperModel, language: str | None, sound: Sound) -> dict[str, Any]:
    """Hear the whole recording at once."""
    began = time.process_time()
    segments, facts = model.transcribe(
        sound, language=language, beam_size=1, vad_filter=True, word_timestamps=True
    )
    words = [(word.word, word.start, word.end) for s in segments for word in s.words]
    return {"words": words, "language": facts.language, "cpu_s": time.process_time() - began}


def live(model: WhisperModel, language: str | None, sound: Sound) -> dict[str, Any]:
    """Hear the recording while it is spoken, each second or as soon as the last hearing is over."""
    stream = LocalAgreement(partial(hear, model, language))
    captions: list[dict[str, Any]] = []
    length_s = len(sound) / SAMPLE_RATE
    hear(model, language, np.zeros(SAMPLE_RATE, np.float32), "")  # a server has been warmed up
    cpu_began, began = time.process_time(), time.monotonic()
    begin_s = end_s = 0.0
    while end_s < length_s:
        time.sleep(max(0.0, end_s + PERIOD_S - (time.monotonic() - began)))
        begin_s, end_s = end_s, time.monotonic() - began
        part = sound[int(begin_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]
        committed = stream.step(part)
        captions.append(_caption(time.monotonic() - began, committed, stream.pending))
    captions.append(_caption(time.monotonic() - began, stream.finish(), ()))
    return {"captions": captions, "cpu_s": time.process_time() - cpu_began}


def _caption(at_s: float, committed: list[Spoken], pending: tuple[Spoken, ...]) -> dict[str, Any]:
    return {"at_s": at_s, "committed": committed, "pending": pending}


def main() -> None:
    """Read the command line, load the model, hear, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("batch", "live"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--language")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    model = WhisperModel(options.model, compute_type="int8", cpu_threads=options.threads)
    sound = np.load(options.file).astype(np.float32) / 32768
    way = batch if options.way == "batch" else live
    json.dump(way(model, options.language, sound), sys.stdout)


if __name__ == "__main__":
    main()

"""What is spoken to the service: recordings, their reference words, conversations."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from faster_whisper.audio import decode_audio

from captions.delays import Reference
from captions.words import TimedWord, plain, texts, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]
AUDIO = ROOT / "scripts/bench/audio"
INTERVIEW = ROOT / "config/sample/interview_en.stereo.wav"
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a")
SAMPLE_RATE = 16_000

PAUSE_S = 0.3
"""A gap between words that is long enough to change the speaker in."""
TURN_S = 4.0
"""The shortest turn of a conversation that is made of a recording."""
EDGE_S = 0.1
SHORT_S = 20.0
"""Recordings below this are joined, with `JOINT_S` of silence between them."""
JOINT_S = 0.7

Samples: TypeAlias = npt.NDArray[np.int16]
"""Mono, 16 kHz."""


@dataclass(frozen=True)
class Recording:
    """One track and what is said on it."""

    name: str
    language: str | None
    samples: Samples
    words: tuple[TimedWord, ...] = ()
    """The words with their times; none until `heard_in_batch` gives them."""
    text: tuple[str, ...] = ()
    """The words that the error rates are counted against."""
    batch_share: float = 1.0
    """The part of the words that a batch pass hears."""
    note: str = ""

    @property
    def seconds(self) -> float:
        """The length."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Conversation:
    """Tracks that are spoken at the same time, each silent about half of it."""

    name: str
    tracks: tuple[Recording, ...]


def load_folder(folder: Path, language: str | None) -> list[Recording]:
    """Return the recordings of a folder, those of one language where one is given.

    Beside `x.wav` may lie `x.json` ({"words": [[word, start, end], ...], "language", "text"}) and
    `x.txt`, the text alone. Raises `ValueError` where there is nothing to hear or a language is
    missing.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    recordings = [_load(path, language) for path in files]
    fitting = [one for one in recordings if language is None or one.language == language]
    if not fitting:
        message = f"there is no recording in {folder}" + (f" in {language}" if language else "")
        raise ValueError(message)
    return fitting


def _load(path: Path, language: str | None) -> Recording:
    facts: dict[str, Any] = {}
    if path.with_suffix(".json").is_file():
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    written = path.with_suffix(".txt")
    text = written.read_text(encoding="utf-8") if written.is_file() else facts.get("text", "")
    words = timed((text, start, end) for text, start, end in facts.get("words", ()))
    return Recording(
        name=path.stem,
        language=facts.get("language", language),
        samples=_samples(decode_audio(str(path))),
        words=words,
        text=tuple(plain(text) or texts(words)),
    )


def interview() -> Conversation:
    """Return the sample interview; its turns have texts, its words get their times in batch."""
    turns = json.loads((INTERVIEW.parent / "interview_en.json").read_text(encoding="utf-8"))[
        "turns"
    ]
    tracks = []
    for channel, sound in enumerate(decode_audio(str(INTERVIEW), split_stereo=True)):
        said = " ".join(turn["text"] for turn in turns if turn["channel"] == channel)
        name = f"interview_en[{channel}]"
        tracks.append(Recording(name, "en", _samples(sound), text=tuple(plain(said))))
    return Conversation("interview_en", tuple(tracks))


def within(recordings: Sequence[Recording], most_s: float) -> tuple[list[Recording], list[str]]:
    """Return at most `most_s` seconds of each language, and the names of what is left out.

    A long recording is cut to fit, a short one is taken whole or not at all.
    """
    taken: list[Recording] = []
    left_out = []
    for one in recordings:
        free_s = most_s - sum(each.seconds for each in taken if each.language == one.language)
        if free_s >= min(one.seconds, SHORT_S):
            taken.append(shortened(one, free_s))
        else:
            left_out.append(one.name)
    return taken, left_out


def joined(recordings: Sequence[Recording]) -> list[Recording]:
    """Put short recordings of one language together, so that each is worth a stream."""
    groups: dict[tuple[object, ...], list[Recording]] = {}
    for one in recordings:
        is_alone = one.seconds >= SHORT_S or one.language is None
        alike = (one.language, bool(one.words), bool(one.text))
        groups.setdefault((one.name,) if is_alone else alike, []).append(one)
    return [group[0] if len(group) == 1 else _join(group) for group in groups.values()]


def _join(group: Sequence[Recording]) -> Recording:
    silence = np.zeros(int(JOINT_S * SAMPLE_RATE), np.int16)
    parts: list[Samples] = []
    words: list[TimedWord] = []
    text: list[str] = []
    at_s = 0.0
    for one in group:
        parts += [one.samples, silence]
        words += [word.shifted(at_s) for word in one.words]
        text += one.text
        at_s += one.seconds + JOINT_S
    name = f"{group[0].name}+{len(group) - 1}"
    samples = np.concatenate(parts)
    return Recording(name, group[0].language, samples, tuple(words), tuple(text), note="joined; ")


def heard_in_batch(recording: Recording, batch: Sequence[TimedWord]) -> Recording:
    """Return the recording with what it lacks taken from a batch pass, and a note that says so."""
    if recording.words:
        found = Reference(recording.words).find(batch)
        return replace(recording, batch_share=len(found) / len(recording.words))
    if recording.text:
        note = "aligned: word times are those of the batch pass"
        return replace(recording, words=tuple(batch), note=recording.note + note)
    return replace(
        recording,
        words=tuple(batch),
        text=tuple(texts(batch)),
        note=recording.note + "aligned: word times and reference text are those of the batch pass",
    )


def shortened(recording: Recording, seconds: float) -> Recording:
    """Return the beginning of a recording, cut in the last pause before `seconds`.

    A text without times cannot be cut and is left out.
    """
    if recording.seconds <= seconds:
        return recording
    if not recording.words:
        return replace(recording, samples=recording.samples[: int(seconds * SAMPLE_RATE)], text=())
    pauses = [at_s for at_s in _pauses(recording.words) if at_s <= seconds]
    end_s = pauses[-1] if pauses else seconds
    words = tuple(word for word in recording.words if word.end_s <= end_s)
    samples = recording.samples[: int(end_s * SAMPLE_RATE)]
    return replace(recording, samples=samples, words=words, text=tuple(texts(words)))


def conversation(recording: Recording) -> Conversation:
    """Let two tracks speak the recording in turns: each says about half and is silent meanwhile."""
    borders = [0.0]
    for at_s in _pauses(recording.words):
        if at_s - borders[-1] >= TURN_S:
            borders.append(at_s)
    borders.append(recording.seconds)
    tracks = []
    for mine in (0, 1):
        samples = np.zeros_like(recording.samples)
        words: list[TimedWord] = []
        for number, (begin_s, end_s) in enumerate(pairwise(borders)):
            if number % 2 == mine:
                part = slice(int(begin_s * SAMPLE_RATE), int(end_s * SAMPLE_RATE))
                samples[part] = recording.samples[part]
                words += [w for w in recording.words if begin_s <= w.start_s < end_s]
        name = f"{recording.name}[{mine}]"
        track = replace(recording, name=name, samples=samples, words=tuple(words), text=())
        tracks.append(track)
    return Conversation(recording.name, tuple(tracks))


def rotated(spoken: Conversation, turn: float) -> Conversation:
    """Return the conversation begun elsewhere, at about `turn` of its length (0 to 1).

    It is begun in a pause of all tracks; what came before is said at the end.
    """
    every = sorted((w for track in spoken.tracks for w in track.words), key=lambda w: w.start_s)
    wanted_s = turn * spoken.tracks[0].seconds
    at_s = min([0.0, *_pauses(every)], key=lambda pause_s: abs(pause_s - wanted_s))
    return Conversation(spoken.name, tuple(_rotated(track, at_s) for track in spoken.tracks))


def _rotated(track: Recording, at_s: float) -> Recording:
    samples = np.roll(track.samples, -int(at_s * SAMPLE_RATE))
    after = [word.shifted(-at_s) for word in track.words if word.start_s >= at_s]
    before = [w.shifted(track.seconds - at_s) for w in track.words if w.start_s < at_s]
    return replace(track, samples=samples, words=(*after, *before), text=())


def _pauses(words: Sequence[TimedWord]) -> list[float]:
    """Return the moments between words at which nobody speaks."""
    moments, end_s = [], 0.0
    for word in words:
        if word.start_s - end_s >= PAUSE_S and end_s > 0:
            moments.append(word.start_s - EDGE_S)
        end_s = max(end_s, word.end_s)
    return moments


def _samples(sound: Any) -> Samples:
    return np.round(np.asarray(sound) * 32768).clip(-32768, 32767).astype(np.int16)

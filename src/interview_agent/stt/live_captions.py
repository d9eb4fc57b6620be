"""The captions of one track: chunks go in; segments and words that may follow come out."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from interview_agent.domain.transcript import Word
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.stt.caption_policy import DEFAULT_POLICY, CaptionPolicy
from interview_agent.stt.caption_state import CaptionState, HeardWord
from interview_agent.stt.captioner import Captioner, CaptionStep
from interview_agent.stt.live_audio import LiveAudio, Place
from interview_agent.stt.segmenter import MAX_GAP_S, ends_sentence, segments_of
from interview_agent.stt.sound_watch import SoundWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.audio import AudioDecoder
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.captions import CaptionModel
    from interview_agent.ports.transcriber import AudioPart

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LiveStep:
    """What is new: segments that continue the growing one, and what may follow them.

    The last segment still grows if `last_grows`. `growing` are all words of the growing segment
    that stand, `may_follow` those that may come next. Without segments nothing stands anew.
    """

    segments: tuple[DraftSegment, ...]
    last_grows: bool
    growing: tuple[Word, ...]
    may_follow: tuple[Word, ...]


class LiveCaptions:
    """Captions a track from where `checkpoint` stands.

    `language` is that to write, None to be detected. With `forgiving` a chunk on which the decoder
    dies is passed over.
    """

    def __init__(
        self,
        blobs: BlobStore,
        decoder: AudioDecoder,
        model: CaptionModel,
        checkpoint: dict[str, Any] | None,
        *,
        language: str | None,
        policy: CaptionPolicy = DEFAULT_POLICY,
        forgiving: bool = False,
    ) -> None:
        """Take over from a checkpoint; None or one of another format begins anew."""
        known = checkpoint if checkpoint and checkpoint.get("format") == FORMAT else None
        state = CaptionState.from_json(known["captioner"]) if known else CaptionState()
        place = Place(**known["place"]) if known else Place()
        self._audio = LiveAudio(blobs, decoder, place, forgiving=forgiving)
        self._caption_from = partial(Captioner, model, language=language, policy=policy)
        self._captioner = self._caption_from(state)
        self._growing = [_heard_word(value) for value in known["growing"]] if known else []
        if known and self._growing:
            self._audio.remember(known["growing_seq"], self._growing[0].start_s)
        self.watch = SoundWatch()

    @property
    def after_seq(self) -> int:
        """The last chunk that was heard."""
        return self._audio.last_seq

    @property
    def heard_s(self) -> float:
        """Seconds of the track so far, those that a predecessor heard included."""
        return max(self._audio.samples, self._captioner.next_sample) / SAMPLE_RATE

    @property
    def late_s(self) -> float:
        """Seconds of sound that wait to be captioned."""
        return self._captioner.waiting_s

    @property
    def language(self) -> str | None:
        """The language that is written, as far as it is known."""
        return self._captioner.language

    async def hear(self, part: AudioPart) -> None:
        """Add the next chunk. Raises `SttError`, `StorageError`."""
        at = self._audio.samples
        async with aclosing(self._audio.play(part)) as blocks:
            async for samples in blocks:
                # What another captioner has heard already is decoded again and passed over.
                known = max(self._captioner.next_sample - at, 0)
                at += samples.size
                if known < samples.size:
                    fresh = samples[known:]
                    self.watch.hear(fresh)
                    await self._captioner.hear(fresh)

    async def pass_over(self, part: AudioPart) -> None:
        """Play a chunk whose words are known; what follows it is captioned anew.

        Raises `SttError`, `StorageError`.
        """
        async with aclosing(self._audio.play(part)) as blocks:
            async for _ in blocks:
                pass
        if self._audio.samples > self._captioner.next_sample:
            self._captioner = self._caption_from(
                CaptionState(heard=self._audio.samples, language=self._captioner.state.language)
            )
            self._growing = []

    async def advance(self) -> LiveStep | None:
        """Take the next step, None when more sound is needed for one. Raises `SttError`."""
        step = await self._captioner.advance()
        if step is not None:
            return self._after(step)
        return self._close() if self._is_over else None

    async def flush(self) -> LiveStep | None:
        """Let everything stand that was heard; None when nothing is left."""
        step = await self._captioner.flush()
        if step is not None:
            return self._after(step)
        return self._close() if self._growing else None

    def checkpoint(self) -> dict[str, Any]:
        """Return what another one needs to go on from here, as a JSON object."""
        state = self._captioner.state
        return {
            "format": FORMAT,
            "captioner": state.to_json(),
            "place": self._audio.place_before(state.needed_from).to_json(),
            "growing": [
                [word.text, word.start_s, word.end_s, word.probability, word.stretch]
                for word in self._growing
            ],
            "growing_seq": self._audio.seq_at(self._growing[0].start_s) if self._growing else None,
        }

    async def aclose(self) -> None:
        """Let go of the decoder."""
        await self._audio.aclose()

    def _after(self, step: CaptionStep) -> LiveStep:
        self.watch.voice(self._captioner.silent_s)
        if self._captioner.language_probability is not None:
            self.watch.language(self._captioner.language_probability)
        self._growing.extend(step.stands)
        drafts = self._drafts()
        ends = step.pauses and bool(self._growing) and ends_sentence(self._growing[-1].text)
        if drafts:
            kept = 0 if ends else len(drafts[-1].words)
            spoken = [word for word in self._growing if word.text.strip()]
            self._growing = spoken[len(spoken) - kept :]
        return LiveStep(
            segments=drafts if step.stands or ends else (),
            last_grows=not ends,
            growing=_words(self._growing),
            may_follow=_words(step.may_follow),
        )

    @property
    def _is_over(self) -> bool:
        """Whether the growing segment has been followed by too long a silence."""
        if not self._growing:
            return False
        # What a predecessor heard before these words may be silent, too.
        since_s = self._captioner.listened_s - self._growing[-1].end_s
        return min(self._captioner.silent_s, since_s) > MAX_GAP_S

    def _close(self) -> LiveStep:
        drafts = self._drafts()
        self._growing = []
        return LiveStep(drafts, last_grows=False, growing=(), may_follow=())

    def _drafts(self) -> tuple[DraftSegment, ...]:
        return segments_of(self._growing, language=self.language, seq_at=self._audio.seq_at)


def _words(words: Sequence[HeardWord]) -> tuple[Word, ...]:
    return tuple(
        Word(word.text.strip(), word.start_s, word.end_s, word.probability) for word in words
    )


def _heard_word(value: Sequence[Any]) -> HeardWord:
    text, start_s, end_s, probability, stretch = value
    return HeardWord(text, start_s, end_s, probability, (), stretch)

"""Captions of one track: sound goes in, words that stand and words that may still change come out.

The last seconds of a speech are recognised again and again. What two hypotheses in a row agree on
stands (LocalAgreement-2), and so does a word that lies well behind the end of the sound and that
the recogniser is sure of. The window is cut behind what stands; its last words are forced as the
beginning of the next hypothesis. At a pause the whole window stands.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionModel, CaptionWindow
from interview_agent.ports.speech import VOICE_SAMPLES
from interview_agent.stt.caption_policy import DEFAULT_POLICY
from interview_agent.stt.caption_state import CaptionState, HeardWord
from interview_agent.stt.sample_buffer import SampleBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interview_agent.ports.audio import Samples
    from interview_agent.ports.captions import CaptionResult, CaptionWord
    from interview_agent.ports.speech import VoiceState
    from interview_agent.stt.caption_policy import CaptionPolicy

_LETTERS = re.compile(r"\w+")

_CUT_MARGIN_S = 0.1
"""Sound kept before the first word of the context: its time is good to a tenth of a second."""
_FRESH_S = 0.3
"""No hypothesis is made when the voice has been silent for so long: the pause will make one."""
_HEARD_OUT_S = 0.15
"""A hypothesis that has heard so much of the silence behind the voice is the last one."""
_MISSED_S = 0.4
"""So much voice is a word at least."""
_LANGUAGE_CHECKS = 6
_SURE_OF_LANGUAGE = 0.6
_LANGUAGE_WINDOW_S = 2.5
"""Language is told from no less sound than this."""
_MIN_VOICE_S = 0.1
"""Less voice than this between two silences is a click, not a word."""


@dataclass(frozen=True, slots=True)
class CaptionStep:
    """What one window brought.

    `stands` are new words that stand, `may_follow` those that may come after them. `pauses` says
    that nothing may: the speech has paused here.
    """

    stands: tuple[HeardWord, ...]
    may_follow: tuple[HeardWord, ...]
    pauses: bool


class Captioner:
    """Captions one track; `state` is that of the captioner that it takes over from."""

    def __init__(
        self,
        model: CaptionModel,
        state: CaptionState,
        *,
        language: str | None,
        policy: CaptionPolicy = DEFAULT_POLICY,
    ) -> None:
        """Take over from `state`. `language` is that to write, None to be detected once."""
        self._model = model
        self._policy = policy
        self._language = language or state.language
        self._guess: str | None = None
        self._state = state
        self._sound = SampleBuffer()
        self._sound.end = state.needed_from
        self._voice_memory: VoiceState | None = None
        self._voice: deque[float] = deque()
        self._searched = self._at = self._first = self._sound.end
        self._speaking = False
        self._voiced_to = self._at
        self._voiced = self._new_voice = 0
        self._decoded_to = self._at
        self._before: tuple[HeardWord, ...] = ()
        self._hypothesis_to = self._began = self._at
        self._checks_left = _LANGUAGE_CHECKS
        self.language_probability: float | None = None
        """What the last window told of the language, see `CaptionResult`."""

    @property
    def state(self) -> CaptionState:
        """Where it stands."""
        lead = int(self._policy.lead_s * SAMPLE_RATE)
        return replace(self._state, heard=max(self._at - lead, self._first))

    @property
    def language(self) -> str | None:
        """The language that is written, as far as it is known."""
        return self._language or self._guess

    @property
    def silent_s(self) -> float:
        """Seconds of sound since the last voice."""
        return (self._at - self._voiced_to) / SAMPLE_RATE

    @property
    def listened_s(self) -> float:
        """Second of the track up to which steps were taken."""
        return self._at / SAMPLE_RATE

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that no step was taken for yet."""
        return len(self._voice) * VOICE_SAMPLES / SAMPLE_RATE

    @property
    def next_sample(self) -> int:
        """The sample of the track that the next sound begins with."""
        return self._sound.end

    async def hear(self, samples: Samples) -> None:
        """Add sound. Raises `SttError`."""
        self._sound.append(samples)
        stop = self._sound.end - (self._sound.end - self._searched) % VOICE_SAMPLES
        if stop > self._searched:
            found, self._voice_memory = await self._model.voice(
                self._sound.cut(self._searched, stop), self._voice_memory
            )
            self._voice.extend(found.tolist())
            self._searched = stop

    async def advance(self) -> CaptionStep | None:
        """Take the next step, None when more sound is needed for one. Raises `SttError`."""
        policy = self._policy
        while self._voice:
            self._listen(self._voice.popleft())
            if self._speaking and self.silent_s >= policy.pause_s:
                if self._is_word:
                    return await self._end()
                self._speaking = False
            start = self._state.start
            if start is not None and self._at - start >= policy.max_window_s * SAMPLE_RATE:
                return await self._go_on(full=True)
        if self._speaking and self.silent_s < _FRESH_S and self._is_due():
            return await self._go_on(full=False)
        return None

    async def flush(self) -> CaptionStep | None:
        """Let everything stand that was heard, as at a pause; None when nothing is left."""
        step = await self.advance()
        if step is None and self._speaking and self._is_word:
            return await self._end()
        return step

    @property
    def _is_word(self) -> bool:
        return self._voiced >= _MIN_VOICE_S * SAMPLE_RATE

    def _is_due(self) -> bool:
        new_s = (self._at - self._decoded_to) / SAMPLE_RATE
        is_first = self._decoded_to == self._state.start
        return new_s >= (self._policy.first_s if is_first else self._policy.period_s)

    def _listen(self, probability: float) -> None:
        """Hear one step of voice detection."""
        begin, self._at = self._at, self._at + VOICE_SAMPLES
        policy = self._policy
        if self._speaking:
            if probability >= policy.quiet:
                self._voiced_to = self._at
                self._voiced += VOICE_SAMPLES
                self._new_voice += VOICE_SAMPLES * (begin >= self._context_end)
        elif probability >= policy.voice:
            self._begin(begin)
        elif self.silent_s > policy.join_s:
            self._forget_context()
            self._sound.drop_before(begin - int(policy.lead_s * SAMPLE_RATE))

    def _begin(self, begin: int) -> None:
        state = self._state
        self._speaking, self._voiced, self._before = True, VOICE_SAMPLES, ()
        self._new_voice = 0
        lead = int(self._policy.lead_s * SAMPLE_RATE)
        self._began = max(begin - lead, self._sound.start)
        if state.start is None or self.silent_s > self._policy.join_s:
            self._forget_context()
            start = max(begin - lead, self._sound.start)
            self._state = replace(self._state, start=start, stretch=start)
            self._decoded_to = start
        else:
            self._decoded_to = begin - lead
        self._voiced_to = self._at

    def _forget_context(self) -> None:
        if self._state.start is not None:
            prompt = self._prompt_after(self._state.context)
            self._state = replace(self._state, start=None, context=(), prompt=prompt)

    def _prompt_after(self, words: Sequence[HeardWord]) -> tuple[int, ...]:
        tokens = (*self._state.prompt, *(token for word in words for token in word.tokens))
        return tokens[-self._policy.max_prompt_tokens :]

    async def _recognise(self, end: int, *, final: bool) -> tuple[CaptionResult, list[HeardWord]]:
        """Recognise the window up to sample `end`; the words of the context are left out."""
        state, start = self._state, self._state.start or 0
        prefix = tuple(token for word in state.context for token in word.tokens)
        long_enough = end - start >= _LANGUAGE_WINDOW_S * SAMPLE_RATE
        detect = final and long_enough and self._checks_left > 0
        self._checks_left -= detect
        window = CaptionWindow(
            samples=self._sound.cut(start, end),
            language=self._language,
            prompt=state.prompt,
            prefix=prefix,
            final=final,
            detect=detect,
        )
        self._decoded_to = end
        result = await self._model.caption(window)
        self.language_probability = result.language_probability
        if result.plausible:
            self._guess = result.language
            sure = (result.language_probability or 0.0) >= _SURE_OF_LANGUAGE
            if long_enough and sure and self._language is None:
                self._language = result.language
                self._state = replace(self._state, language=result.language)
        return result, self._placed(_new_words(result.words, state.context), start, end)

    def _placed(self, words: Iterator[CaptionWord], start: int, end: int) -> list[HeardWord]:
        """Put words of a window on the timeline, none before one that it follows."""
        placed: list[HeardWord] = []
        context = self._state.context
        at_s, end_s = context[-1].end_s if context else start / SAMPLE_RATE, end / SAMPLE_RATE
        for word in words:
            start_s = min(max(start / SAMPLE_RATE + word.start_s, at_s), end_s)
            at_s = max(min(start / SAMPLE_RATE + word.end_s, end_s), start_s)
            placed.append(
                HeardWord(
                    text=word.text,
                    start_s=start_s,
                    end_s=at_s,
                    probability=word.probability,
                    tokens=word.tokens,
                    stretch=self._state.stretch,
                )
            )
        return placed

    async def _go_on(self, *, full: bool) -> CaptionStep | None:
        """Make a hypothesis, and let stand what may; a full window is cut whatever it brings."""
        end = self._at
        result, words = await self._recognise(end, final=full)
        missed = result.plausible and self._missed(words)
        if not result.plausible:
            if not full:
                return None
            words = list(self._before)
        elif missed:
            self._drop_context()
        count = self._standing(words, end)
        if full and self._start_after(words[:count]) < self._half(end):
            count = self._settled(words, end, 0.0)
        if full and self._start_after(words[:count]) < self._half(end):
            count = len(words)
        stands, rest = tuple(words[:count]), tuple(words[count:])
        self._before = rest
        if full or not missed:
            # What was missed is still to be heard, also when the speech pauses right here.
            self._hypothesis_to = end
        if stands or full:
            self._cut(stands, end, whole=full and not rest)
        return CaptionStep(stands, rest, pauses=False)

    def _half(self, end: int) -> int:
        """Return the sample behind which a full window has to begin next."""
        return end - int(self._policy.max_window_s / 2 * SAMPLE_RATE)

    def _standing(self, words: Sequence[HeardWord], end: int) -> int:
        """Return how many of the words stand now: never the last, whose end is not heard yet."""
        agreed = 0
        for old, new in zip(self._before, words[:-1], strict=False):
            if _key(old) != _key(new):
                break
            agreed += 1
        return max(agreed, self._settled(words, end, self._policy.settled_probability))

    def _settled(self, words: Sequence[HeardWord], end: int, probability: float) -> int:
        settled = 0
        for word in words[:-1]:
            behind_s = end / SAMPLE_RATE - word.end_s
            doubtful = word.probability < probability and behind_s < 2 * self._policy.settled_s
            if behind_s < self._policy.settled_s or doubtful:
                break
            settled += 1
        return settled

    def _context_after(self, stands: Sequence[HeardWord]) -> tuple[HeardWord, ...]:
        return (*self._state.context, *stands)[-self._policy.context_words :]

    def _start_after(self, stands: Sequence[HeardWord]) -> int:
        """Return where the window begins once these words stand."""
        start, context = self._state.start or 0, self._context_after(stands)
        if not context:
            return start
        return max(int((context[0].start_s - _CUT_MARGIN_S) * SAMPLE_RATE), start)

    def _cut(self, stands: Sequence[HeardWord], end: int, *, whole: bool = False) -> None:
        """Begin the window at the last words that stand, or drop it as a `whole`."""
        recent = (*self._state.context, *stands)
        context = () if whole else self._context_after(stands)
        self._state = replace(
            self._state,
            start=end if whole else self._start_after(stands),
            context=context,
            prompt=self._prompt_after(recent[: len(recent) - len(context)]),
        )
        self._new_voice = 0
        self._sound.drop_before(self._state.start or 0)

    @property
    def _context_end(self) -> int:
        context = self._state.context
        return int(context[-1].end_s * SAMPLE_RATE) if context else 0

    def _missed(self, words: Sequence[HeardWord]) -> bool:
        """Say whether somebody has spoken since the context, and nothing was made of it.

        Words forced before a pause may make the recogniser believe that all is said.
        """
        spoken = self._new_voice >= _MISSED_S * SAMPLE_RATE
        return not words and bool(self._state.context) and spoken

    def _drop_context(self) -> None:
        """Begin the window where the present speech began, behind the words that stand."""
        self._state = replace(
            self._state,
            start=max(self._began, self._context_end),
            context=(),
            prompt=self._prompt_after(self._state.context),
        )

    async def _end(self) -> CaptionStep:
        """Let all words of the window stand: the speech pauses."""
        trail = int(self._policy.trail_s * SAMPLE_RATE)
        end = min(self._voiced_to + trail, self._sound.end)
        if self._hypothesis_to >= self._voiced_to + int(_HEARD_OUT_S * SAMPLE_RATE):
            # The last hypothesis has heard all there was.
            stands = self._before
        else:
            result, words = await self._recognise(end, final=True)
            if result.plausible and self._missed(words):
                self._drop_context()
                result, words = await self._recognise(end, final=True)
            stands = tuple(words) if result.plausible else self._before
        self._speaking, self._before = False, ()
        if stands:
            self._cut(stands, end)
        return CaptionStep(stands, (), pauses=True)


def _new_words(words: Sequence[CaptionWord], context: Sequence[HeardWord]) -> Iterator[CaptionWord]:
    """Yield the words behind those of the context.

    The recogniser may go on with the last of those: a comma behind it, or the rest of a word.
    """
    known = sum(len(word.tokens) for word in context)
    said = "".join(word.text for word in context)
    for word in words:
        fresh = word.tokens[known:]
        text = word.text.removeprefix(said) if known and fresh else word.text
        known, said = max(known - len(word.tokens), 0), said[len(word.text) :]
        if fresh and (len(fresh) == len(word.tokens) or _LETTERS.search(text)):
            yield replace(word, text=text, tokens=fresh)


def _key(word: HeardWord) -> str:
    return "".join(_LETTERS.findall(word.text.lower())).replace("ё", "е")

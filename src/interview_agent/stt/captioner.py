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
from typing import TYPE_CHECKING, Any

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionModel, CaptionWindow
from interview_agent.ports.speech import VOICE_SAMPLES
from interview_agent.stt.sample_buffer import SampleBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.audio import Samples
    from interview_agent.ports.captions import CaptionResult
    from interview_agent.ports.speech import VoiceState

_LETTERS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class CaptionPolicy:
    """When to recognise, and what is to stand.

    A hypothesis is made after `period_s` of new sound, the first of an utterance after `first_s`.
    Voice begins at a probability of `voice` and goes on above `quiet`; a pause is `pause_s`
    without it, and speech after more than `join_s` has nothing to do with what came before.
    `lead_s` and `trail_s` of sound around the voice are heard with it. A window never grows beyond
    `max_window_s`. `context_words` words that stand remain in it. A word stands at first sight
    `settled_s` behind the end, if the recogniser gives it `settled_probability`.
    """

    period_s: float = 1.2
    first_s: float = 1.0
    voice: float = 0.5
    quiet: float = 0.35
    pause_s: float = 0.7
    join_s: float = 2.0
    lead_s: float = 0.3
    trail_s: float = 0.3
    max_window_s: float = 12.0
    context_words: int = 3
    settled_s: float = 1.0
    settled_probability: float = 0.7
    max_prompt_tokens: int = 72


DEFAULT_POLICY = CaptionPolicy()
_CUT_MARGIN_S = 0.1
"""Sound kept before the first word of the context: its time is good to a tenth of a second."""
_FRESH_S = 0.3
"""No hypothesis is made when the voice has been silent for so long: the pause will make one."""
_LANGUAGE_CHECKS = 6
_LANGUAGE_WINDOW_S = 2.5
"""Language is told from no less sound than this."""
_MIN_VOICE_S = 0.1
"""Less voice than this between two silences is a click, not a word."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word on the timeline of its track, leading space included, times in seconds.

    Words of different `stretch` have more than a pause between them.
    """

    text: str
    start_s: float
    end_s: float
    probability: float
    tokens: tuple[int, ...]
    stretch: int


@dataclass(frozen=True, slots=True)
class CaptionState:
    """Where a captioner stands, enough for another one to go on from there.

    Samples of the track up to `heard` were searched for voice. The window begins at `start`; None
    while there is nothing to go on with. `context` are the last words that stand and sound in the
    window, `prompt` the tokens before them. `stretch` numbers what joined speech this is.
    """

    heard: int = 0
    start: int | None = None
    stretch: int = 0
    language: str | None = None
    prompt: tuple[int, ...] = ()
    context: tuple[HeardWord, ...] = ()

    @property
    def needed_from(self) -> int:
        """The first sample that another captioner has to hear."""
        return self.heard if self.start is None else self.start

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        return {
            "heard": self.heard,
            "start": self.start,
            "stretch": self.stretch,
            "language": self.language,
            "prompt": list(self.prompt),
            "context": [
                [word.text, word.start_s, word.end_s, word.probability, list(word.tokens)]
                for word in self.context
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CaptionState:
        """Read what `to_json` wrote."""
        context = tuple(
            HeardWord(text, start_s, end_s, probability, tuple(tokens), value["stretch"])
            for text, start_s, end_s, probability, tokens in value["context"]
        )
        return cls(**{**value, "prompt": tuple(value["prompt"]), "context": context})


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
        self._state = state
        self._sound = SampleBuffer()
        self._sound.end = state.needed_from
        self._voice_memory: VoiceState | None = None
        self._voice: deque[float] = deque()
        self._searched = self._at = self._sound.end
        self._speaking = False
        self._voiced_to = self._at
        self._voiced = 0
        self._decoded_to = self._at
        self._before: tuple[HeardWord, ...] = ()
        self._checks_left = _LANGUAGE_CHECKS
        self.language_probability: float | None = None
        """What the last window told of the language, see `CaptionResult`."""

    @property
    def state(self) -> CaptionState:
        """Where it stands."""
        return replace(self._state, heard=max(self._at, self._state.heard))

    @property
    def silent_s(self) -> float:
        """Seconds of sound since the last voice."""
        return (self._at - self._voiced_to) / SAMPLE_RATE

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
                if self._voiced >= _MIN_VOICE_S * SAMPLE_RATE:
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
        while (step := await self.advance()) is not None:
            return step
        return await self._end() if self._speaking else None

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
        elif probability >= policy.voice:
            self._begin(begin)
        elif self.silent_s > policy.join_s:
            self._forget_context()
            self._sound.drop_before(begin - int(policy.lead_s * SAMPLE_RATE))

    def _begin(self, begin: int) -> None:
        state = self._state
        self._speaking, self._voiced, self._before = True, VOICE_SAMPLES, ()
        lead = int(self._policy.lead_s * SAMPLE_RATE)
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
        known = 0
        heard: list[HeardWord] = []
        for word in result.words:
            known += len(word.tokens)
            if known > len(prefix):
                heard.append(
                    HeardWord(
                        text=word.text,
                        start_s=start / SAMPLE_RATE + word.start_s,
                        end_s=min(start / SAMPLE_RATE + word.end_s, end / SAMPLE_RATE),
                        probability=word.probability,
                        tokens=word.tokens,
                        stretch=state.stretch,
                    )
                )
        if result.plausible:
            self._language = result.language
            self._state = replace(self._state, language=result.language)
        return result, heard

    async def _go_on(self, *, full: bool) -> CaptionStep | None:
        """Make a hypothesis, and let stand what may; a full window is cut whatever it brings."""
        end = self._at
        result, words = await self._recognise(end, final=full)
        if not result.plausible and not full:
            return None
        count = self._standing(words, end)
        if full and count == 0:
            count = len(words)
        stands, rest = tuple(words[:count]), tuple(words[count:])
        self._before = rest
        if stands or full:
            self._cut(stands, end)
        return CaptionStep(stands, rest, pauses=False)

    def _standing(self, words: Sequence[HeardWord], end: int) -> int:
        """Return how many of the words stand now: never the last, whose end is not heard yet."""
        agreed = settled = 0
        for old, new in zip(self._before, words[:-1], strict=False):
            if _key(old) != _key(new):
                break
            agreed += 1
        for word in words[:-1]:
            late = word.end_s > end / SAMPLE_RATE - self._policy.settled_s
            if late or word.probability < self._policy.settled_probability:
                break
            settled += 1
        return max(agreed, settled)

    def _cut(self, stands: Sequence[HeardWord], end: int) -> None:
        """Begin the window at the last words that stand."""
        recent = (*self._state.context, *stands)
        kept = recent[-self._policy.context_words :] if stands else ()
        start = int((kept[0].start_s - _CUT_MARGIN_S) * SAMPLE_RATE) if kept else end
        self._state = replace(
            self._state,
            start=max(start, self._state.start or 0),
            context=tuple(kept),
            prompt=self._prompt_after(recent[: len(recent) - len(kept)]),
        )
        self._sound.drop_before(self._state.start or 0)

    async def _end(self) -> CaptionStep:
        """Let all words of the window stand: the speech pauses."""
        trail = int(self._policy.trail_s * SAMPLE_RATE)
        end = min(self._voiced_to + trail, self._sound.end)
        result, words = await self._recognise(end, final=True)
        stands = tuple(words) if result.plausible else self._before
        self._speaking, self._before = False, ()
        if stands:
            self._cut(stands, end)
        return CaptionStep(stands, (), pauses=True)


def _key(word: HeardWord) -> str:
    return "".join(_LETTERS.findall(word.text.lower())).replace("ё", "е")

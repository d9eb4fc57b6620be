"""Words of a live track stand once, in order and corrected, however its sound comes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caption_twin import CaptionTwin, Said, script, sound
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.stt.caption_policy import CaptionPolicy
from interview_agent.stt.caption_state import CaptionState, HeardWord
from interview_agent.stt.captioner import Captioner, CaptionStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.captions import CaptionResult, CaptionWindow

POLICY = CaptionPolicy()
BLOCK = 4000
TALK = script((1.0, 9), (0.9, 5), (0.4, 7), (3.0, 1), (1.2, 12), (2.5, 4))


@dataclass
class Told:
    """What a listener of the steps knows."""

    stands: list[HeardWord] = field(default_factory=list)
    steps: list[CaptionStep] = field(default_factory=list)
    states: list[tuple[int, CaptionState]] = field(default_factory=list)

    @property
    def text(self) -> list[str]:
        return [word.text.strip() for word in self.stands]

    def take(self, step: CaptionStep, state: CaptionState) -> None:
        self.steps.append(step)
        self.stands.extend(step.stands)
        self.states.append((len(self.stands), state))


def length_of(said: Sequence[Said], tail_s: float = 3.0) -> int:
    return int((said[-1].end_s + tail_s) * SAMPLE_RATE)


async def listen(
    twin: CaptionTwin,
    *,
    state: CaptionState | None = None,
    blocks: Sequence[int] = (BLOCK,),
    policy: CaptionPolicy = POLICY,
    language: str | None = "en",
    tail_s: float = 3.0,
) -> Told:
    """Hear the whole script from a state on, in blocks of these sizes, and flush."""
    captioner = Captioner(twin, state or CaptionState(), language=language, policy=policy)
    told = Told()
    end, turn = length_of(twin.said, tail_s), 0
    while captioner.next_sample < end:
        at = captioner.next_sample
        await captioner.hear(sound(at, min(at + blocks[turn % len(blocks)], end)))
        turn += 1
        while (step := await captioner.advance()) is not None:
            told.take(step, captioner.state)
    while (step := await captioner.flush()) is not None:
        told.take(step, captioner.state)
    return told


def texts(said: Sequence[Said]) -> list[str]:
    return [word.text for word in said]


def check(told: Told, said: Sequence[Said]) -> None:
    """Every word stands once, in order, about where it was said."""
    assert told.text == texts(said)
    for word, known in zip(told.stands, said, strict=True):
        assert abs(word.start_s - known.start_s) < 0.2, (word, known)
        assert word.start_s <= word.end_s
    assert all(one.end_s <= other.start_s + 0.11 for one, other in pairwise(told.stands))


PIECES = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.6, 0.8, 1.1, 1.9, 2.1, 2.6, 4.0]), st.integers(1, 14)),
    min_size=1,
    max_size=5,
)
BLOCKS = st.lists(st.integers(1, 60_000), min_size=1, max_size=4)


@given(PIECES, BLOCKS, st.sampled_from([0.16, 0.25, 0.5]))
@settings(max_examples=60, deadline=None)
async def test_every_word_stands_once_and_in_order(
    pieces: list[tuple[float, int]], blocks: list[int], word_s: float
) -> None:
    said = script(*pieces, word_s=word_s)
    if sum(blocks) < len(blocks) * 200:
        blocks = [size * 200 for size in blocks]
    check(await listen(CaptionTwin(said), blocks=blocks), said)


async def test_speech_without_a_pause_that_outlasts_the_window_is_kept_whole() -> None:
    said = script((0.5, 200), word_s=0.25, gap_s=0.05)
    twin = CaptionTwin(said)
    check(await listen(twin), said)
    longest_s = max(window.samples.size for window in twin.windows) / SAMPLE_RATE
    assert longest_s < POLICY.max_window_s + 0.1


async def test_words_of_a_full_window_stand_although_no_two_hypotheses_agree() -> None:
    """Nothing agrees and nothing is sure, so that every window fills; none is heard in vain."""
    said = script((0.5, 120), word_s=0.25, gap_s=0.05)
    every = CaptionPolicy(period_s=100.0, settled_s=100.0)
    twin = CaptionTwin(said, probability=0.1)
    told = await listen(twin, policy=every)
    missing = len(said) - len({text for text in told.text if text in texts(said)})
    assert told.text == sorted(told.text, key=lambda text: int(text.strip("w-") or -1))
    assert missing <= 4, told.text
    assert len(twin.windows) <= 2 + length_of(said) / SAMPLE_RATE / (POLICY.max_window_s / 2)


async def test_a_full_window_moves_on_even_if_its_words_have_no_times() -> None:
    """A recogniser that puts every word at the beginning of the window cannot hold it there."""

    class Timeless(CaptionTwin):
        async def caption(self, window: CaptionWindow) -> CaptionResult:
            result = await super().caption(window)
            words = tuple(replace(word, start_s=0.0, end_s=0.0) for word in result.words)
            return replace(result, words=words)

    twin = Timeless(script((0.5, 120), word_s=0.25, gap_s=0.05), probability=0.1)
    policy = CaptionPolicy(period_s=100.0, settled_s=100.0)
    await listen(twin, policy=policy)
    assert len(twin.windows) <= 2 + length_of(twin.said) / SAMPLE_RATE / (POLICY.max_window_s / 2)


async def test_what_is_unsure_at_first_is_corrected_before_it_stands() -> None:
    said = TALK
    every_word = frozenset(range(len(said)))
    told = await listen(CaptionTwin(said, misheard=every_word))
    shown = {word.text.strip() for step in told.steps for word in step.may_follow}
    assert any(text.startswith("x") for text in shown)
    # A word that is heard for the first time at a pause is heard only once.
    wrong = [text for text in told.text if text.startswith("x")]
    assert len(wrong) < len(said) / 3
    assert [text.replace("x", "w") for text in told.text] == texts(said)


async def test_a_word_that_is_cut_off_stands_only_whole() -> None:
    """The end of the sound mangles the last word of most hypotheses."""
    told = await listen(CaptionTwin(TALK), blocks=(1700,))
    shown = {word.text.strip() for step in told.steps for word in step.may_follow}
    assert any(text.endswith("-") for text in shown)
    check(told, TALK)


async def test_a_comma_that_comes_late_doubles_no_word() -> None:
    """The recogniser joins it to the last word that stands already."""
    said = script((0.5, 30))
    told = await listen(CaptionTwin(said, commas=frozenset(range(0, 30, 2))))
    assert [text.rstrip(",") for text in told.text] == texts(said)


@given(st.integers(0, 40), st.sampled_from([0.02, 0.08]))
@settings(max_examples=20, deadline=None)
async def test_times_that_drift_neither_lose_nor_double_a_word(seed: int, drift_s: float) -> None:
    twin = CaptionTwin(TALK, drift_s=drift_s)
    twin._chance.seed(seed)
    told = await listen(twin)
    assert told.text == texts(TALK)
    assert all(one.start_s <= other.start_s for one, other in pairwise(told.stands))
    assert all(word.start_s <= word.end_s for word in told.stands)


@given(BLOCKS, BLOCKS, st.integers(0, 30))
@settings(max_examples=25, deadline=None)
async def test_another_captioner_goes_on_from_any_state(
    blocks: list[int], later_blocks: list[int], step: int
) -> None:
    """It hears no more than it has to, and continues without a hole or a double."""
    blocks, later_blocks = ([size + 800 for size in each] for each in (blocks, later_blocks))
    told = await listen(CaptionTwin(TALK), blocks=blocks)
    count, state = told.states[step % len(told.states)]
    state = CaptionState.from_json(json.loads(json.dumps(state.to_json())))
    heir = await listen(CaptionTwin(TALK), state=state, blocks=later_blocks)
    assert told.text == texts(TALK)
    assert told.text[:count] + heir.text == texts(TALK)


async def test_a_captioner_that_takes_over_in_silence_hears_how_speech_begins() -> None:
    """The sound before a voice is found belongs to it."""
    said = script((5.0, 3))
    captioner = Captioner(CaptionTwin(said), CaptionState(), language="en")
    await captioner.hear(sound(0, 5 * SAMPLE_RATE - 200))
    assert await captioner.advance() is None
    assert captioner.state.needed_from <= (5.0 - POLICY.lead_s) * SAMPLE_RATE
    check(await listen(CaptionTwin(said), state=captioner.state), said)


async def test_taking_over_again_and_again_leads_back_to_nothing() -> None:
    said = script((0.5, 3), (4.0, 2))
    state = CaptionState()
    told = Told()
    for end_s in (2.0, 2.3, 2.7, 3.4, 4.2, 5.4, 6.0, 9.0):
        captioner = Captioner(CaptionTwin(said), state, language="en")
        await captioner.hear(sound(captioner.next_sample, int(end_s * SAMPLE_RATE)))
        while (step := await captioner.advance()) is not None:
            told.take(step, captioner.state)
        assert captioner.state.needed_from >= state.needed_from
        state = captioner.state
    while (step := await captioner.flush()) is not None:
        told.take(step, captioner.state)
    check(told, said)


async def test_a_state_survives_json() -> None:
    told = await listen(CaptionTwin(TALK))
    for _, state in told.states:
        assert CaptionState.from_json(json.loads(json.dumps(state.to_json()))) == state


async def test_a_click_is_no_word() -> None:
    said = [Said("click", 1.0, 1.05), Said("real", 4.0, 4.4)]
    twin = CaptionTwin(said)
    told = await listen(twin)
    assert told.text == ["real"]
    assert len(twin.windows) == 1


async def test_a_click_at_the_end_is_no_word_either() -> None:
    twin = CaptionTwin([Said("click", 1.0, 1.05)])
    assert (await listen(twin, tail_s=0.2)).text == []
    assert twin.windows == []


async def test_a_flush_lets_everything_stand_that_was_heard() -> None:
    said = script((0.5, 6))
    told = await listen(CaptionTwin(said), tail_s=0.05)
    assert told.text == texts(said)
    assert told.steps[-1].pauses


async def test_after_a_flush_speech_goes_on() -> None:
    said = script((0.5, 20))
    captioner, told = Captioner(CaptionTwin(said), CaptionState(), language="en"), Told()
    cut = int((said[9].end_s + 0.02) * SAMPLE_RATE)
    for start, end in ((0, cut), (cut, length_of(said))):
        await captioner.hear(sound(start, end))
        while (step := await captioner.flush()) is not None:
            told.take(step, captioner.state)
    check(told, said)


async def test_nothing_is_flushed_twice() -> None:
    captioner = Captioner(CaptionTwin(TALK), CaptionState(), language="en")
    await captioner.hear(sound(0, length_of(TALK)))
    while await captioner.flush() is not None:
        pass
    assert await captioner.flush() is None


async def test_words_that_were_shown_stand_when_the_recogniser_runs_away_at_the_pause() -> None:
    said = script((0.5, 7))
    twin = CaptionTwin(said, runs_away=lambda window: window.final)
    told = await listen(twin)
    assert told.text[:5] == texts(said)[:5]
    assert told.steps[-1].pauses


async def test_words_that_were_shown_stand_when_it_runs_away_in_a_full_window() -> None:
    said = script((0.5, 60), word_s=0.25, gap_s=0.05)
    twin = CaptionTwin(said, probability=0.1, runs_away=lambda window: window.final)
    shown_once = CaptionPolicy(period_s=8.0, settled_s=100.0)
    told = await listen(twin, policy=shown_once)
    assert told.text[:20] == texts(said)[:20]


async def test_a_partial_that_runs_away_changes_nothing() -> None:
    sick = iter([True, False, True, False])
    twin = CaptionTwin(TALK, runs_away=lambda window: not window.final and next(sick, False))
    check(await listen(twin), TALK)


class Swallowing(CaptionTwin):
    """Takes all as said once the words that it is told to begin with were said before a pause."""

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        result = await super().caption(window)
        known = [word for word in result.words if set(word.tokens) <= set(window.prefix)]
        following = result.words[len(known) :]
        swallowed = known and following and following[0].start_s - known[-1].end_s > 0.5
        return replace(result, words=tuple(known)) if swallowed else result


async def test_speech_that_a_context_before_a_pause_swallows_is_heard_without_it() -> None:
    said = script((0.5, 6), (1.0, 6), (1.2, 4), (0.9, 2))
    check(await listen(Swallowing(said)), said)


@pytest.mark.parametrize("block", [512, 1024, 2048, 4000])
@pytest.mark.parametrize("last_s", [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
async def test_a_last_word_that_a_context_swallows_is_heard_at_the_pause(
    last_s: float, block: int
) -> None:
    """Wherever its end falls between two hypotheses."""
    said = script((0.5, 6))
    begin_s = said[-1].end_s + 1.0
    said.append(Said("late", begin_s, round(begin_s + last_s, 3)))
    assert (await listen(Swallowing(said), blocks=(block,))).text == texts(said)


class Forgetful(CaptionTwin):
    """Hears nothing new at a pause."""

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        result = await super().caption(window)
        known = [word for word in result.words if set(word.tokens) <= set(window.prefix)]
        return replace(result, words=tuple(known)) if window.final else result


async def test_words_that_stand_are_not_doubled_when_those_behind_them_vanish() -> None:
    said = script((0.5, 12), (0.9, 9))
    told = await listen(Forgetful(said))
    assert len(set(told.text)) == len(told.text)
    assert [text for text in told.text if text not in texts(said)] == []
    state = told.states[-2][1]
    heir = await listen(Forgetful(said), state=state)
    known = told.text[: told.states[-2][0]]
    assert not set(heir.text) & set(known)


async def test_an_hour_of_silence_leaves_memory_flat() -> None:
    captioner = Captioner(CaptionTwin(()), CaptionState(), language="en")
    held = []
    for minute in range(60):
        start = minute * 60 * SAMPLE_RATE
        await captioner.hear(sound(start, start + 60 * SAMPLE_RATE))
        assert await captioner.advance() is None
        held.append(buffered(captioner))
    assert max(held) <= 61 * SAMPLE_RATE
    assert held[-1] == held[1]


async def test_endless_voice_without_a_word_leaves_memory_flat() -> None:
    """Music may be taken for voice; the window is bounded all the same."""

    class Deaf(CaptionTwin):
        async def caption(self, window: CaptionWindow) -> CaptionResult:
            return replace(await super().caption(window), words=())

    twin = Deaf([Said("music", 0.0, 300.0)])
    captioner = Captioner(twin, CaptionState(), language="en")
    for start in range(0, 300 * SAMPLE_RATE, BLOCK):
        await captioner.hear(sound(start, start + BLOCK))
        while await captioner.advance() is not None:
            pass
        assert buffered(captioner) <= (POLICY.max_window_s + 1) * SAMPLE_RATE
    assert len(captioner.state.prompt) == 0


def buffered(captioner: Captioner) -> int:
    samples: Any = captioner._sound
    return int(samples.end - samples.start)


async def test_the_prompt_keeps_what_was_said_last() -> None:
    said = script((0.5, 100), word_s=0.2)
    twin = CaptionTwin(said)
    await listen(twin, policy=CaptionPolicy(max_prompt_tokens=10))
    assert {len(window.prompt) for window in twin.windows} <= set(range(11))
    assert len(twin.windows[-1].prompt) == 10
    assert twin.windows[-1].prompt[-1] < twin.windows[-1].prefix[0]


async def test_a_language_that_nobody_named_is_told_from_enough_sound() -> None:
    said = script((0.5, 2), (3.0, 20), (3.0, 2))
    twin = CaptionTwin(said, language="ru")
    await listen(twin, language=None)
    sizes = [window.samples.size / SAMPLE_RATE for window in twin.windows]
    known = [window.language for window in twin.windows]
    told_at = known.index("ru")
    assert known == [None] * told_at + ["ru"] * (len(known) - told_at)
    assert max(sizes[:told_at]) >= 2.5
    assert all(size < 2.5 for size in sizes[: told_at - 1])


async def test_a_language_that_is_told_unsurely_is_looked_for_again() -> None:
    twin = CaptionTwin(TALK, language="ru", language_probability=0.4)
    await listen(twin, language=None)
    assert {window.language for window in twin.windows} == {None}


async def test_a_language_that_was_named_is_kept() -> None:
    twin = CaptionTwin(TALK, language="en")
    captioner = Captioner(twin, CaptionState(language="ru"), language="en")
    await captioner.hear(sound(0, length_of(TALK)))
    await captioner.advance()
    assert {window.language for window in twin.windows} == {"en"}


async def test_a_pause_is_told_soon_after_it_and_samples_reach_the_recogniser_once() -> None:
    said = script((0.5, 5), (2.5, 5))
    told = await listen(CaptionTwin(said), blocks=(512,))
    pauses = [step for step in told.steps if step.pauses]
    assert [len(step.may_follow) for step in pauses] == [0, 0]
    assert np.diff([word.stretch for word in told.stands]).astype(bool).sum() == 1

"""Speech is the same however its samples arrive, and so is the way back to the track."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interview_agent.ports.speech import WINDOW_FRAMES, SpokenWord
from interview_agent.stt.position import Position
from interview_agent.stt.speech_gate import PAD_SAMPLES, SpeechGate
from interview_agent.stt.timeline import Timeline
from made_speech import CountingModel, speech

STEP = 512


def spans(gate: SpeechGate, heard: int) -> list[tuple[int, int]]:
    """Join the pieces that a gate gives into spans."""
    joined: list[tuple[int, int]] = []
    for piece in gate.take(heard):
        if piece.opens:
            joined.append((piece.start, piece.end))
        else:
            joined[-1] = (joined[-1][0], piece.end)
    return joined


def test_speech_is_padded_and_survives_short_silence() -> None:
    """Two seconds of quiet end it; less does not."""
    gate = SpeechGate()
    gate.feed([0.1] * 20 + [0.9] * 10 + [0.1] * 60 + [0.9] * 5 + [0.1] * 80)
    first, last = 20 * STEP - PAD_SAMPLES, 95 * STEP + PAD_SAMPLES
    assert spans(gate, 175 * STEP) == [(first, last)]


def test_open_speech_is_certain_up_to_its_padding() -> None:
    """What may still turn out to be padding or speech is given at once, no more."""
    gate = SpeechGate()
    gate.feed([0.9] * 30 + [0.1] * 40)
    assert spans(gate, 70 * STEP) == [(0, 30 * STEP + PAD_SAMPLES)]


def test_the_end_makes_open_speech_certain() -> None:
    """Speech that is open when the track ends lasts until its end, quiet or not."""
    gate = SpeechGate()
    gate.feed([0.9] * 30 + [0.1] * 40)
    gate.end(70 * STEP + 7)
    assert spans(gate, 70 * STEP + 7) == [(0, 70 * STEP + 7)]


PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.1, 0.4, 0.9]), st.integers(1, 90)), max_size=12
).map(lambda runs: [value for value, count in runs for _ in range(count)])


@given(PROBABILITIES, st.integers(1, 40), st.integers(0, STEP - 1))
def test_pieces_add_up_to_the_same_spans(values: list[float], stride: int, rest: int) -> None:
    """A gate asked after every few steps gives what one asked at the end gives."""
    heard = len(values) * STEP + rest
    whole = SpeechGate()
    whole.feed(values)
    whole.end(heard)
    gate, joined = SpeechGate(), list[tuple[int, int]]()
    for at in range(0, len(values), stride):
        gate.feed(values[at : at + stride])
        last = at + stride >= len(values)
        if last:
            gate.end(heard)
        for piece in gate.take(heard if last else gate.steps * STEP):
            if piece.opens:
                joined.append((piece.start, piece.end))
            else:
                assert joined[-1][1] == piece.start
                joined[-1] = (joined[-1][0], piece.end)
    assert joined == spans(whole, heard)


async def heard(track: bytes, block_samples: int, *, forget: bool = False) -> Timeline:
    timeline = Timeline(CountingModel(), vad=True)
    samples = np.frombuffer(track, "<i2").astype(np.float32) / 32768
    for seq, at in enumerate(range(0, samples.size, block_samples)):
        await timeline.hear(samples[at : at + block_samples], seq)
        if forget:
            timeline.forget_before(2000)
    await timeline.end()
    return timeline


TRACK = speech(5, 0) + speech(20, 0.3, 1) + speech(4, 0) + speech(22, 0.3, 2) + speech(0.01, 0.3)


async def test_windows_do_not_depend_on_the_size_of_blocks() -> None:
    """Odd blocks, and blocks that are dropped as they come, give the samples of one block."""
    one = await heard(TRACK, 10**7)
    many = await heard(TRACK, 3333)
    lean = await heard(TRACK, 16000, forget=True)
    position = Position(frames=2000)
    windows = [timeline.window(position, "en") for timeline in (one, many, lean)]
    assert windows[0] is not None
    assert windows[0].ends
    assert windows[0].frames == one.speech_frames - 2000
    for window in windows[1:]:
        assert window is not None
        assert np.array_equal(window.samples, windows[0].samples)
    assert one.speech_frames == many.speech_frames == lean.speech_frames


async def test_a_window_waits_for_all_its_sound() -> None:
    """It is given with 30 ms more than its 30 s, or at the end."""
    timeline = Timeline(CountingModel(), vad=False)
    sound = np.full(30 * 16000 + 479, 0.3, np.float32)
    await timeline.hear(sound, 0)
    assert timeline.window(Position(), None) is None
    fork = timeline.fork()
    await fork.end()
    await timeline.hear(sound[:1], 1)
    window, last = timeline.window(Position(), None), fork.window(Position(), None)
    assert window is not None
    assert last is not None
    assert (window.frames, window.ends) == (WINDOW_FRAMES, False)
    assert (last.frames, last.ends) == (WINDOW_FRAMES, True)


async def test_words_go_back_to_where_they_were_said() -> None:
    """Removed silence is added again; both ends of a word go to the stretch of its middle."""
    timeline = await heard(TRACK, 16000)
    first, second = (timeline.place(SpokenWord(" w", at, at + 0.4, 0.9)) for at in (1.0, 20.65))
    assert (first.start_s, first.end_s) == (5.59, 5.99)
    assert abs(second.start_s - (29 - 0.4 - (20.8 - 20.65))) < 0.1
    assert first.stretch != second.stretch
    assert timeline.seq_at(first.start_s) == 5
    assert timeline.last_seq_before(2000) == 23


async def test_memory_does_not_grow_with_silence_or_with_what_is_behind() -> None:
    """An hour of a track leaves no more than a window behind its position."""
    timeline = Timeline(CountingModel(), vad=True)
    talk = np.frombuffer(speech(5, 0.3) + speech(5, 0), "<i2").astype(np.float32) / 32768
    for seq in range(360):
        await timeline.hear(talk, seq)
        timeline.forget_before(max(0, timeline.speech_frames - 3000))
    held = timeline.__dict__
    assert held["_speech"].end - held["_speech"].start < 45 * 16000
    assert held["_sound"].end - held["_sound"].start < 20 * 16000
    assert len(held["_chunk_seqs"]) < 20

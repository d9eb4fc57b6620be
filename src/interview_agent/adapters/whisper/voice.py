"""Silero voice detection with its state carried from call to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interview_agent.ports.speech import VOICE_SAMPLES, Probabilities, VoiceState

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples

CONTEXT_SAMPLES = 64


def find_voice(
    session: Any, samples: Samples, state: VoiceState | None
) -> tuple[Probabilities, VoiceState]:
    """Return the probability of voice in each step, as a batch over the whole track would.

    `session` is the ONNX session of the Silero network that faster-whisper carries. Each step
    hears the last 64 samples of the one before it.
    """
    if state is None:
        nothing = np.zeros((1, 1, 128), np.float32)
        state = VoiceState(nothing, nothing, np.zeros(CONTEXT_SAMPLES, np.float32))
    steps = samples.reshape(-1, VOICE_SAMPLES)
    ends = steps[:, -CONTEXT_SAMPLES:]
    contexts = np.concatenate((state.context[np.newaxis], ends[:-1]))
    inputs = {"input": np.concatenate((contexts, steps), axis=1), "h": state.hidden}
    probabilities, hidden, cell = session.run(None, {**inputs, "c": state.cell})
    return probabilities.reshape(-1), VoiceState(hidden, cell, ends[-1].copy())

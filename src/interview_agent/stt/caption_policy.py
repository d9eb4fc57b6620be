"""When live speech is recognised, and which of its words are to stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptionPolicy:
    """When to recognise, and what is to stand.

    A hypothesis is made after `period_s` of new sound, the first of an utterance after `first_s`.
    Voice begins at a probability of `voice` and goes on above `quiet`; a pause is `pause_s`
    without it, and speech after more than `join_s` has nothing to do with what came before.
    `lead_s` and `trail_s` of sound around the voice are heard with it. A window never grows beyond
    `max_window_s`. `context_words` words that stand remain in it. A word stands at first sight
    `settled_s` behind the end, if the recogniser gives it `settled_probability`, and twice as far
    behind in any case.
    """

    period_s: float = 1.5
    first_s: float = 1.0
    voice: float = 0.5
    quiet: float = 0.35
    pause_s: float = 0.7
    join_s: float = 2.0
    lead_s: float = 0.3
    trail_s: float = 0.3
    max_window_s: float = 12.0
    context_words: int = 1
    settled_s: float = 0.8
    settled_probability: float = 0.6
    max_prompt_tokens: int = 72


DEFAULT_POLICY = CaptionPolicy()

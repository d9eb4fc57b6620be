"""Builders of small interviews for tests: evenly spoken words, segments, sessions, strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from interview_agent.domain.analytics.reading import InterviewSession
from interview_agent.domain.transcript import Segment, Word

SLOT_S = 0.5
WORD_S = 0.4


def spoken(start_s: float, text: str) -> list[Word]:
    """Speak every word in 0.4 s with 0.1 s between: n words last 0.5 n - 0.1 s."""
    return [
        Word(token, round(start_s + SLOT_S * at, 3), round(start_s + SLOT_S * at + WORD_S, 3))
        for at, token in enumerate(text.split())
    ]


def segment(number: int, speaker: str | None, start_s: float, text: str) -> Segment:
    """Make a segment whose words are spoken evenly from `start_s`."""
    words = spoken(start_s, text)
    return Segment(
        meeting_id="m",
        segment_id=f"seg_{number:06d}",
        track=speaker or "main",
        start_s=start_s,
        end_s=words[-1].end_s if words else start_s,
        raw_text=text,
        text=text,
        words=tuple(words),
        speaker=speaker,
    )


def interview(*lines: tuple[str | None, float, str], **known: Any) -> InterviewSession:
    """Make a session of 120 s from (speaker, start in seconds, text)."""
    segments = [segment(number, *line) for number, line in enumerate(lines, start=1)]
    return InterviewSession(segments=segments, **{"duration_s": 120.0, **known})


def words_document(*lines: tuple[str | None, float, str], **known: Any) -> dict[str, Any]:
    """Make a file of timed words of 120 s on separate channels."""
    words = [
        {"speaker": speaker, "start": word.start_s, "end": word.end_s, "text": word.text}
        for speaker, start_s, text in lines
        for word in spoken(start_s, text)
    ]
    return {"duration_s": 120.0, "channels_separate": True, "roles": {}, "words": words, **known}


_SAID = (
    "мы строили шлюз очередь нагрузка выросла. Потом почему? Расскажите, угу да так какие вы "
    "Kafka we built queue? Why how you yes mhm tell me okay. It, works! сервис. Как ли т. е. эээ"
)
VOCABULARY = tuple(_SAID.split())

SPEAKERS = st.sampled_from(["INT", "CAN", "Третий", None])


@st.composite
def timed_words(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw words in any order, some with broken times."""
    count = draw(st.integers(min_value=1, max_value=40))
    return [
        {
            "speaker": draw(st.sampled_from(["INT", "CAN"])),
            "start": (start := draw(st.integers(min_value=-200, max_value=60_000))) / 1000,
            "end": (start + draw(st.integers(min_value=-100, max_value=1500))) / 1000,
            "text": draw(st.sampled_from(VOCABULARY)),
        }
        for _ in range(count)
    ]


@st.composite
def sessions(draw: st.DrawFn) -> InterviewSession:
    """Draw a session: enhanced text may lack words of the raw one, segments may lack words."""
    segments = []
    for number in range(draw(st.integers(min_value=0, max_value=14))):
        tokens = draw(st.lists(st.sampled_from(VOCABULARY), max_size=14))
        start_s = draw(st.integers(min_value=0, max_value=60_000)) / 1000
        made = segment(number, draw(SPEAKERS), start_s, " ".join(tokens))
        kept = [token for token in tokens if draw(st.integers(min_value=0, max_value=9))]
        gap = draw(st.sampled_from([" ", "  ", " \n"]))
        segments.append(
            Segment(
                meeting_id="m",
                segment_id=made.segment_id,
                track=made.track,
                start_s=made.start_s,
                end_s=made.end_s + draw(st.sampled_from([0.0, 3.0])),
                raw_text=made.raw_text,
                text=draw(st.sampled_from(["", " "])) + gap.join(kept),
                words=made.words if draw(st.booleans()) else (),
                speaker=made.speaker,
            )
        )
    return InterviewSession(
        segments=segments,
        duration_s=60.0,
        channels_separate=draw(st.booleans()),
        roles=draw(
            st.sampled_from([{}, {"INT": "interviewer", "CAN": "candidate"}, {"CAN": "candidate"}])
        ),
        language=draw(st.sampled_from(["ru", "en", "de", None])),
        verbatim=draw(st.booleans()),
        plan=draw(st.sampled_from([(), ("Какая нагрузка на шлюз?", "Why Kafka?", "?")])),
    )

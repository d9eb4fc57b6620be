"""Sentences of our own that a report contains, in Russian and English."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_SPEECH = {"ru": "Речь не распознана.", "en": "No speech was recognised."}
GAPS = {"ru": "В записи есть пропуски: {n}.", "en": "The recording has gaps: {n}."}
UNATTRIBUTED = {
    "ru": "Для {percent} % речи говорящий неизвестен.",
    "en": "The speaker of {percent} % of the speech is unknown.",
}
ESTIMATED = {
    "ru": "Время слов оценено приблизительно: {n}.",
    "en": "Word times were only estimated: {n}.",
}
INTERVIEWER_TALKS_MORE = {
    "ru": "Интервьюер говорил больше кандидата: {percent} % речи.",
    "en": "The interviewer spoke more than the candidate: {percent} % of the speech.",
}
NOT_FOUND = {
    "ru": "Вопросы плана, не найденные в расшифровке: {n}.",
    "en": "Planned questions not found in the transcript: {n}.",
}
CHECK_PLAN = {
    "ru": "Проверить вопросы плана, не найденные в расшифровке: {quotes}.",
    "en": "Check the planned questions not found in the transcript: {quotes}.",
}
CHECK_UNANSWERED = {
    "ru": "Вернуться к вопросам без ответа: {quotes}.",
    "en": "Return to the questions left without an answer: {quotes}.",
}
MORE = {"ru": "и ещё {n}", "en": "and {n} more"}
QUOTED = {"ru": "«{text}»", "en": "“{text}”"}

MAX_LISTED = 5


def tongue(language: str | None) -> str:
    """Return `ru` for Russian and `en` for everything else."""
    return "ru" if (language or "").lower().partition("-")[0] == "ru" else "en"


def listed(texts: Sequence[str], language: str) -> str:
    """Quote up to five texts and count the rest."""
    parts = [QUOTED[language].format(text=text) for text in texts[:MAX_LISTED]]
    if len(texts) > MAX_LISTED:
        parts.append(MORE[language].format(n=len(texts) - MAX_LISTED))
    return ", ".join(parts)

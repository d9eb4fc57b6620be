"""A report as plain text, for a terminal or a letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.report_wording import tongue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HEADINGS = {
    "ru": {
        "title": "Отчёт об интервью",
        "summary": "Коротко (дословные цитаты)",
        "metrics": "Показатели",
        "questions": "Вопросы и ответы",
        "longest": "Самые длинные ответы",
        "plan": "План интервью",
        "gaps": "Пропуски в записи",
        "flags": "Обратить внимание",
        "recommendation": "Проверить дальше",
        "no_answer": "без ответа",
        "unknown": "неизвестно кто",
        "track": "дорожка",
        "asked": "прозвучал",
        "not_found": "не найден в расшифровке",
        "not_measurable": "не измерено",
        "low_sample": "мало наблюдений",
        "seconds": "с",
    },
    "en": {
        "title": "Interview report",
        "summary": "In short (verbatim quotes)",
        "metrics": "Figures",
        "questions": "Questions and answers",
        "longest": "Longest answers",
        "plan": "Interview plan",
        "gaps": "Gaps in the recording",
        "flags": "Note",
        "recommendation": "Check next",
        "no_answer": "no answer",
        "unknown": "unknown speaker",
        "track": "track",
        "asked": "asked",
        "not_found": "not found in the transcript",
        "not_measurable": "not measured",
        "low_sample": "few observations",
        "seconds": "s",
    },
}
_FIGURES = {
    "talk_share": ("Доля речи", "Talk share"),
    "silence_ratio": ("Доля тишины", "Silence"),
    "overlap_s": ("Одновременная речь", "Overlap"),
    "turns": ("Реплики", "Turns"),
    "switches_per_min": ("Смены говорящего", "Switches"),
    "longest_monologue_s": ("Самый длинный монолог", "Longest monologue"),
    "response_latency_s": ("Пауза перед ответом", "Response latency"),
    "thinking_time_s": ("Время на обдумывание", "Thinking time"),
    "interruptions": ("Перебивания", "Interruptions"),
    "long_pauses": ("Долгие паузы", "Long pauses"),
    "questions": ("Вопросы", "Questions"),
    "answer_length_s": ("Длина ответа", "Answer length"),
    "pace_wpm": ("Темп", "Pace"),
    "letters_per_second": ("Букв в секунду", "Letters per second"),
    "fillers_per_100_words": ("Слова-паразиты", "Fillers"),
    "punctuality_s": ("Начало после назначенного", "Start after schedule"),
    "plan_coverage": ("Пройдено по плану", "Plan covered"),
}
_REASONS = {
    "no_speech": ("нет речи", "no speech"),
    "no_roles": ("роли не названы", "no roles given"),
    "unattributed_speech": ("говорящий неизвестен", "speaker unknown"),
    "channels_not_separate": ("общая дорожка", "one shared channel"),
    "too_little_speech": ("мало речи", "too little speech"),
    "few_observations": ("мало наблюдений", "few observations"),
    "no_observations": ("не встретилось", "never occurred"),
    "no_punctuation": ("нет знаков препинания", "no punctuation"),
    "no_questions": ("нет вопросов", "no questions"),
    "not_verbatim": ("расшифровка не дословная", "transcript not verbatim"),
    "language_not_supported": ("язык не поддержан", "language not supported"),
    "one_interviewer": ("один интервьюер", "one interviewer"),
    "no_plan": ("нет плана", "no plan"),
    "no_schedule": ("нет времени начала", "no schedule"),
    "no_start": ("начало неизвестно", "start not known"),
}
_UNITS = {
    "s": ("с", "s"),
    "1/min": ("в минуту", "per min"),
    "words/min": ("слов/мин", "words/min"),
    "letters/s": ("", ""),
    "1/100 words": ("на 100 слов", "per 100 words"),
}


def format_report(report: Mapping[str, Any], language: str | None = None) -> str:
    """Render a report of `build_report` as plain text with headings in Russian or English.

    `language` defaults to that of the report; anything but Russian gets English headings. Times
    are mm:ss of the meeting, minutes above 59 included. The text ends with a line feed.
    """
    at = tongue(language or report.get("language"))
    words = _HEADINGS[at]
    title = f"{words['title']} · {clock(report['duration_s'])}"
    lines = [title, "=" * len(title)]
    lines += _section(words["summary"], _summary(report, words))
    lines += _section(words["metrics"], _figures(report["metrics"], at))
    lines += _section(words["questions"], _questions(report["questions"], words))
    lines += _section(words["longest"], _longest(report["longest_answers"], words))
    lines += _section(words["plan"], _plan(report["plan_coverage"]["items"], words))
    lines += _section(words["flags"], [f"- {flag}" for flag in report["risk_flags"]])
    lines += _section(words["recommendation"], [report["recommendation"]])
    lines += _section(words["gaps"], [f"- {_gap(gap, words)}" for gap in report["gaps"]])
    return "\n".join(lines) + "\n"


def clock(seconds: float) -> str:
    """Return whole seconds as mm:ss; two hours are 120:00."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    shown = [line for line in lines if line]
    return ["", heading, "-" * len(heading), *shown] if shown else []


def _who(speaker: str | None, words: Mapping[str, str]) -> str:
    return speaker if speaker is not None else words["unknown"]


def _summary(report: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    quotes = report["summary_quotes"]
    if not quotes:
        return [report["summary"]]
    return [
        f"[{clock(quote['start'])}] {_who(quote['speaker'], words)}: {_one_line(quote['text'])}"
        for quote in quotes
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _figures(metrics: Mapping[str, Any], at: str) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    for name, titles in _FIGURES.items():
        figure = metrics[name]
        title = titles[at == "en"]
        if isinstance(figure.get("status"), str):
            rows.append((title, "", _value(figure, at)))
            continue
        for speaker, own in figure.items():
            rows.append((title, speaker, _value(own, at)))
            title = ""
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [
        f"{title:<{widths[0]}}  {speaker:<{widths[1]}}  {value}".rstrip()
        for title, speaker, value in rows
    ]


def _value(figure: Mapping[str, Any], at: str) -> str:
    english = at == "en"
    words = _HEADINGS[at]
    value, unit = figure["value"], figure["unit"]
    if value is None:
        known = _REASONS.get(figure["reason"])
        why = known[english] if known else str(figure["reason"])
        return f"{words['not_measurable']} ({why})"
    if unit == "share":
        shown = f"{100 * value:.0f} %"
    else:
        shown = f"{value:g} {_UNITS.get(unit, ('', ''))[english]}".rstrip()
    few = f", {words['low_sample']}" if figure["status"] == "low_sample" else ""
    return f"{shown} (n={figure['n']}{few})" if "p90" in figure else shown + few


def _questions(questions: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for number, question in enumerate(questions, start=1):
        who = _who(question["speaker"], words)
        lines.append(f"{number}. [{clock(question['start'])}] {who}: {_one_line(question['text'])}")
        answer = question["answer"]
        if answer:
            lines.append(f"   {_answer(answer, words)}")
        elif question["answer_reason"] == "no_reply":
            lines.append(f"   ({words['no_answer']})")
    return lines


def _answer(answer: Mapping[str, Any], words: Mapping[str, str]) -> str:
    who = _who(answer["speaker"], words)
    return f"{_size(answer, words)} {who}: {_one_line(answer['text'])}"


def _size(answer: Mapping[str, Any], words: Mapping[str, str]) -> str:
    return f"[{clock(answer['start'])}, {answer['seconds']:.1f} {words['seconds']}]"


def _longest(answers: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    return [
        f"- {_size(answer, words)} {_who(answer['speaker'], words)} ← "
        f"{_one_line(answer['question']['text'])}"
        for answer in answers
    ]


def _plan(items: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    lines = []
    for item in items:
        place = f" [{clock(item['asked']['start'])}]" if item["asked"] else ""
        lines.append(f"- {item['question']}: {words[item['status']]}{place}")
    return lines


def _gap(gap: Mapping[str, Any], words: Mapping[str, str]) -> str:
    track, first, last = gap.get("track"), gap.get("first_seq"), gap.get("last_seq")
    if track is None or first is None or last is None:
        return ", ".join(f"{key}: {value}" for key, value in gap.items())
    numbers = f"{first}" if first == last else f"{first}–{last}"
    return f"{words['track']} {track}: {numbers}"

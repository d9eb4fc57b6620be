"""Cards, SNILS, INN and passports: numbers told by their checks, their grouping and their names."""

from __future__ import annotations

import re

from interview_agent.domain.pii.checksums import inn_valid, luhn_valid, snils_valid
from interview_agent.domain.pii.rule import (
    DASH,
    GAP,
    LEFT_NO_PLUS,
    RIGHT,
    SPACE,
    Rule,
    Span,
    around,
    before,
    compiled,
    digits_of,
    group_lengths,
)

_CARD_NAME = compiled(r"\bкарт|\bcards?\b")
_SNILS_NAME = compiled(r"\bснилс|\bsnils\b|страхов\w+ (?:номер|свидетельств)")
_INN_NAME = compiled(r"\bинн\b|\binn\b|\btaxpayer")
_PASSPORT_NAME = compiled(r"паспорт|\bсери[яиюей]+\b|\bpassport|\bseries\b")
_PASSPORT_ALONE = compiled(r"паспорт|passport")
_PHONE_NAME = compiled(r"\bтел\b|телефон|звон|мобильн|\bphone|\bcall\b")

_CARD_PREFIXES = (
    (re.compile(r"220[0-4]"), range(16, 20)),
    (re.compile(r"4"), range(13, 20)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), range(16, 17)),
    (re.compile(r"3[47]"), range(15, 16)),
    (re.compile(r"30[0-5]|36|3[89]"), range(14, 20)),
    (re.compile(r"35[2-8]"), range(16, 20)),
    (re.compile(r"6|50|5[6-9]"), range(13, 20)),
)
"""Issuer prefixes and lengths of ISO/IEC 7812 as the card schemes publish them."""

_CARD_GAP = rf"(?:{GAP}|,{SPACE})"
_CARD_SHAPES = (
    rf"[2-6][0-9]{{3}}(?:{_CARD_GAP}[0-9]{{4}}){{3}}{_CARD_GAP}[0-9]{{3}}",
    rf"[2-6][0-9]{{3}}(?:{_CARD_GAP}[0-9]{{4}}){{3}}",
    rf"3[0-9]{{3}}{GAP}[0-9]{{6}}{GAP}[0-9]{{4,5}}",
    r"[2-6][0-9]{12,18}",
    rf"[2-6][0-9]{{3,11}}(?:{GAP}[0-9]{{4,12}}){{1,3}}",
)
_CARD_DICTATED = rf"[2-6](?:{GAP}?[0-9]){{12,18}}"


def _card(_text: str, match: re.Match[str]) -> Span | None:
    digits = digits_of(match.group())
    if not 13 <= len(digits) <= 19 or not luhn_valid(digits):
        return None
    for prefix, lengths in _CARD_PREFIXES:
        if len(digits) in lengths and prefix.match(digits):
            return match.span()
    return None


def _named_card(text: str, match: re.Match[str]) -> Span | None:
    return _card(text, match) if _CARD_NAME.search(before(text, match.start())) else None


def _snils(_text: str, match: re.Match[str]) -> Span | None:
    return match.span() if snils_valid(digits_of(match.group())) else None


def _named_snils(text: str, match: re.Match[str]) -> Span | None:
    named = _SNILS_NAME.search(around(text, *match.span()))
    return _snils(text, match) if named else None


def _inn(_text: str, match: re.Match[str]) -> Span | None:
    return match.span() if inn_valid(digits_of(match.group())) else None


def _named_inn(text: str, match: re.Match[str]) -> Span | None:
    return _inn(text, match) if _INN_NAME.search(around(text, *match.span())) else None


def _grouped_passport(text: str, match: re.Match[str]) -> Span | None:
    """Accept a series and a number, unnamed only if the series can be one and is no year.

    The series is a region and the last two digits of a year from 1997 on.
    """
    if _PASSPORT_NAME.search(around(text, *match.span())):
        return match.span()
    if "," in match.group() or _PHONE_NAME.search(before(text, match.start())):
        return None
    digits = digits_of(match.group())
    issued = int(digits[2:4])
    year_like = group_lengths(match.group())[0] == 4 and 1900 <= int(digits[:4]) <= 2099
    plausible = digits[:2] != "00" and (issued >= 97 or issued <= 40) and not year_like
    return match.span() if plausible else None


def _named_passport(text: str, match: re.Match[str]) -> Span | None:
    if _PHONE_NAME.search(before(text, match.start())):
        return None
    count = len(digits_of(match.group()))
    name = _PASSPORT_NAME if count == 10 else _PASSPORT_ALONE
    return match.span() if name.search(around(text, *match.span())) else None


def _lettered_passport(text: str, match: re.Match[str]) -> Span | None:
    return match.span() if _PASSPORT_ALONE.search(before(text, match.start())) else None


def _bounded(shape: str) -> re.Pattern[str]:
    return compiled(LEFT_NO_PLUS + shape + RIGHT)


_NUMBER_SIGN = (
    rf",?{SPACE}{{0,2}}(?:(?:за|и|and){SPACE})?"
    rf"(?:№|#|номер\w{{0,3}}|number|no\b\.?):?{SPACE}{{0,2}}"
)
_SERIES_THEN_NUMBER = (
    rf"[0-9]{{2}}(?:{SPACE}|{DASH})?[0-9]{{2}}(?:{_NUMBER_SIGN}|{GAP}|,{SPACE})[0-9]{{6}}"
)
_LETTERED = rf"[a-z]{{1,2}}{SPACE}?[0-9]{{6,8}}"

CARD_RULES = (
    *(Rule("card", _bounded(shape), _card) for shape in _CARD_SHAPES),
    Rule("card", _bounded(_CARD_DICTATED), _named_card, _CARD_NAME),
)
SNILS_RULES = (
    Rule("snils", _bounded(rf"[0-9]{{3}}(?:{GAP}[0-9]{{3}}){{2}}{GAP}[0-9]{{2}}"), _snils),
    Rule("snils", _bounded(rf"[0-9](?:{GAP}?[0-9]){{10}}"), _named_snils, _SNILS_NAME),
)
INN_RULES = (
    Rule("inn", _bounded(rf"[0-9](?:{GAP}?[0-9]){{11}}"), _named_inn, _INN_NAME),
    Rule("inn", _bounded(rf"[0-9](?:{GAP}?[0-9]){{9}}"), _named_inn, _INN_NAME),
    Rule("inn", _bounded(r"[0-9]{12}"), _inn),
)
PASSPORT_RULES = (
    Rule("passport", _bounded(_SERIES_THEN_NUMBER), _grouped_passport),
    Rule("passport", _bounded(rf"[0-9](?:{GAP}?[0-9]){{8,9}}"), _named_passport, _PASSPORT_NAME),
    Rule(
        "passport",
        _bounded(_LETTERED),
        _lettered_passport,
        _PASSPORT_ALONE,
    ),
)

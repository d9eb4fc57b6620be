"""Telephone numbers: Russian, North American, international, and local ones that are named."""

from __future__ import annotations

import re

from interview_agent.domain.pii.rule import (
    DASH,
    HESITATION,
    LEFT,
    RIGHT,
    SPACE,
    Rule,
    Span,
    before,
    compiled,
    digits_of,
    group_lengths,
    looks_like_thousands,
)

_BREAK = rf"(?:\.|(?:{SPACE}|{DASH}|[()]){{1,4}}|{HESITATION})"
_LINK = rf"{_BREAK}?"
_COMMA_BREAK = rf"(?:,{SPACE}|{_BREAK})"

_RUSSIAN_CODE = re.compile(r"[348]..|9..|[67][0-9]{2}|0[1-9].")
_BARE_RUSSIAN_CODE = re.compile(r"[348][0-9]{2}|9[0-9]{2}")
_NORTH_AMERICAN = re.compile(r"1?[2-9][0-9]{2}[2-9][0-9]{6}")
_NATIONAL_LENGTHS = {
    **dict.fromkeys(("375", "380", "998", "996", "992", "994", "993", "995", "420", "421"), 12),
    **dict.fromkeys(("44", "90", "91", "351", "30"), 12),
    **dict.fromkeys(("374", "373", "371", "370", "33", "34", "46", "41", "31", "48", "61"), 11),
    **dict.fromkeys(("86",), 13),
}
"""Digits of a whole number with its country code, for countries where the length is one."""

_PHONE_WORD = compiled(
    r"(?:\bтел|телефон\w*|мобильн\w*|сотов\w*|\bзвони\w*|позвони\w*|набер\w*|вотсап\w*"
    r"|ватсап\w*|whats?app|\bphone|\bcell|\bmobile|\bcall|\bdial|\btext|telegram|факс|\bfax)\b"
)
_PHONE_NAME = compiled(
    rf"{_PHONE_WORD.pattern}(?:{SPACE}|[:.,№()]|{DASH}"
    r"|(?:номер\w*|по|на|мне|мой|моя|наш|это|так\w{2,3}|телефон\w*|мобильн\w*|number|is|at|me|us"
    r"|my|our|on|phone)\b)*$"
)
_OTHER_NAME = compiled(
    r"(?:(?:заказ\w*|артикул\w*|сч[её]т\w*|договор\w*|тикет\w*|трек\w*|накладн\w*|\border|\bid"
    r"|invoice|ticket|tracking|isbn|account|\bsku)\b|№|#)"
    rf"(?:{SPACE}|[:№#]|(?:номер\w*|number|no)\b)*$"
)


def _span(match: re.Match[str], end: int | None = None) -> Span:
    """Return the span of a match, without a bracket that is not closed within it."""
    start, stop = match.start(), match.end() if end is None else end
    text = match.string[start:stop]
    return (start + 1 if text.startswith("(") and ")" not in text else start, stop)


def _round_sums(text: str) -> bool:
    """Whether groups parted by spaces alone are all round, as in a list of prices."""
    if re.search(rf"{DASH}|[().+]", text):
        return False
    return all(group.endswith("0") for group in re.findall(r"[0-9]+", text))


def _russian(text: str, match: re.Match[str]) -> Span | None:
    number = match.group()
    digits = digits_of(number)
    if "+" in number:
        return _span(match) if _RUSSIAN_CODE.match(digits[1:]) else None
    groups = group_lengths(number)
    if looks_like_thousands(number) or groups == (3, 3, 3, 2):
        return None
    if len(groups) == 1:
        code = r"9" if digits[0] == "7" else _BARE_RUSSIAN_CODE.pattern
        other = _OTHER_NAME.search(before(text, match.start()))
        return _span(match) if re.match(code, digits[1:]) and not other else None
    spelled = set(groups) == {1}
    usual = len(groups) <= 6 and (groups[0] >= 4 or (groups[0] == 1 and groups[1] >= 3))
    named = _PHONE_NAME.search(before(text, match.start())) is not None
    known = _RUSSIAN_CODE.match(digits[1:])
    return _span(match) if known and (spelled or usual or named) else None


def _international(_text: str, match: re.Match[str]) -> Span | None:
    number = match.group()
    digits = digits_of(number).removeprefix("00")
    if len(digits) < 9 or (looks_like_thousands(number) and digits.endswith("000")):
        return None
    if digits[0] in "17":
        return _known_plan(match, digits)
    for code_length in (3, 2):
        expected = _NATIONAL_LENGTHS.get(digits[:code_length])
        if expected is not None and len(digits) > expected:
            return _span(match, _end_of_digit(match, expected))
    return _span(match)


def _known_plan(match: re.Match[str], digits: str) -> Span | None:
    plan = _NORTH_AMERICAN if digits[0] == "1" else re.compile(r"7" + _RUSSIAN_CODE.pattern)
    if len(digits) < 11 or not plan.match(digits):
        return None
    return _span(match, _end_of_digit(match, 11))


def _end_of_digit(match: re.Match[str], count: int) -> int:
    """Return where the group that holds the digit number `count` ends."""
    seen = 0
    text, stop = match.string, match.end()
    for at in range(match.start(), stop):
        seen += "0" <= text[at] <= "9"
        if seen >= count and not text[at + 1 : at + 2].isdigit():
            return at + 1
    return stop


def _north_american(text: str, match: re.Match[str]) -> Span | None:
    number = match.group()
    digits = digits_of(number)
    if not _NORTH_AMERICAN.fullmatch(digits) or (len(digits) == 11 and digits[0] != "1"):
        return None
    if _round_sums(number) and not _PHONE_NAME.search(before(text, match.start())):
        return None
    return _span(match)


def _local(text: str, match: re.Match[str]) -> Span | None:
    number = match.group()
    named = _PHONE_NAME.search(before(text, match.start()))
    if not named and (_round_sums(number) or looks_like_thousands(number)):
        return None
    return _span(match)


def _bracketed(_text: str, match: re.Match[str]) -> Span | None:
    return _span(match) if len(digits_of(match.group())) == 10 else None


def _named(text: str, match: re.Match[str]) -> Span | None:
    number = match.group()
    if not _PHONE_NAME.search(before(text, match.start())):
        return None
    groups = group_lengths(number)
    fits = 7 <= sum(groups) <= 15 or (sum(groups) == 6 and re.search(DASH, number))
    return _span(match) if fits and not _other_number(number, groups) else None


def _other_number(number: str, groups: tuple[int, ...]) -> bool:
    date = groups in {(2, 2, 4), (4, 2, 2), (4, 4)}
    dotted = "." in number and len(groups) == 4 and max(groups) <= 3
    return date or dotted or looks_like_thousands(number)


def _bounded(shape: str) -> re.Pattern[str]:
    """Return the pattern of a whole number; a plus or a bracket may follow another one directly."""
    return compiled(rf"(?:(?<=[0-9])(?=[+(])|{LEFT})" + shape + RIGHT)


_GROUPED = (
    (rf"\(?(?:\+{SPACE}?7|[78])(?:{_LINK}[0-9]){{10}}", _russian),
    (rf"(?:\+?7|8)(?:{_COMMA_BREAK}[0-9]{{3}}){{2}}(?:{_COMMA_BREAK}[0-9]{{2}}){{2}}", _russian),
    (rf"\(?\+{SPACE}?[1-9](?:{_LINK}[0-9]){{7,14}}", _international),
    (rf"00{_LINK}[1-9][0-9]{{0,2}}(?:{_BREAK}[0-9]{{1,4}}){{2,6}}", _international),
    (
        rf"\(?(?:1{_BREAK})?\(?[2-9][0-9]{{2}}{_BREAK}[2-9][0-9]{{2}}{_BREAK}[0-9]{{4}}",
        _north_american,
    ),
    (rf"\(?[03489][0-9]{{2}}{_BREAK}[0-9]{{3}}{_BREAK}[0-9]{{2}}{_BREAK}[0-9]{{2}}", _local),
    (rf"\([03489][0-9]{{2,4}}\){_LINK}[0-9](?:{_LINK}[0-9]){{4,6}}", _bracketed),
)

PHONE_RULES = (
    *(Rule("phone", _bounded(shape), accept) for shape, accept in _GROUPED),
    Rule("phone", _bounded(rf"\(?[0-9](?:{_LINK}[0-9]){{5,14}}"), _named, _PHONE_WORD),
)

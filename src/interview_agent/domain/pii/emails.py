"""E-mail addresses, Latin and Cyrillic, and those read out with the Russian names of the signs."""

from __future__ import annotations

import re

from interview_agent.domain.pii.rule import SPACE, Rule, Span, compiled

_LOCAL_MAX_CHARS = 64
_LOCAL_SIGNS = frozenset("._%+-'")
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?!\w)",
    re.IGNORECASE,
)
_SIGN = rf"{SPACE}(?:точка|тире|дефис|минус|подч[её]ркивание|нижнее{SPACE}подч[её]ркивание){SPACE}"
_SPELLED_OUT = (
    rf"(?<![\w.-])[\w.-]{{1,64}}(?:{_SIGN}[\w-]{{1,64}}){{0,3}},?{SPACE}соба(?:ка|чка),?{SPACE}"
    rf"[\w-]{{1,63}}(?:(?:{_SIGN}|\.)[\w-]{{1,63}}){{0,3}}(?:{SPACE}точка{SPACE}|\.)"
    r"(?:ru|com|net|org|io|dev|рф|ру|ком|нет|орг|ио)(?!\w)"
)


def _address(text: str, match: re.Match[str]) -> Span | None:
    """Return the address around an `@`, with a space on both sides of it or on none."""
    at = match.start()
    apart = text[at - 1].isspace()
    end = at - 1 if apart else at
    domain = _DOMAIN.match(text, at + 2 if apart else at + 1)
    first = end
    while first > max(0, end - _LOCAL_MAX_CHARS) and _is_local(text[first - 1]):
        first -= 1
    while first < end and not text[first].isalnum():
        first += 1
    if domain is None or first == end:
        return None
    return first, domain.end()


def _is_local(char: str) -> bool:
    return char.isalnum() or char in _LOCAL_SIGNS


def _whole(_text: str, match: re.Match[str]) -> Span | None:
    return match.span()


EMAIL_RULES = (
    Rule(
        "email",
        compiled(rf"(?<={SPACE})@(?={SPACE})|(?<!\s)@(?!\s)"),
        _address,
        needs=compiled("@"),
    ),
    Rule("email", compiled(_SPELLED_OUT), _whole, needs=compiled("соба")),
)

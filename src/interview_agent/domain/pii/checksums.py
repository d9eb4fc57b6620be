"""Check digits of the numbers that identify people; arguments are strings of ASCII digits."""

from __future__ import annotations

_INN_10 = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_11 = (7, *_INN_10)
_INN_12 = (3, *_INN_11)
_SNILS_UNCHECKED_UP_TO = 1_001_998


def luhn_valid(digits: str) -> bool:
    """Whether `digits` pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def snils_valid(digits: str) -> bool:
    """Whether the last two of 11 digits are the control number of a SNILS.

    The sum of the first nine, each times its place from the right, modulo 101, with 100 read as 0.
    Numbers up to 001-001-998 carry no control number and are not accepted.
    """
    if len(digits) != 11 or int(digits[:9]) <= _SNILS_UNCHECKED_UP_TO:
        return False
    total = sum(int(char) * (9 - place) for place, char in enumerate(digits[:9]))
    return total % 101 % 100 == int(digits[9:])


def inn_valid(digits: str) -> bool:
    """Whether 10 or 12 digits are an INN: a region that exists and the control digits it asks for.

    A control digit is the weighted sum of the digits before it, modulo 11, modulo 10.
    """
    if digits.startswith("00"):
        return False
    if len(digits) == 10:
        return _inn_digit(digits, _INN_10) == digits[9]
    if len(digits) == 12:
        return digits[10:] == _inn_digit(digits, _INN_11) + _inn_digit(digits, _INN_12)
    return False


def _inn_digit(digits: str, weights: tuple[int, ...]) -> str:
    total = sum(int(char) * weight for char, weight in zip(digits, weights, strict=False))
    return str(total % 11 % 10)

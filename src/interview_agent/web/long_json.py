"""JSON of any length, written so that other threads have their turn meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE = 20
"""Elements of a list that are written in one call."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def long_json(content: Mapping[str, Any]) -> bytes:
    """Return what one call for all of it would, in UTF-8."""
    return "".join(_pieces(content)).encode()


def _pieces(value: Any) -> Iterator[str]:
    # One call of the encoder keeps the interpreter to itself until it is done, in any thread.
    if isinstance(value, Mapping):
        yield from _joined("{}", (_member(name, item) for name, item in value.items()))
    elif isinstance(value, list) and len(value) > _AT_ONCE:
        starts = range(0, len(value), _AT_ONCE)
        slices = (_ENCODER.encode(value[start : start + _AT_ONCE]) for start in starts)
        yield from _joined("[]", (iter((text[1:-1],)) for text in slices))
    elif isinstance(value, list):
        yield from _joined("[]", (_pieces(item) for item in value))
    else:
        yield _ENCODER.encode(value)


def _member(name: str, item: Any) -> Iterator[str]:
    yield f"{_ENCODER.encode(name)}:"
    yield from _pieces(item)


def _joined(brackets: str, parts: Iterator[Iterator[str]]) -> Iterator[str]:
    yield brackets[0]
    for number, part in enumerate(parts):
        if number:
            yield ","
        yield from part
    yield brackets[1]

"""Personal data in text: where it is, and the same text with labels in its place.

Known are e-mail addresses, telephone numbers, bank cards, SNILS, INN and passports. Numbers spoken
as words, names and postal addresses are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from interview_agent.domain.pii.emails import EMAIL_RULES
from interview_agent.domain.pii.numbers import (
    CARD_RULES,
    INN_RULES,
    PASSPORT_RULES,
    SNILS_RULES,
)
from interview_agent.domain.pii.phones import PHONE_RULES
from interview_agent.domain.pii.rule import stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from interview_agent.domain.pii.rule import Rule, Span
    from interview_agent.domain.transcript import Word

# The order decides what a stretch is called that fits several kinds: what a check digit proves
# goes before what only looks right.
_RULES = (*EMAIL_RULES, *CARD_RULES, *SNILS_RULES, *INN_RULES, *PASSPORT_RULES, *PHONE_RULES)
_NEEDS = {rule.needs for rule in _RULES}
_TAKEN = "]"
_TRAILING_MARK = re.compile(r"[.,!?;:…»\"')]+$")
_LABEL = re.compile(r"\[(?:EMAIL|PHONE|CARD|PASSPORT|SNILS|INN)\][.,!?;:…»\"')]*")
_GLUED = ("@", ".", "_", "-", "‑")


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """A stretch of text that is personal data.

    `kind` is `email`, `phone`, `card`, `passport`, `snils` or `inn`; `start` and `end` are offsets
    in characters, the end excluded.
    """

    kind: str
    start: int
    end: int

    @property
    def label(self) -> str:
        """What stands in place of the stretch, such as `[PHONE]`."""
        return f"[{self.kind.upper()}]"


def find_pii(text: str) -> list[PiiSpan]:
    """Return the personal data in `text`, in order and without overlap, in linear time."""
    found: list[PiiSpan] = []
    held = {needs for needs in _NEEDS if needs.search(text)}
    for rule in _RULES:
        if rule.needs not in held:
            continue
        spans = list(_matches(rule, text))
        if spans:
            found += (PiiSpan(rule.kind, start, end) for start, end in spans)
            text = _without(text, spans)
    return sorted(found, key=lambda span: span.start)


def mask(text: str) -> str:
    """Return `text` with a label in place of each piece of personal data."""
    pieces = []
    done = 0
    for span in find_pii(text):
        pieces += [text[done : span.start], span.label]
        done = span.end
    return "".join([*pieces, text[done:]])


def mask_words(words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words with a label in place of every word that personal data touches.

    Times stay, and so does the punctuation after the label. What a recogniser cuts before a sign,
    as in `ivan`, `@mail`, `.ru`, is found as well.
    """
    texts = [word.text for word in words]
    # A label covers whole words, and with them what may have kept a neighbour from being found.
    while labels := _new_labels(texts):
        for at, label in labels.items():
            texts[at] = label
    return tuple(
        word if text == word.text else replace(word, text=text)
        for word, text in zip(words, texts, strict=True)
    )


def _new_labels(texts: Sequence[str]) -> dict[int, str]:
    labels: dict[int, str] = {}
    for glued in (False, True):
        joined, starts = _joined(texts, glued=glued)
        for at, label in _touched(find_pii(joined), texts, starts):
            labels.setdefault(at, label)
    return {at: label for at, label in labels.items() if not _LABEL.fullmatch(texts[at])}


def mask_tree(value: Any, how: Callable[[str], str] = mask) -> Any:
    """Return a JSON value with every string in it masked; the keys of objects stay."""
    if isinstance(value, str):
        return how(value)
    if isinstance(value, dict):
        return {key: mask_tree(item, how) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_tree(item, how) for item in value]
    return value


def _matches(rule: Rule, text: str) -> Iterator[Span]:
    done = 0
    for first, stop in stretches(rule, text):
        position = max(first, done)
        while match := rule.pattern.search(text, position, stop):
            cut_off = stop <= match.end() < len(text)
            span = None if cut_off else _after(done, rule.accept(text, match), text, match)
            if span is None:
                position = match.start() + 1
            else:
                yield span
                position = done = span[1]


def _after(done: int, span: Span | None, text: str, match: re.Match[str]) -> Span | None:
    """Return the part of `span` after `done`, None if it begins with what was matched."""
    if span is None or span[0] >= done:
        return span
    start = done
    while start < match.start() and not text[start].isalnum():
        start += 1
    return (start, span[1]) if start < match.start() else None


def _without(text: str, spans: Sequence[Span]) -> str:
    """Return `text` of the same length in which the spans cannot be found or reached across."""
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    pieces = [
        _TAKEN * (end - start) if place % 2 else text[start:end]
        for place, (start, end) in enumerate(pairwise(edges))
    ]
    return "".join(pieces)


def _joined(texts: Sequence[str], *, glued: bool) -> tuple[str, list[int]]:
    """Return the words as one text, and where in it each of them starts."""
    starts: list[int] = []
    pieces: list[str] = []
    length = 0
    for text in texts:
        previous = pieces[-1] if pieces else ""
        bound = glued and (text.startswith(_GLUED) or previous.endswith("@"))
        if pieces and not bound:
            pieces.append(" ")
            length += 1
        starts.append(length)
        pieces.append(text)
        length += len(text)
    return "".join(pieces), starts


def _touched(
    spans: Sequence[PiiSpan], texts: Sequence[str], starts: Sequence[int]
) -> Iterator[tuple[int, str]]:
    at = 0
    for span in spans:
        while at < len(texts) and starts[at] + len(texts[at]) <= span.start:
            at += 1
        while at < len(texts) and starts[at] < span.end:
            rest = texts[at][max(0, span.end - starts[at]) :]
            mark = _TRAILING_MARK.search(rest)
            yield at, span.label + (mark.group() if mark else "")
            at += 1

"""Recognised text made readable without a change of meaning, every change on record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from interview_agent.domain.text.fillers import LEXICONS, filler_offsets
from interview_agent.domain.text.text_tokens import (
    CLOSERS,
    OPENERS,
    TERMINATORS,
    Token,
    ends_sentence,
    tokenize,
    words,
)
from interview_agent.domain.transcript import Change

FILLER_CLEANUP = "filler_cleanup"
WHITESPACE_NORMALIZE = "whitespace_normalize"
CASING = "casing"
FINAL_PUNCT = "final_punct"

_HANGING_MARK = re.compile(r" (?=[,.!?…;:]+(?: |$))")
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’‑-][^\W\d_]+)*['’]?")
_CLOSED_BY_FULL_STOP = frozenset(CLOSERS + "%+#°$€£₽")
_DOTLESS_I_LANGUAGES = frozenset({"tr", "az"})
_ABBREVIATIONS = words(
    "см стр ул им др пр руб коп тыс млн млрд мин сек рис табл напр ср тел доб кв корп проф акад"
    " гл обл гор пер просп д-р г-н г-жа гг вв etc vs mr mrs ms dr prof st inc ltd jr sr approx dept"
    " fig pp vol ca cf"
)


@dataclass(frozen=True, slots=True)
class Enhanced:
    """Text after enhancement, what was changed, and a rough mark for it.

    Putting every change of `changes` (ascending, without overlap) into the raw text gives exactly
    `text`. `quality` is 0.5, 0.1 more if the text became shorter, 0.1 more if it ends in `.!?`.
    """

    text: str
    changes: tuple[Change, ...]
    quality: float


def runs_on(raw_text: str, next_raw_text: str) -> bool:
    """Whether a sentence that begins in one segment goes on in the next one of its track.

    It does when the first has no mark at its end and the second begins with a plain word in lower
    case: a recogniser that begins a sentence writes a capital.
    """
    body = raw_text.rstrip().rstrip(CLOSERS)
    if not body or body[-1] in TERMINATORS + ":":
        return False
    following = next((token for token in tokenize(next_raw_text) if token.word), None)
    if following is None or following.lead.strip(OPENERS + "-–—"):
        return False
    return _PLAIN_WORD.fullmatch(following.word) is not None and following.word.islower()


def enhance(
    raw_text: str, language: str | None, *, opens: bool = True, closes: bool = True
) -> Enhanced:
    """Return `raw_text` without fillers, with single spaces, sentence case and a final full stop.

    `opens` and `closes` say whether a sentence begins with the text and ends with it; in between,
    neither a capital nor a full stop is added there.

    `language` is a code such as `ru` or `en-US`; fillers are known for Russian and English, any
    other language and None gets the other three rules. Enhancing the result changes nothing.
    """
    code = re.split(r"[-_]", language or "", maxsplit=1)[0].casefold()
    draft = _Draft(raw_text)
    _normalize_whitespace(draft)
    lexicon = LEXICONS.get(code)
    if lexicon is not None:
        draft.edit(FILLER_CLEANUP, dict.fromkeys(filler_offsets(draft.text, lexicon), ""))
    draft.edit(CASING, _capitals(draft.text, code, opening=opens))
    changes = draft.changes()
    text = draft.text
    if closes and _needs_full_stop(text):
        changes.append(Change(FINAL_PUNCT, "", ".", len(raw_text)))
        text += "."
    return Enhanced(text, tuple(changes), quality_of(raw_text, text))


class _Draft:
    """A text under change: for each raw character what stands in its place, and by which rule."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._now = list(raw)
        self._rules: list[str | None] = [None] * len(raw)

    @property
    def text(self) -> str:
        return "".join(self._now)

    def edit(self, rule: str, edits: dict[int, str]) -> None:
        """Replace single characters of the present text, given by their offsets in it."""
        if not edits:
            return
        standing = [offset for offset, char in enumerate(self._now) if char]
        for offset, char in edits.items():
            self._now[standing[offset]] = char
            self._rules[standing[offset]] = rule

    def changes(self) -> list[Change]:
        """Return the changes so far, neighbours of one rule joined, by their place in the raw."""
        found = []
        at = 0
        while at < len(self._raw):
            rule = self._rules[at]
            end = at + 1
            while end < len(self._raw) and self._rules[end] == rule:
                end += 1
            before, after = self._raw[at:end], "".join(self._now[at:end])
            if rule is not None and before != after:
                found.append(Change(rule, before, after, at))
            at = end
        return found


def _normalize_whitespace(draft: _Draft) -> None:
    text = draft.text
    edits: dict[int, str] = {}
    for run in re.finditer(r"\s+", text):
        kept = " " if run.start() > 0 and run.end() < len(text) else ""
        if run.group() != kept:
            edits.update(dict.fromkeys(range(*run.span()), ""))
            if kept:
                edits[run.start()] = kept
    draft.edit(WHITESPACE_NORMALIZE, edits)
    hanging = {match.start(): "" for match in _HANGING_MARK.finditer(draft.text)}
    draft.edit(WHITESPACE_NORMALIZE, hanging)


def _capitals(text: str, code: str, *, opening: bool) -> dict[int, str]:
    """Return the capital letters that sentence starts lack, by their offsets in `text`."""
    edits = {}
    for token in tokenize(text):
        if opening and token.word:
            capital = _capital(token, code)
            if capital:
                edits[token.word_start] = capital
        if token.word or not token.is_dash:
            opening = _next_opens(token)
    return edits


def _capital(token: Token, code: str) -> str | None:
    """Return the capital for the first letter of `token`, None where it is to stay as it is."""
    first = token.word[0]
    plain = _PLAIN_WORD.fullmatch(token.word) is not None and token.word.islower()
    if not plain or token.lead.strip(OPENERS + "-–—"):
        return None
    capital = "İ" if first == "i" and code in _DOTLESS_I_LANGUAGES else first.title()
    return capital if len(capital) == 1 and capital != first else None


def _next_opens(token: Token) -> bool:
    """Whether a sentence begins after `token`: not after an ellipsis or an abbreviation."""
    mark = (token.mark or token.lead).rstrip(CLOSERS)
    if not ends_sentence(mark) or mark.endswith(("…", "..")):
        return False
    word = token.word.casefold()
    if not mark.endswith("."):
        return True
    initial = len(word) == 1 and word.isalpha() and word not in {"я", "i"}
    return not (initial or "." in word or word in _ABBREVIATIONS)


def _needs_full_stop(text: str) -> bool:
    if not text:
        return False
    body = text.rstrip(CLOSERS)
    if body and body[-1] in TERMINATORS + ":":
        return False
    last = text[-1]
    return last.isalnum() or last in _CLOSED_BY_FULL_STOP or (last == "_" and body == text)


def quality_of(raw_text: str, text: str) -> float:
    """Return the rough mark for an enhanced text that `Enhanced` explains."""
    shorter = 0.1 if len(text) < len(raw_text) else 0.0
    ended = 0.1 if text.endswith((".", "!", "?")) else 0.0
    return round(0.5 + shorter + ended, 2)

"""Fillers: which words carry no meaning where they stand, and how they leave the sentence whole.

Sounds of hesitation ("ээ", "um") go wherever they stand as words of their own. Words that are only
sometimes fillers ("ну", "like") go only where punctuation sets them apart on both sides; whatever
can be read both ways stays. "Короче говоря" stays for that reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from interview_agent.domain.text.text_tokens import (
    CLOSERS,
    SEPARATORS,
    TERMINATORS,
    Token,
    ends_sentence,
    tokenize,
    words,
)

_FILLER_MARKS = frozenset(SEPARATORS + TERMINATORS)
_LONGEST_MARK = 4
_STEPS_BACK = 4
"""A removal changes what its neighbours stand beside; two words and one neighbour on each side."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A filler of words, and the places where it is one.

    `opening`: at the start of a sentence, before a comma; `closing`: at the end, after one;
    `anywhere`: between commas after any word, not only after one that cannot end a phrase;
    `opening_anywhere`: at the start before any word, not only before a leaning one.
    """

    words: tuple[str, ...]
    opening: bool = True
    opening_anywhere: bool = True
    anywhere: bool = True
    closing: bool = False
    not_before: frozenset[str] = frozenset()
    not_beside: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The fillers of one language.

    `leaning` are words that no phrase ends with, so that a pause after them is no clause border;
    `joining` are words that a comma goes before. `unit_like` is a hesitation that is written as a
    unit of measure is, and goes only after a pause or one of the `subjects`; `not_beside_sound`
    are neighbours that make a sound the name of a letter.
    """

    sound: re.Pattern[str]
    unit_like: str
    subjects: frozenset[str]
    units: frozenset[str]
    not_beside_sound: frozenset[str]
    leaning: frozenset[str]
    joining: frozenset[str]
    phrases: tuple[Phrase, ...]


_RU_JOINING = words(
    "что чтобы чем когда если потому поэтому который которая которое которые которого которой"
    " которых которую которым где куда откуда как а но зато хотя пока кто какой какая какие зачем"
    " почему раз ли"
)
_EN_JOINING = words(
    "that which who whom whose because but so although though while when if where why how what"
    " whether unless until since or"
)
_COMPARATIVE = re.compile(r"(?:ее|ей|ше|же|че|ще)$")

RUSSIAN = Lexicon(
    sound=re.compile(r"э|э{2,}|э+(?:-э+)+|э+-?м+|м{2,}|м+(?:-м+)+|хм+|гм+"),
    unit_like="мм",
    subjects=words("я ты он она мы вы они это"),
    units=words("нм мкм мм см дм м км дюйм дюйма дюймов рт ртутного"),
    not_beside_sound=words(
        "буква букву буквы букве буквой буквами литера звук звука звуком бэ вэ гэ дэ жэ зэ ка эль"
        " эл эн пэ эр эс тэ эф ха цэ че ша эй би си ди икс игрек зет"
    ),
    leaning=words(
        "я ты он она оно мы вы они это этот эта эти мой моя мои наш наша наши ваш ваша свой своя"
        " и а но или что как в во на с со к ко у о об от до из за по под над при про для без через"
        " между не ни бы же ли был была было были будет будут есть очень самый самая самое такой"
        " такая такое такие чтобы если потому когда просто мне меня нас нам его её ее их"
    ),
    joining=_RU_JOINING,
    phrases=(
        Phrase(("ну",), not_before=words("и да нет вот а так же")),
        Phrase(("типа",), opening_anywhere=False, anywhere=False),
        Phrase(("короче",), not_beside=_COMPARATIVE),
        Phrase(("как", "бы"), opening=False, closing=True, not_before=_RU_JOINING),
        Phrase(("в", "общем")),
        Phrase(("так", "сказать"), closing=True, not_before=_RU_JOINING),
        Phrase(("это", "самое"), not_before=_RU_JOINING | {"о"}),
    ),
)

ENGLISH = Lexicon(
    sound=re.compile(r"u+m+|u+h+|u+hm+|e+rm*|e+hm|m{2,}|h+m+"),
    unit_like="mm",
    subjects=words("i you he she it we they"),
    units=words("nm mm cm dm m km inch inches foot feet"),
    not_beside_sound=words("letter letters sound prefix suffix"),
    leaning=words(
        "i you he she it we they this these those my your his her its our their the a an and or but"
        " to of in on at by for from with is are was were am be been i'm it's that's he's she's"
        " we're they're you're i've we've was wasn't isn't not very really just so too as than if"
        " because when who which there there's i'd i'll we'd we'll will would can could should"
        " must may might do does did have has had"
    ),
    joining=_EN_JOINING,
    phrases=(
        Phrase(("you", "know"), closing=True, not_before=_EN_JOINING - {"so", "but", "or"}),
        Phrase(("i", "mean"), anywhere=False, not_before=_EN_JOINING - {"so", "but", "or"}),
        Phrase(("like",), opening_anywhere=False, anywhere=False),
    ),
)

LEXICONS = {"ru": RUSSIAN, "en": ENGLISH}


def filler_offsets(text: str, lexicon: Lexicon) -> list[int]:
    """Return the ascending offsets of the characters of `text` that go with its fillers.

    `text` has single spaces only. What is left has no doubled or leading comma and no empty
    sentence that was not there before. Time is linear in the length of `text`.
    """
    return _Cleaning(text, lexicon).run()


class _Cleaning:
    """One text as a doubly linked list of tokens, from which fillers are taken out."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._tokens = tokenize(text)
        self._keys = [token.word.casefold().replace("’", "'") for token in self._tokens]
        count = len(self._tokens)
        self._next: list[int | None] = [*range(1, count), None] if count else []
        self._previous: list[int | None] = [None, *range(count - 1)] if count else []
        self._gone: set[int] = set()

    def run(self) -> list[int]:
        at: int | None = 0 if self._tokens else None
        while at is not None:
            last = self._filler_from(at)
            if last is None:
                at = self._next[at]
                continue
            resume = self._take_out(at, last)
            for _ in range(_STEPS_BACK):
                before = None if resume is None else self._previous[resume]
                if before is None:
                    break
                resume = before
            at = resume
        return sorted(self._gone)

    def _filler_from(self, at: int) -> int | None:
        """Return the last token of the filler that begins at `at`, None where none begins."""
        token = self._tokens[at]
        if token.lead or not token.word or self._quoted(at):
            return None
        if self._is_sound(at):
            return at
        for phrase in self._lexicon.phrases:
            last = self._phrase_end(at, phrase)
            if last is not None and self._stands_apart(at, last, phrase):
                return last
        return None

    def _quoted(self, at: int) -> bool:
        before = self._previous[at]
        return before is not None and not self._tokens[before].word and not self._is_dash(before)

    def _is_dash(self, at: int | None) -> bool:
        return at is not None and self._tokens[at].is_dash

    def _plain_mark(self, at: int) -> bool:
        mark = self._tokens[at].mark
        return len(mark) <= _LONGEST_MARK and _FILLER_MARKS.issuperset(mark)

    def _key(self, at: int | None) -> str:
        return "" if at is None else self._keys[at]

    def _is_sound(self, at: int) -> bool:
        token = self._tokens[at]
        word = token.word
        if len(word) > 1 and word.isupper():
            return False
        if not self._lexicon.sound.fullmatch(self._keys[at]) or not self._plain_mark(at):
            return False
        if self._opens(at) and "?" in token.mark:
            return False
        beside = {self._key(self._previous[at]), self._key(self._next[at])}
        if beside & self._lexicon.not_beside_sound:
            return False
        return self._keys[at] != self._lexicon.unit_like or self._is_no_unit(at, beside)

    def _is_no_unit(self, at: int, beside: set[str]) -> bool:
        before = self._previous[at]
        if beside & self._lexicon.units or self._key(before)[-1:].isdigit():
            return False
        if before is None or self._opens(at):
            return True
        return bool(self._tokens[before].mark) or self._keys[before] in self._lexicon.subjects

    def _phrase_end(self, at: int, phrase: Phrase) -> int | None:
        here: int | None = at
        last = at
        for index, word in enumerate(phrase.words):
            if here is None or self._keys[here] != word:
                return None
            token = self._tokens[here]
            inner = index < len(phrase.words) - 1
            if (inner and token.mark) or (index and token.lead):
                return None
            last, here = here, self._next[here]
        return last if self._plain_mark(last) else None

    def _stands_apart(self, first: int, last: int, phrase: Phrase) -> bool:
        before, after = self._previous[first], self._next[last]
        mark = self._tokens[last].mark
        if self._key(after) in phrase.not_before:
            return False
        if phrase.not_beside and any(
            phrase.not_beside.search(self._key(beside)) for beside in (before, after)
        ):
            return False
        leaning = self._lexicon.leaning
        if self._opens(first):
            allowed = phrase.opening_anywhere or self._key(after) in leaning
            return phrase.opening and mark == "," and after is not None and allowed
        if before is None or not self._tokens[before].mark.endswith(","):
            return False
        if mark == ",":
            return after is not None and (phrase.anywhere or self._keys[before] in leaning)
        return phrase.closing and self._closes(mark, after)

    def _closes(self, mark: str, after: int | None) -> bool:
        return (mark == "" and after is None) or (ends_sentence(mark) and "?" not in mark)

    def _opens(self, at: int) -> bool:
        """Whether the token at `at` begins a sentence, a dash of dialogue before it allowed."""
        before = self._previous[at]
        if before is not None and self._is_dash(before):
            before = self._previous[before]
        return before is None or ends_sentence(self._tokens[before].mark)

    def _take_out(self, first: int, last: int) -> int | None:
        """Take a filler out and return the token from which to look again."""
        if self._opens(first):
            first, last = self._with_idle_dash(first, last)
        else:
            first, last = self._with_doubled_dash(first, last)
            self._settle_marks(self._previous[first], last)
        before, after = self._previous[first], self._next[last]
        here: int | None = first
        while here is not None and here != after:
            self._erase(self._tokens[here], keep_space=here == first and before is None)
            here = self._next[here]
        if before is not None:
            self._next[before] = after
        if after is not None:
            self._previous[after] = before
            if before is None:
                self._gone.add(self._tokens[after].start - 1)
        return after if before is None else before

    def _erase(self, token: Token, *, keep_space: bool) -> None:
        self._gone.update(range(token.start, token.word_start + len(token.word)))
        self._gone.update(token.trail)
        if not keep_space:
            self._gone.add(token.start - 1)

    def _with_idle_dash(self, first: int, last: int) -> tuple[int, int]:
        before, after = self._previous[first], self._next[last]
        if after is not None and self._is_dash(after):
            return first, after
        if after is None and before is not None and self._is_dash(before):
            return before, last
        return first, last

    def _with_doubled_dash(self, first: int, last: int) -> tuple[int, int]:
        before, after = self._previous[first], self._next[last]
        if before is None or not self._is_dash(before):
            return first, last
        if self._is_last(last):
            return before, last
        return (first, after) if after is not None and self._is_dash(after) else (first, last)

    def _is_last(self, at: int) -> bool:
        return self._next[at] is None or self._tokens[at].mark.strip(",") != ""

    def _settle_marks(self, before: int | None, last: int) -> None:
        """Settle the punctuation between what stands before a filler and what stands after it."""
        if before is None or not self._tokens[before].word:
            return
        head, end = self._tokens[before], self._tokens[last]
        closing = end.mark.strip(",")
        if closing:
            self._drop(head, SEPARATORS)
            self._hand_over(end, head, closing[0] if closing in SEPARATORS else TERMINATORS)
        elif self._next[last] is None or not self._comma_belongs(before, self._next[last]):
            self._drop(head, ",")
        elif not head.mark.rstrip(CLOSERS) and end.mark:
            self._hand_over(end, head, ",")

    def _comma_belongs(self, before: int, after: int | None) -> bool:
        leaning = self._keys[before] in self._lexicon.leaning
        return not leaning or self._key(after) in self._lexicon.joining

    def _drop(self, head: Token, marks: str) -> None:
        kept = len(head.mark.rstrip(marks))
        self._gone.update(head.trail[kept:])
        head.mark, head.trail = head.mark[:kept], head.trail[:kept]

    def _hand_over(self, end: Token, head: Token, marks: str) -> None:
        """Give `head` what `marks` names of the punctuation of `end`, one comma at most."""
        pairs = list(zip(end.mark, end.trail, strict=True))
        given = [pair for pair in pairs if pair[0] in marks]
        given = given[:1] if marks == "," else given
        head.mark += "".join(char for char, _ in given)
        head.trail = head.trail + [offset for _, offset in given]
        handed = {offset for _, offset in given}
        end.trail = [offset for offset in end.trail if offset not in handed]

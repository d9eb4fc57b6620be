"""Words that the analysis must know in Russian and English, and the few rules that read them."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LANGUAGES = ("ru", "en")
"""Languages whose lexicons exist; in others only what needs no lexicon is measured."""

_NOT_A_LETTER = re.compile(r"[\W_]+")
_HESITATION = re.compile(r"(?:э+м*|м{3,}|а{2,}|u+m+|u+h+|e+r+m*|h+m{2,})\Z")
_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)

_ENGLISH_ENDINGS = ("ings", "ing", "ies", "ed", "es", "ly", "s", "e")

Phrases = frozenset[tuple[str, ...]]


class QuestionKind(StrEnum):
    """Whether a question invites a story or can be answered by yes, no or one fact."""

    OPEN = "open"
    CLOSED = "closed"


@lru_cache(maxsize=65536)
def normal_word(text: str) -> str:
    """Return a word in lower case, ё as е, without punctuation; "" where nothing is left."""
    return _NOT_A_LETTER.sub("", text.lower()).replace("ё", "е")


@lru_cache(maxsize=65536)
def stem(text: str) -> str:
    """Return a crude stem: five letters of a Russian word, six of an English one less its ending.

    It is meant for matching forms of one word inside one conversation, not for linguistics.
    """
    word = normal_word(text)
    if _CYRILLIC.search(word):
        return word[:5]
    for ending in _ENGLISH_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:6]


def language_of(texts: Sequence[str]) -> str | None:
    """Return `ru` or `en`, whichever alphabet prevails in `texts`, or None without letters."""
    cyrillic = sum(len(_CYRILLIC.findall(text)) for text in texts)
    latin = sum(len(_LATIN.findall(text)) for text in texts)
    if not cyrillic and not latin:
        return None
    return "ru" if cyrillic >= latin else "en"


def _phrases(*listed: str) -> Phrases:
    entries = (entry.strip() for text in listed for entry in text.split(","))
    return frozenset(
        tuple(normal_word(word) for word in entry.split()) for entry in entries if entry
    )


def _words(*listed: str) -> frozenset[str]:
    return frozenset(normal_word(word) for text in listed for word in text.split())


BACKCHANNELS = _phrases(
    "угу, ага, да, так, ясно, понятно, понял, поняла, хорошо, окей, ок, ладно, конечно, точно",
    "верно, круто, здорово, интересно, отлично, супер, м, мм, ммм, мгм, ого, ну да, а, о",
    "uh-huh, mhm, mm, mmm, mm-hmm, hm, hmm, yeah, yes, yep, right, ok, okay, sure, great, cool",
    "nice, interesting, exactly, wow, ah, oh, good, i see, got it, of course, makes sense, okey",
)
"""What a listener says to show that he listens."""

FILLERS = _phrases(
    "ну, вот, типа, короче, как бы, это самое, значит, в общем, в общем-то, так сказать",
    "скажем так, собственно, собственно говоря, как его",
    "you know, i mean, sort of, kind of, basically, actually, literally",
)
"""Words that fill a pause; drawn-out vowels are found by their form."""

STOP_WORDS = _words(
    "а без бы был была были было быть в вам вас ваш ваша ваше вашем ваши ваших вашу вашей во вот",
    "все всё вы где да для до его ее её если есть ещё еще же за и из или им их к как какая какие",
    "какой какое каких каким когда кто ли меня мне можно мой мы на над нам нас наш не него нет ни",
    "но ну о об он она они от очень по под потом потому при про раз с сам свой себя со так также",
    "там тебя то тогда того тоже только том тот ты у уже чего чем что чтобы эта эти это этого этой",
    "этом этот я расскажите расскажи опишите объясните приведите поделитесь пожалуйста скажите",
    "самый самая самое самые вообще просто какую каком сколько почему зачем который которые",
    "которая которое бывает будет",
    "a about am an and any are as at be been but by can could did do does for from give had has",
    "have how i if in into is it its just like me more most my no not of on or our out please",
    "really she so some tell than that the their them then there they this to up us very walk was",
    "we well were what when where which who why will with would you your describe explain talk",
    "through",
)
"""Words that say nothing about the subject, with the verbs that merely ask for a story."""

_PARTICLES = _words(
    "а и ну но да так то вот хорошо окей ок ладно понятно ясно отлично скажите скажи подскажите",
    "подскажи пожалуйста подождите смотрите тогда слушайте угу ага еще теперь итак кстати",
    "so and but well ok okay great right now then alright please good yeah yes cool sure um uh",
)
_SECOND_PERSON = _words(
    "вы вас вам вами ваш ваша ваше ваши вашем вашей ваших вашу вашим вашими ты тебя тебе тобой",
    "твой твоя твое твои твоем твоей твоих твою you your yours",
)
_RU_STRONG = _words(
    "почему зачем отчего какой какая какое какие какого каких каким какими какую каком каков",
    "какова каковы сколько скольких где куда откуда когда кто кому насколько что",
)
_RU_WEAK = _words("как чем чего чему кем кого")
_RU_BEFORE_WEAK = _SECOND_PERSON | _words("о об про на с в во из за к от у для до по")
_RU_REQUESTS = _words(
    "расскажите расскажи опишите опиши объясните объясни поделитесь поделись приведите приведи",
    "назовите назови перечислите перечисли поясните поясни",
)
_RU_REQUESTS_IN_QUESTION = _RU_REQUESTS | _words(
    "рассказать описать объяснить поделиться привести назвать перечислить пояснить"
)
_RU_QUOTED_OPINION = _words(
    "знаете понимаете видите помните слышали сказали говорили говорите заметили упомянули"
)
_EN_WH = _words("what whats why how hows where wheres when who whos whom whose which")
_EN_AUXILIARY = _words(
    "is are was were do does did have has had can could will would should may might am isnt arent",
    "dont didnt havent cant couldnt wouldnt",
)
_EN_PREPOSITIONS = _words("in for at on to with by from under of about")
_EN_REQUESTS = _phrases(
    "tell me, tell us, describe, walk me, walk us, talk me, talk us, give me, give us",
    "explain, share with",
)
_EN_REQUESTS_IN_QUESTION = _words("tell describe explain walk share elaborate")


def is_backchannel(words: Sequence[str]) -> bool:
    """Tell whether one to three words are all listener's words, as words or as phrases."""
    spoken = tuple(filter(None, map(normal_word, words)))
    if not 1 <= len(spoken) <= 3:
        return False
    return _made_of(spoken, BACKCHANNELS)


def _made_of(spoken: tuple[str, ...], phrases: Phrases) -> bool:
    if not spoken:
        return True
    return any(
        spoken[:length] in phrases and _made_of(spoken[length:], phrases)
        for length in range(1, len(spoken) + 1)
    )


def count_fillers(words: Sequence[str]) -> int:
    """Count fillers in a run of words, the longest phrase first; each word counts once."""
    spoken = [normal_word(word) for word in words]
    count = position = 0
    while position < len(spoken):
        length = next(
            (n for n in (3, 2, 1) if tuple(spoken[position : position + n]) in FILLERS), 0
        )
        if not length and _HESITATION.match(spoken[position]):
            length = 1
        count += bool(length)
        position += length or 1
    return count


def classify_question(tokens: Sequence[str], *, asked: bool) -> QuestionKind | None:
    """Say what kind of question the sentence `tokens` is, or None if it is none.

    `asked`: the sentence ends with a question mark; it is a question then. Else only an opener
    makes it one: a request for a story, an interrogative addressed to "you".
    """
    words = [normal_word(token) for token in tokens]
    lead = 0
    while lead < len(words) - 1 and (not words[lead] or words[lead] in _PARTICLES):
        lead += 1
    if not any(words):
        return None
    if asked:
        is_open = _asks_openly_ru(tokens, words, lead) or _asks_openly_en(tokens, words, lead)
        return QuestionKind.OPEN if is_open else QuestionKind.CLOSED
    return _opens_as_question_ru(words, lead) or _opens_as_question_en(words, lead)


def _asks_openly_ru(tokens: Sequence[str], words: Sequence[str], lead: int) -> bool:
    if any(word in _RU_REQUESTS_IN_QUESTION for word in words):
        return True
    for position in range(lead, len(words)):
        word, before = words[position], words[position - 1] if position else ""
        # Russian puts a comma before every subordinate clause, so "знаете, где" asks nothing.
        subordinate = position > lead and tokens[position - 1].endswith(",")
        if subordinate:
            continue
        if word in _RU_STRONG:
            return True
        if word in _RU_WEAK and (position == lead or before in _RU_BEFORE_WEAK):
            return True
    return False


def _asks_openly_en(tokens: Sequence[str], words: Sequence[str], lead: int) -> bool:
    if words[lead] in _EN_AUXILIARY:
        after = words[lead + 1 : lead + 5]
        return any(word in _EN_REQUESTS_IN_QUESTION for word in after)
    if any(tuple(words[lead : lead + n]) in _EN_REQUESTS for n in (1, 2)):
        return True
    starts = [lead, *(at + 1 for at in range(lead, len(words) - 1) if tokens[at].endswith(","))]
    return any(
        words[at] in _EN_WH
        or (words[at] in _EN_PREPOSITIONS and at + 1 < len(words) and words[at + 1] in _EN_WH)
        for start in starts
        for at in (_past_particles(words, start),)
    )


def _past_particles(words: Sequence[str], start: int) -> int:
    while start < len(words) - 1 and words[start] in _PARTICLES:
        start += 1
    return start


def _opens_as_question_ru(words: Sequence[str], lead: int) -> QuestionKind | None:
    first, after = words[lead], words[lead + 1 : lead + 4]
    if first in _RU_REQUESTS:
        return QuestionKind.OPEN
    to_you = any(word in _SECOND_PERSON for word in after)
    if after[:1] == ["ли"] and any(word in _SECOND_PERSON for word in words):
        return QuestionKind.CLOSED
    asks = first in _RU_STRONG | _RU_WEAK and first != "когда"
    if asks and to_you and not any(word in _RU_QUOTED_OPINION for word in after):
        return QuestionKind.OPEN
    return None


def _opens_as_question_en(words: Sequence[str], lead: int) -> QuestionKind | None:
    first, after = words[lead], words[lead + 1 : lead + 5]
    if any(tuple(words[lead : lead + n]) in _EN_REQUESTS for n in (1, 2)):
        return QuestionKind.OPEN
    if first in _EN_AUXILIARY and after[:1] == ["you"]:
        asks_story = any(word in _EN_REQUESTS_IN_QUESTION for word in after)
        return QuestionKind.OPEN if asks_story else QuestionKind.CLOSED
    if first in _EN_WH and after[:1] and after[0] in _EN_AUXILIARY:
        return QuestionKind.OPEN if any(word in _SECOND_PERSON for word in after) else None
    return None

"""Text from outside in a form that any log, terminal, database or table can hold."""

from __future__ import annotations

import hashlib

_DIGEST_CHARS = 16


def escaped(text: str, max_chars: int) -> str:
    """Return `text` in printable characters, `max_chars` at most (40 or more).

    What is not printable (control characters, line ends, lone surrogates, marks that turn the
    direction of writing) is written as a Python escape. A longer text is cut and ends with
    `...sha256:` and 16 hex digits of its hash. Text that was escaped stays as it is.
    """
    safe = _printable(text[: max_chars + 1])
    if len(safe) <= max_chars:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    ending = f"...sha256:{digest[:_DIGEST_CHARS]}"
    return safe[: max_chars - len(ending)] + ending


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )

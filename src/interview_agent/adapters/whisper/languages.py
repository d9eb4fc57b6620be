"""The languages of a Whisper model, and how it writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faster_whisper.tokenizer import Tokenizer

if TYPE_CHECKING:
    from faster_whisper import WhisperModel


def known_language(whisper: WhisperModel, wanted: str | None) -> str | None:
    """Return the language of the model that a code such as `en` or `en-GB` names, None if none."""
    short = (wanted or "").lower().replace("_", "-").partition("-")[0]
    return short if short in whisper.supported_languages else None


def tokenizer_of(whisper: WhisperModel, language: str) -> Tokenizer:
    """Make the tokenizer that transcribes a language."""
    return Tokenizer(
        whisper.hf_tokenizer, whisper.model.is_multilingual, task="transcribe", language=language
    )

"""Whisper on CTranslate2, driven window by window."""

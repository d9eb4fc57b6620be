"""Readable text from recognised text."""

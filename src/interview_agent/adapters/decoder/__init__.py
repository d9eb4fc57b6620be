"""Decoding of untrusted audio in confined child processes."""

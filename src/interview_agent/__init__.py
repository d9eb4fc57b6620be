"""Interview Agent: interviews in, text and evidence out."""

__version__ = "0.1.0"

"""A PostgreSQL and a Valkey of our own, as children of this process."""

from interview_agent.adapters.embedded.stack import EmbeddedAddresses, EmbeddedStack

__all__ = ["EmbeddedAddresses", "EmbeddedStack"]

"""Meetings that a bot of a gateway is sent into: what it is told, and what comes of it."""

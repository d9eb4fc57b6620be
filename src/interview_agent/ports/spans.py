"""Spans: what was done in a trace, when, and how it ended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from interview_agent.domain.ids import CallerSpan


class Span(Protocol):
    """Something under way."""

    def note(self, name: str, value: str | int) -> None:
        """Keep a fact with it; never what people said, a secret or a link."""


class Spans(Protocol):
    """Where spans go."""

    def span(
        self, name: str, trace_id: str | None, parent: CallerSpan | None = None
    ) -> AbstractContextManager[Span]:
        """Record what happens in the block in this trace (32 hex digits), in a new one if None.

        Never fails and never waits; what cannot be kept is dropped.
        """


class _NoSpan:
    def note(self, name: str, value: str | int) -> None:
        """Keep nothing."""


class NoSpans:
    """Spans that go nowhere."""

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        trace_id: str | None,  # noqa: ARG002
        parent: CallerSpan | None = None,  # noqa: ARG002
    ) -> Iterator[Span]:
        """Do nothing around the block."""
        yield _NoSpan()

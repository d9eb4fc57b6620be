"""What a log line shows of an error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from interview_agent.runtime.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def usual_logs() -> Iterator[None]:
    """Logging as it was, after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("usual_logs")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_values_of_variables(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(level="INFO", form=form)
    planted = "planted secret".replace(" ", "-")
    try:
        sys.intern(len(planted))  # type: ignore[arg-type]  # what goes wrong
    except TypeError:
        structlog.get_logger("test").exception("went_wrong")
    shown = capsys.readouterr().err
    assert "went_wrong" in shown
    assert "TypeError" in shown
    assert "planted-secret" not in shown

"""Shows captions: in place on a terminal, line by line in a file."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.client.captions import CaptionLine, Captions

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_CLEAR_BELOW = "\x1b[J"
_LINES_IN_PLACE = 6


class Screen(Protocol):
    """Shows captions and remarks to a person."""

    def show(self, captions: Captions, changed: str) -> None:
        """Show the captions, of which the segment `changed` is new or different."""

    def remark(self, text: str | None) -> None:
        """Show one sentence about the state of things; None takes it away."""

    def close(self) -> None:
        """Leave what is shown as it is."""


class PlainScreen:
    """Prints every segment once, when it is final; remarks go elsewhere."""

    def __init__(self, out: TextIO, remarks: TextIO) -> None:
        self._out = out
        self._remarks = remarks
        self._shown: set[str] = set()

    def show(self, captions: Captions, changed: str) -> None:
        """Print the changed segment if it has just become final."""
        line = captions[changed]
        if line is not None and line.is_final and changed not in self._shown:
            self._shown.add(changed)
            print(line, file=self._out, flush=True)

    def remark(self, text: str | None) -> None:
        """Print the sentence."""
        if text:
            print(text, file=self._remarks, flush=True)

    def close(self) -> None:
        """Do nothing: every line is printed."""


class TerminalScreen:
    """Keeps the newest lines in place and lets older ones scroll away once they are final."""

    def __init__(
        self, out: TextIO, size: Callable[[], tuple[int, int]] = shutil.get_terminal_size
    ) -> None:
        self._out = out
        self._size = size
        self._scrolled: set[str] = set()
        self._rows = 0
        self._remark = ""
        self._lines: list[str] = []

    def show(self, captions: Captions, changed: str) -> None:
        """Paint again; a segment that has scrolled away is not painted any more."""
        if changed in self._scrolled:
            return
        columns, height = self._size()
        lines = [(key, line) for key, line in captions.in_order() if key not in self._scrolled]
        scrolling = []
        while lines and lines[0][1].is_final and _is_crowded(lines, columns, height):
            key, line = lines.pop(0)
            self._scrolled.add(key)
            scrolling.append(str(line))
        self._lines = [_painted(line, columns * (height - 3)) for _, line in lines]
        self._paint(scrolling)

    def remark(self, text: str | None) -> None:
        """Show one sentence below the captions; None takes it away."""
        self._remark = text or ""
        self._paint([])

    def close(self) -> None:
        """Let the captions stand and go on below them."""
        self._remark = ""
        self._paint([])
        self._rows = 0
        self._lines = []

    def _paint(self, scrolling: Sequence[str]) -> None:
        columns, _ = self._size()
        remark = [f"{_DIM}{self._remark}{_PLAIN}"] if self._remark else []
        kept = [*self._lines, *remark]
        up = f"\x1b[{self._rows}A" if self._rows else ""
        text = "".join(f"{line}\n" for line in (*scrolling, *kept))
        self._out.write(f"{up}\r{_CLEAR_BELOW}{text}")
        self._out.flush()
        self._rows = sum(_rows(line, columns) for line in kept)


def _is_crowded(lines: Sequence[tuple[str, CaptionLine]], columns: int, height: int) -> bool:
    rows = sum(_rows(str(line), columns) for _, line in lines)
    return len(lines) > _LINES_IN_PLACE or rows > height - 3


def _painted(line: CaptionLine, most_cells: int) -> str:
    """Return a line with its uncertain words dim; what does not fit loses its beginning."""
    room = most_cells - len(line.heading) - len(line.may_change) - 2
    stands = line.stands if len(line.stands) <= room else "… " + line.stands[-max(room, 1) :]
    dim = f"{_DIM}{line.may_change}{_PLAIN}" if line.may_change else ""
    return line.heading + " ".join(part for part in (stands, dim) if part)


def _rows(text: str, columns: int) -> int:
    """Return how many rows of a terminal the text takes."""
    visible = text.replace(_DIM, "").replace(_PLAIN, "")
    cells = sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in visible
        if not unicodedata.combining(character)
    )
    return max(-(-cells // max(columns, 1)), 1)

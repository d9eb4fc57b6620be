"""Captions say what stands, what may change, and never what was taken back."""

from __future__ import annotations

import io
from typing import Any

import pytest

from interview_agent.client.captions import Captions
from interview_agent.client.screen import PlainScreen, TerminalScreen


def partial(segment: str, text: str, committed: int = 0, **fields: Any) -> dict[str, Any]:
    words = [{"text": word} for word in text.split()]
    known = {"track": "main", "revision": 1, "start": 0.0, "words": words, "committed": committed}
    return {"event_type": "transcript.partial", "segment_id": segment, **known, **fields}


def update(segment: str, text: str, **fields: Any) -> dict[str, Any]:
    known = {"track": "main", "revision": 1, "start": 0.0, "is_final": True, "speaker": "Ann"}
    return {
        "event_type": "transcript.update",
        "segment_id": segment,
        "raw_text": text,
        "enhanced_text": text,
        **known,
        **fields,
    }


def texts(captions: Captions) -> list[tuple[str, str, bool]]:
    return [(line.stands, line.may_change, line.is_final) for _, line in captions.in_order()]


def test_words_firm_up_in_one_line_and_become_final() -> None:
    captions = Captions()
    captions.take(partial("a", "good mourning"))
    assert texts(captions) == [("", "good mourning", False)]
    captions.take(partial("a", "good morning and", committed=2))
    assert texts(captions) == [("good morning", "and", False)]
    captions.take(update("a", "Good morning and welcome."))
    assert texts(captions) == [("Good morning and welcome.", "", True)]


def test_a_partial_that_comes_late_changes_nothing() -> None:
    captions = Captions()
    captions.take(update("a", "It grows", is_final=False, revision=2))
    assert captions.take(partial("a", "it", revision=1)) is None
    captions.take(update("a", "It stands.", revision=3))
    assert captions.take(partial("a", "it grew", revision=4)) is None
    assert texts(captions) == [("It stands.", "", True)]


def test_lines_stand_in_the_order_of_their_beginning_and_go_when_taken_back() -> None:
    captions = Captions()
    captions.take(update("b", "second", start=61.25))
    captions.take(update("a", "first", start=2.0, speaker=None))
    assert [str(line) for _, line in captions.in_order()] == [
        "[00:02.0] main: first",
        "[01:01.2] Ann: second",
    ]
    captions.take({"event_type": "transcript.retract", "segment_id": "a", "track": "main"})
    assert [str(line) for _, line in captions.in_order()] == ["[01:01.2] Ann: second"]


def test_text_cannot_command_a_terminal() -> None:
    captions = Captions()
    captions.take(update("a", "a\x1b[2Jb\rc", speaker="x\x07y"))
    assert str(captions["a"]) == "[00:00.0] x y: a [2Jb c"


class Terminal(io.StringIO):
    """What somebody who looks at a terminal of some columns sees, from its first row on."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self._columns = columns

    def rows(self) -> list[str]:
        """Return every row that was ever painted, as it stands now, without colours."""
        rows, row, column = [""], 0, 0
        text = self.getvalue()
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                end = next(i for i in range(at, len(text)) if text[i].isalpha())
                count = int(text[at + 2 : end] or 0)
                if text[end] == "A":
                    row -= count
                elif text[end] == "J":
                    del rows[row + 1 :]
                    rows[row] = rows[row][:column]
                at = end + 1
                continue
            if text[at] in "\r\n":
                row, column = row + (text[at] == "\n"), 0
            else:
                if column == self._columns:
                    row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
                rows[row] = rows[row][:column].ljust(column) + text[at] + rows[row][column + 1 :]
                column += 1
            rows += [""] * (row + 1 - len(rows))
            at += 1
        return [each.rstrip() for each in rows if each.strip()]


@pytest.mark.parametrize("columns", [20, 34, 200])
def test_a_terminal_shows_each_segment_once_as_it_stands(columns: int) -> None:
    terminal = Terminal(columns)
    screen = TerminalScreen(terminal, lambda: (columns, 24))
    captions = Captions()

    def take(message: dict[str, Any]) -> None:
        changed = captions.take(message)
        assert changed
        screen.show(captions, changed)

    for number in range(12):
        segment, start = f"s{number:02d}", float(number)
        take(partial(segment, "one two thr", start=start))
        screen.remark("listening" if number % 2 else None)
        take(partial(segment, "one two three four five six seven", 3, start=start))
        take(update(segment, f"One two three four five {number}.", start=start))
    take(partial("s12", "and so", start=12.0))
    screen.close()
    shown = "".join(row.ljust(columns) for row in terminal.rows())
    expected = [f"[00:{n:04.1f}] Ann: One two three four five {n}." for n in range(12)]
    lines = [*expected, "[00:12.0] Ann: and so"]
    width = [-(-len(line) // columns) * columns for line in lines]
    assert shown == "".join(line.ljust(w) for line, w in zip(lines, width, strict=True))


def test_words_that_may_change_are_dim_and_a_long_line_keeps_its_end() -> None:
    out = io.StringIO()
    screen = TerminalScreen(out, lambda: (40, 6))
    captions = Captions()
    captions.take(partial("a", "old " * 50 + "new words", committed=51))
    screen.show(captions, "a")
    assert "\x1b[2mwords\x1b[0m" in out.getvalue()
    assert "… " in out.getvalue()
    assert "old new \x1b[2m" in out.getvalue()
    assert len(out.getvalue()) < 40 * 4


def test_a_file_gets_every_segment_once_when_it_is_final() -> None:
    out, remarks = io.StringIO(), io.StringIO()
    screen = PlainScreen(out, remarks)
    captions = Captions()
    for message in (
        partial("a", "one"),
        update("a", "One", is_final=False),
        update("a", "One two.", revision=2),
        update("a", "One, two.", revision=3),
        update("b", "Three.", start=2.0),
    ):
        screen.show(captions, captions.take(message) or "")
    screen.remark("connection lost")
    screen.remark(None)
    assert out.getvalue() == "[00:00.0] Ann: One two.\n[00:02.0] Ann: Three.\n"
    assert remarks.getvalue() == "connection lost\n"

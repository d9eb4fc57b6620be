"""What people wrote about the code names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.py)`")
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def _exists(name: str) -> bool:
    return any(
        (ROOT / folder / name).exists() for folder in ("", "src", "src/interview_agent", "tests")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = [
        target
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:")
    ]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "page",
    [ROOT / "docs" / "overview.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DECISIONS],
    ids=lambda page: page.name,
)
def test_every_file_of_ours_that_is_named_exists(page: Path) -> None:
    named = _PATH.findall(page.read_text(encoding="utf-8"))
    own = [name for name in named if not name.startswith(("data/", "DATA_DIR/"))]
    assert [name for name in own if not _exists(name)] == []


def test_the_overview_names_files_at_all() -> None:
    named = _PATH.findall((ROOT / "docs" / "overview.md").read_text(encoding="utf-8"))
    assert len(set(named)) > 30


def test_decisions_are_short_numbered_in_order_and_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40, page.name
        assert text.startswith(f"# {page.name[:4]} "), page.name
        assert f"({page.name})" in index, page.name

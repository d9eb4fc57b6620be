"""The generated pages say what the declarations say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interview_agent.metrics import METERS
from interview_agent.settings import GROUPS, Settings, read_settings

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The script that writes the pages, as a module."""
    spec = importlib.util.spec_from_file_location(
        "generate_docs", ROOT / "scripts" / "generate_docs.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_page_is_up_to_date(generator: ModuleType) -> None:
    """`make docs` brings them up to date again."""
    assert generator.outdated(ROOT) == []


def test_a_page_that_is_missing_or_edited_is_noticed(generator: ModuleType, tmp_path: Path) -> None:
    pages = generator.pages()
    for path, text in pages.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert generator.outdated(tmp_path) == []
    edited, missing = Path("docs/metrics.md"), Path(".env.example")
    (tmp_path / edited).write_text(pages[edited].replace("gauge", "counter", 1), encoding="utf-8")
    (tmp_path / missing).unlink()
    assert generator.outdated(tmp_path) == [edited, missing]


def test_every_setting_and_meter_has_its_row(generator: ModuleType) -> None:
    configuration, metrics = generator.configuration_page(), generator.metrics_page()
    for name in Settings.model_fields:
        assert configuration.count(f"\n| `{name.upper()}` | ") == 1, name
    for meter in METERS:
        assert metrics.count(f"\n| `{meter.name}` | ") == 1, meter.name


def test_every_group_has_a_heading_of_its_own(generator: ModuleType) -> None:
    configuration = generator.configuration_page()
    for group in GROUPS:
        assert configuration.count(f"\n## {group.heading}\n") == 1, group


def test_the_example_with_its_comments_removed_gives_the_defaults(
    generator: ModuleType, tmp_path: Path
) -> None:
    lines = generator.env_example().splitlines()
    names = {name.upper() for name in Settings.model_fields}
    values = [
        line.removeprefix("# ")
        for line in lines
        if line.removeprefix("# ").partition("=")[0] in names
    ]
    assert len(values) == len(names)
    (tmp_path / ".env").write_text("\n".join(values), encoding="utf-8")
    assert read_settings({}, tmp_path / ".env") == Settings()
    assert all(not line or line.startswith("#") for line in lines), "the example sets nothing"

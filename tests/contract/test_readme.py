"""README and the chapters beside the code: commands, paths and links in them exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from topics.catalog import DEFAULT_REPLIES

ROOT = Path(__file__).parents[2]
TOPICS_README = ROOT / "topics" / "README.md"
MAX_LINES = 170
_ROW = re.compile(r"^\| `(\S+)` \| `(\{.+\})` \| `(\S+)` \|$", re.MULTILINE)
_GUARANTEE = re.compile(r"^\| (R\d+) \|.*\| `(\S+)` \|$", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+(?: [a-z-]+)*):", re.MULTILINE)
_MAKE = re.compile(r"\bmake (?!PYTHON=)([a-z-]+)")
_MODULE = re.compile(r"-m\s+((?:agents|gateway|schemas|tests|topics)[\w.]*)")
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|json|yml|md|mjs|csv)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


FOLDERS = ("agents", "gateway", "schemas", "tests", "topics")
CHAPTERS = sorted(
    [
        *ROOT.glob("*.md"),
        *(md for folder in FOLDERS for md in (ROOT / folder).rglob("*.md")),
    ]
)
chapters = pytest.mark.parametrize(
    "chapter", CHAPTERS, ids=lambda path: str(path.relative_to(ROOT))
)


def _anchors(chapter: Path) -> set[str]:
    headings = _HEADING.findall(chapter.read_text())
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_for_each_request_topic_there_is_a_body_to_paste():
    found = _ROW.findall(TOPICS_README.read_text())
    rows = {topic: (value, replies) for topic, value, replies in found}
    assert rows.keys() == {topic.name for topic in DEFAULT_REPLIES}
    for topic, replies in DEFAULT_REPLIES.items():
        value, beside = rows[topic.name]
        assert topic.decode(value.encode())
        assert beside == replies.name


def test_readme_is_short_and_links_to_each_chapter():
    readme = (ROOT / "README.md").read_text()
    linked = {ROOT / path for path, _ in _LINK.findall(readme)}

    assert len(readme.splitlines()) <= MAX_LINES
    assert {path for path in CHAPTERS if path.name == "README.md"} - linked == {
        ROOT / "README.md"
    }


def test_guarantees_are_numbered_and_each_has_a_file():
    found = _GUARANTEE.findall((ROOT / "README.md").read_text())

    assert [number for number, _ in found] == [f"R{n}" for n in range(1, 11)]
    for _, path in found:
        assert (ROOT / path).is_file(), path


@chapters
def test_make_targets_exist(chapter: Path):
    lines = _TARGET.findall((ROOT / "Makefile").read_text())
    targets = {target for line in lines for target in line.split()}
    code = "\n".join(_code(chapter))

    assert set(_MAKE.findall(code)) - targets == set()


@chapters
def test_modules_exist(chapter: Path):
    for module in _MODULE.findall(chapter.read_text()):
        assert find_spec(module), module


@chapters
def test_paths_exist(chapter: Path):
    folders = (ROOT, chapter.parent)
    for code in _code(chapter):
        for path in _PATH.findall(code):
            assert any((folder / path).exists() for folder in folders), path


@chapters
def test_links_lead_somewhere(chapter: Path):
    for path, anchor in _LINK.findall(chapter.read_text()):
        there = (chapter.parent / path).resolve() if path else chapter
        assert there.exists(), path
        assert not anchor or anchor in _anchors(there), f"{path}#{anchor}"


def _code(chapter: Path) -> list[str]:
    """Return the code of a chapter: its blocks, and what is in backticks elsewhere."""
    blocks = chapter.read_text().split("```")
    outside = [code for text in blocks[::2] for code in _CODE.findall(text)]
    return [*blocks[1::2], *outside]

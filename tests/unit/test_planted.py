"""Bugs that are to be planted can be, and whoever must notice them is there."""

from collections import Counter
from pathlib import Path

import pytest

from tests.planted.__main__ import planted
from tests.planted.bug import Bug
from tests.planted.bugs import BUGS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_there_is_a_test_to_notice_it(bug: Bug):
    code = planted((ROOT / bug.file).read_text(), bug)
    compile(code, bug.file, "exec")
    file, _, test = bug.noticed_by.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


def test_what_is_not_there_or_is_there_twice_can_not_be_replaced():
    bug = Bug("a bug", "a.py", "right", "wrong", "a test")
    assert planted("all right", bug) == "all wrong"
    for text in ("nothing", "right and right"):
        with pytest.raises(ValueError, match="not there, or twice"):
            planted(text, bug)


def test_every_bug_has_a_name_of_its_own():
    assert {1} == set(Counter(bug.name for bug in BUGS).values())

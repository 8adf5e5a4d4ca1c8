"""Planted bugs match the code, and the tests that must notice them exist."""

from collections import Counter
from pathlib import Path

import pytest

from tests.planted.__main__ import Result, judge, planted
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


TEST = "tests/unit/test_a.py::test_it"
FAILED = f"FAILED {TEST}"


@pytest.mark.parametrize(
    ("exit_code", "output", "result"),
    [
        (1, f"{FAILED}\n1 failed in 0.1s", Result.NOTICED),
        (1, f"{FAILED} - assert 1 == 2\n1 failed in 0.1s", Result.NOTICED),
        (1, f"{FAILED}[1-b c] - KeyError: 'a'\n1 failed in 0.1s", Result.NOTICED),
        (0, "2 passed in 0.1s", Result.MISSED),
        (0, "1 skipped in 0.1s", Result.UNKNOWN),
        (1, f"ERROR {TEST} - OSError\n1 error in 0.1s", Result.UNKNOWN),
        (1, f"{FAILED}_too - assert 1 == 2\n1 failed in 0.1s", Result.UNKNOWN),
        (2, "ERROR tests/unit/test_a.py - ImportError\n1 error in 0.1s", Result.UNKNOWN),
        (4, f"ERROR: not found: {TEST}\nno tests ran in 0.1s", Result.UNKNOWN),
        (5, "no tests ran in 0.1s", Result.UNKNOWN),
        (-9, "", Result.UNKNOWN),
        (None, f"{FAILED}", Result.UNKNOWN),
    ],
)
def test_only_the_named_test_itself_can_notice_a_bug(exit_code, output, result):
    assert judge(exit_code, output, TEST)[0] is result


def test_why_it_failed_is_told():
    assert judge(1, f"{FAILED}[a[1]-b] - assert []\n", TEST)[1] == "assert []"

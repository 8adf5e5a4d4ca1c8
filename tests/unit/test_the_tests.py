"""Each bug that is planted into the rules is caught, or the tests are no good."""

from inspect import getsource, isclass, isfunction

import pytest

from . import invariants
from .bugs import BUGS
from .test_world import a_day

MOST_DAYS = 160
CAUGHT = (AssertionError, KeyError, ValueError)
MODULES = sorted({bug.module for bug in BUGS}, key=lambda module: module.__name__)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_in_the_rules_is_caught(bug, monkeypatch):
    plant(monkeypatch, bug.module, bug.right, bug.wrong)

    with pytest.raises(CAUGHT):
        run(bug.spec) if bug.spec else live_through(MOST_DAYS)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_rules_that_are_planted_as_they_are_pass(module, monkeypatch):
    plant(monkeypatch, module, "", "")

    live_through(5)
    for spec in {bug.spec for bug in BUGS if bug.spec}:
        run(spec)


def plant(monkeypatch, module, right, wrong):
    """Give the functions of a module the code that they would have with another text."""
    source = getsource(module)
    assert source.count(right) == 1 or right == wrong, f"not there, or twice: {right}"
    changed = {"__name__": module.__name__}
    exec(compile(source.replace(right, wrong), module.__file__, "exec"), changed)
    planted = functions(changed, module)
    for name, function in functions(vars(module), module).items():
        monkeypatch.setattr(function, "__code__", planted[name].__code__)


def functions(names, module):
    """Find the functions of a module and of its classes, those of properties too."""
    places = [names, *(vars(kind) for kind in names.values() if isclass(kind))]
    return {
        function.__qualname__: function
        for place in places
        for function in (getattr(each, "fget", each) for each in place.values())
        if isfunction(function) and function.__code__.co_filename == module.__file__
    }


def live_through(days):
    for seed in range(days):
        ledger = a_day(seed)
        for invariant in invariants.INVARIANTS:
            invariant(ledger)


def run(spec):
    """Run a specification with each of its rows."""
    marks = getattr(spec, "pytestmark", ())
    for row in marks[0].args[1] if marks else ((),):
        spec(*row) if isinstance(row, tuple) else spec(row)

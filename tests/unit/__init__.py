"""Tests of pure rules; no broker, no clock, no sleeping."""

import pytest

pytest.register_assert_rewrite("tests.unit.given", "tests.unit.invariants")

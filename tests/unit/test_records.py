"""Records on the pages of the Kafka UI: indented JSON, where it stays a text of a size."""

import json

import pytest

from topics.records import pretty_json

DEEP = b"[" * 100 + b"]" * 100
NESTED = b"[" + b",".join([DEEP] * 100) + b"]"
WORDS = {"words": ["x" * 200, "é"], "number": 18446744073709551615}


def test_a_value_is_indented():
    text = json.dumps(WORDS)
    assert pretty_json(text) == (
        '{\n  "words": [\n    "' + "x" * 200 + '",\n    "é"\n  ],\n'
        '  "number": 18446744073709551615\n}'
    )


@pytest.mark.parametrize(
    "value",
    [NESTED, b"[" * 300 + b"]" * 300, b"[" * 20_000 + b"]" * 20_000, b"[" * 100_000],
)
def test_deep_nesting_is_shown_as_it_is(value: bytes):
    # Indented, 20 kB of NESTED would be 2 MB, and 40 kB of brackets 800 MB.
    assert pretty_json(value.decode()) == value.decode()

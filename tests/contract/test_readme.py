"""What README has people paste is what the shop understands."""

import re
from pathlib import Path

from topics.catalog import DEFAULT_REPLIES

README = (Path(__file__).parents[2] / "README.md").read_text()
_ROW = re.compile(r"^\| `(\S+)` \| `(\{.+\})` \| `(\S+)` \|$", re.MULTILINE)


def test_for_each_request_topic_there_is_a_body_to_paste():
    rows = {topic: (value, replies) for topic, value, replies in _ROW.findall(README)}
    assert rows.keys() == {topic.name for topic in DEFAULT_REPLIES}
    for topic, replies in DEFAULT_REPLIES.items():
        value, beside = rows[topic.name]
        assert topic.decode(value.encode())
        assert beside == replies.name

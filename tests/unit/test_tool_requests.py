"""The rows that tools read from changelogs."""

from collections.abc import AsyncIterator

from aiokafka.structs import ConsumerRecord

from agents.ops.requests import newest_rows
from agents.runtime.changelog import PROCESSED_OFFSET_HEADER
from tests.unit.dead_letters import record
from topics.catalog import SENT_CHANGELOG


class Changelog:
    """A reader of one partition, whose rows were written at these source offsets."""

    def __init__(self, *rows: tuple[bytes, bytes | None, int]) -> None:
        self.rows = rows

    async def names(self) -> list[str]:
        return [SENT_CHANGELOG.name]

    async def read_partition_of(self, *_: object) -> AsyncIterator[ConsumerRecord]:
        for key, value, offset in self.rows:
            headers = ((PROCESSED_OFFSET_HEADER, str(offset).encode()),)
            yield record(SENT_CHANGELOG.name, value, key, headers)


async def test_the_late_write_of_a_zombie_is_no_newest_row():
    changelog = Changelog((b"a", b"new", 7), (b"b", b"other", 8), (b"a", b"zombie's", 3))
    rows = await newest_rows(changelog, SENT_CHANGELOG, b"1", lambda row: row.key == b"a")
    assert [(row.key, row.value) for row in rows] == [(b"a", b"new")]


async def test_a_row_that_once_matched_is_returned_also_after_its_deletion():
    changelog = Changelog((b"a", b"user", 1), (b"a", None, 2))
    rows = await newest_rows(changelog, SENT_CHANGELOG, b"1", lambda row: bool(row.value))
    assert [(row.key, row.value) for row in rows] == [(b"a", None)]

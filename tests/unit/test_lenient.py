"""Records that aiokafka can't read."""

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from topics.kafka import compat
from topics.kafka.lenient_records import LenientRecords


def batch(first_offset: int, codec: int = 0) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, 10_000)
    for offset in range(2):
        headers = [("name", b"name"), ("other", None)]
        builder.append(offset, 1, b"k%d" % offset, b"value", headers)
    built = bytearray(builder.build())
    built[:8] = first_offset.to_bytes(8, "big")
    return bytes(built)


def read(fetched: bytes) -> list:
    records = LenientRecords(fetched)
    batches = []
    while records.has_next():
        batches.append(records.next_batch())
    return [record for each in batches for record in each]


def test_a_header_name_that_is_no_text_is_escaped_and_all_else_stays():
    strange = batch(5).replace(b"\x08name\x08name", b"\x08\xff\xfea\x00\x08name", 1)

    first, second = read(strange)

    assert (first.offset, first.key, first.value) == (5, b"k0", b"value")
    assert list(first.headers) == [("\\xff\\xfea\x00", b"name"), ("other", None)]
    assert list(second.headers) == [("name", b"name"), ("other", None)]


def test_what_aiokafka_can_read_is_read_by_aiokafka():
    fetched = batch(0) + batch(2, codec=1)

    assert [(r.offset, r.key) for r in read(fetched)] == [
        (0, b"k0"),
        (1, b"k1"),
        (2, b"k0"),
        (3, b"k1"),
    ]


def test_aiokafka_itself_still_needs_this():
    strange = batch(5).replace(b"\x08name\x08name", b"\x08\xff\xfea\x00\x08name", 1)
    records = MemoryRecords(strange)

    with pytest.raises(UnicodeDecodeError):
        list(records.next_batch())


def test_consumers_of_the_process_decode_them_once_that_is_applied(monkeypatch):
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    for _ in range(2):
        compat.apply()
        assert fetcher.MemoryRecords is LenientRecords

"""Records with header names that aiokafka can't decode."""

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from topics.kafka import compat
from topics.kafka.compat import LenientRecords


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
    return [record for batch in batches for record in batch]


def test_an_invalid_header_name_is_escaped_and_all_else_stays():
    invalid = batch(5).replace(b"\x08name\x08name", b"\x08\xff\xfea\x00\x08name", 1)

    first, second = read(invalid)

    assert (first.offset, first.key, first.value) == (5, b"k0", b"value")
    assert list(first.headers) == [("\\xff\\xfea\x00", b"name"), ("other", None)]
    assert list(second.headers) == [("name", b"name"), ("other", None)]


def test_valid_records_are_decoded_by_aiokafka():
    fetched = batch(0) + batch(2, codec=1)

    assert [(r.offset, r.key) for r in read(fetched)] == [
        (0, b"k0"),
        (1, b"k1"),
        (2, b"k0"),
        (3, b"k1"),
    ]


def test_aiokafka_reads_a_transactions_marker_as_its_own_batch():
    assert next(LenientRecords(batch(5)).next_batch()).offset == 5


def test_aiokafka_itself_still_fails():
    invalid = batch(5).replace(b"\x08name\x08name", b"\x08\xff\xfea\x00\x08name", 1)
    records = MemoryRecords(invalid)

    with pytest.raises(UnicodeDecodeError):
        list(records.next_batch())


def test_consumers_use_it_once_the_replacements_are_applied(monkeypatch):
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    for _ in range(2):
        compat.apply()
        assert fetcher.MemoryRecords is LenientRecords

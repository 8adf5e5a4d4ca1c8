"""Records as other clients pack them: compressed, huge, with header names of any bytes."""

import time
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from tests.e2e.clients import HttpClient, answer_of, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import CORRELATION_ID, REPLY_TOPIC, Record
from tests.e2e.steps import received, stocks
from topics.kafka.location import partition_of

AT_ONCE_SECONDS = 3.0
MEGABYTE = 2**20


class _Name(str):
    """A header name of any bytes."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return super().encode("latin-1")


async def _pack(kafka: Kafka, sent: Record, codec: str | None = None) -> None:
    """Send a record to its partition in a separate batch, with a codec if given."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap,
        compression_type=codec,
        max_request_size=32 * MEGABYTE,
        max_batch_size=32 * MEGABYTE,
    ) as producer:
        batch = producer.create_batch()
        if codec is None:  # the fast builder would encode the names itself
            batch._builder = _DefaultRecordBatchBuilderPy(  # noqa: SLF001
                magic=2,
                compression_type=0,
                is_transactional=0,
                producer_id=-1,
                producer_epoch=-1,
                base_sequence=0,
                batch_size=MEGABYTE,
            )
        batch.append(
            timestamp=None, key=sent.key, value=sent.value, headers=list(sent.headers)
        )
        await producer.partitions_for(sent.topic)
        arrived = await producer.send_batch(batch, sent.topic, partition=sent.partition)
        await arrived


async def _is_served(kafka: Kafka, sku: int, partition: int) -> None:
    """Require that a partition is served without delay."""
    began = time.monotonic()
    sent = replace(as_record("stocks", {"sku": sku}), partition=partition)
    assert answer_of((await kafka.ask(sent)).value).code is None
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_records_are_read(
    kafka: Kafka, http: HttpClient, ids: IdFactory, codec: str
):
    sku = ids.sku()
    correlation_id = kafka.correlation_id()
    sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 3})
    sent = replace(sent, partition=3, value=sent.value + b" " * 5000).with_headers(
        (CORRELATION_ID, correlation_id), (REPLY_TOPIC, kafka.replies.encode())
    )
    await _pack(kafka, sent, codec)
    header = (CORRELATION_ID, correlation_id)
    await kafka.find(kafka.replies, lambda record: header in record.headers)
    assert await stocks(http, sku) == {1: 3}


async def test_invalid_header_names_do_no_harm(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku = await received(http, ids, 1)
    sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 3})
    for partition in range(
        kafka.partitions
    ):  # at its owner's partition, and at others, which forward it
        name = _Name("caf\xe9\xff")
        await _pack(kafka, replace(sent, partition=partition, headers=((name, b"\xff"),)))
        await _is_served(kafka, sku, partition)
    assert await stocks(http, sku) == {1: 1 + 3 * kafka.partitions}


async def test_an_invalid_record_with_invalid_header_names_is_a_dead_letter(
    kafka: Kafka, ids: IdFactory
):
    mark = ids.key().encode()
    headers = ((_Name("\xff"), mark),)
    await _pack(kafka, Record("stock.requests", b"poison", b"k", headers, 2))
    [dead] = await kafka.find("stock.dlq", lambda r: mark in dict(r.headers).values())
    assert (dead.key, dead.value) == (b"k", b"poison")
    await _is_served(kafka, ids.sku(), 2)


@pytest.mark.parametrize("topic", ["cart.requests", "order.requests", "stock.requests"])
async def test_a_record_that_is_too_large_for_a_dead_letter_is_kept_in_part(
    kafka: Kafka, ids: IdFactory, topic: str
):
    dlq = topic.replace("requests", "dlq")
    for name, sent in {
        "value": Record(topic, b"x" * 8 * MEGABYTE, b"k"),
        "key": Record(topic, b"x", b"k" * 8 * MEGABYTE),
        "header": Record(topic, b"x", b"k", (("much", b"h" * 8 * MEGABYTE),)),
        "headers": Record(
            topic, b"x", b"k", tuple((f"{n}" * 99, b"") for n in range(10**5))
        ),
    }.items():
        before = len(kafka.seen[dlq])
        await _pack(kafka, replace(sent, partition=1), "gzip")
        if topic == "stock.requests":
            await _is_served(kafka, ids.sku(), 1)
        found = await kafka.find(dlq, lambda record: True, before + 1)
        dead = found[-1]
        why = dict(dead.headers)
        assert why["dlq.topic"] == topic.encode(), name
        assert b"cut" in why["dlq.reason"], name
        assert sent.value.startswith(dead.value), name
        assert sent.key.startswith(dead.key), name


@pytest.mark.parametrize("reply_topic", [b"e2e.replies", b"cart.requests"])
async def test_a_refusal_of_a_record_with_a_key_of_a_megabyte_reaches_the_sender(
    kafka: Kafka, http: HttpClient, ids: IdFactory, reply_topic: bytes
):
    correlation_id = kafka.correlation_id()
    headers = ((CORRELATION_ID, correlation_id), (REPLY_TOPIC, reply_topic))
    sent = Record("stock.requests", b"x", b"k" * (MEGABYTE - 200), headers, 5)
    await _pack(kafka, sent)
    await _is_served(kafka, ids.sku(), 5)
    topic = kafka.replies if reply_topic == b"e2e.replies" else "stock.replies"
    header = (CORRELATION_ID, correlation_id)
    [reply] = await kafka.find(topic, lambda record: header in record.headers)
    assert answer_of(reply.value).code == "bad-request"


async def test_a_correlation_id_of_a_megabyte_blocks_no_other_client(
    kafka: Kafka, ids: IdFactory
):
    for value in (b"x", b'{"type": "stocks", "sku": 1}'):
        headers = ((CORRELATION_ID, b"c" * 1_000_000), (REPLY_TOPIC, b"e2e.replies"))
        await _pack(kafka, Record("stock.requests", value, b"1", headers, 5))
        await _is_served(kafka, ids.sku(), 5)


async def test_many_records_that_grow_when_forwarded_block_no_other_client(
    kafka: Kafka, ids: IdFactory
):
    """Each is small when compressed, in a wrong partition, and all are in one batch."""
    sku = ids.sku()
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap,
        compression_type="gzip",
        max_request_size=64 * MEGABYTE,
        max_batch_size=64 * MEGABYTE,
    ) as producer:
        batch = producer.create_batch()
        value = b'{"type": "stocks", "sku": %d%s}' % (sku, b" " * 200_000)
        for _ in range(100):
            batch.append(timestamp=None, key=b"", value=value, headers=[])
        await producer.partitions_for("stock.requests")
        owner = partition_of(str(sku).encode(), kafka.partitions)
        other_partition = (owner + 1) % kafka.partitions
        await producer.send_batch(batch, "stock.requests", partition=other_partition)
        await producer.flush()
    for partition in range(kafka.partitions):
        await _is_served(kafka, sku, partition)

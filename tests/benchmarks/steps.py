"""The cost of each step of one record in a worker, without Kafka: microseconds of CPU.

python -m tests.benchmarks.steps
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from timeit import Timer
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.runtime.collector import RecordCollector
from agents.runtime.deserializer import deserialize, parse_reply_context
from agents.runtime.router import RecordRouter
from agents.runtime.state_store import StateStore
from agents.runtime.transaction import PartitionTransaction
from topics.kafka.headers import CORRELATION_ID, REPLY_PARTITION, REPLY_TOPIC

REPEATS = 200
TRIES = 60
AT = 1_700_000_000_000

CASES: dict[str, tuple[Aggregate[Any, Any, Any], str]] = {
    "stocks": (STOCK_AGGREGATE, '{"type":"stocks","sku":7}'),
    "receiveStock": (
        STOCK_AGGREGATE,
        '{"type":"receiveStock","sku":7,"warehouseID":1,"count":9}',
    ),
    "reserve": (STOCK_AGGREGATE, '{"type":"reserve","sku":7,"orderID":81930,"count":1}'),
    "createOrder": (
        ORDER_AGGREGATE,
        '{"type":"createOrder","user":10,"items":[{"sku":7,"count":1}]}',
    ),
    "addToCart": (CART_AGGREGATE, '{"type":"addToCart","user":10,"sku":7,"count":1}'),
}


def record(aggregate: Aggregate[Any, Any, Any], value: str) -> ConsumerRecord:
    """Return a request as a gateway sends it."""
    headers = [
        (CORRELATION_ID, b"0123456789abcdef0123456789abcdef"),
        (REPLY_TOPIC, b"gateway.replies"),
        (REPLY_PARTITION, b"\0\0\0\0"),
    ]
    fields = (aggregate.requests.name, 0, 5, AT, 1, b"7", value.encode(), 0, 1, 1, headers)
    return ConsumerRecord(*fields)


def steps(
    aggregate: Aggregate[Any, Any, Any], value: str, store: StateStore
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each step of a record as a function that can be repeated."""
    request = record(aggregate, value)
    topic = aggregate.requests
    reply_context = parse_reply_context(request)
    envelope = deserialize(topic, request, reply_context)
    keys = aggregate.identify(envelope.request, envelope.cause)

    def read() -> Any:
        return PartitionTransaction(aggregate, store, 0).state(
            keys, envelope.cause.timestamp
        )

    state = read()
    after, messages = aggregate.step(state, envelope.request, envelope.cause)
    fold = PartitionTransaction(aggregate, store, 0)
    fold.state(keys, envelope.cause.timestamp)
    if after is not state:
        fold.put(keys, after)
    rows = fold.encoded_changes()
    out = _collect(topic, messages, envelope)
    desk = RecordRouter(topic, 1)
    yield "read its headers", lambda: parse_reply_context(request)
    yield "validate it, and its cause", lambda: deserialize(topic, request, reply_context)
    yield "all at the desk", lambda: desk.route(request, RecordCollector(topic))
    yield "read its rows", read
    yield (
        "decide, evolve, follow up",
        lambda: aggregate.step(state, envelope.request, envelope.cause),
    )
    yield "encode its rows", fold.encoded_changes
    yield "put them, and store them in RocksDB", lambda: _store(store, rows)
    yield "encode its messages", lambda: _collect(topic, messages, envelope)
    yield "append all to batches", lambda: _append(rows, out)


def _store(store: StateStore, rows: dict[bytes, bytes | None]) -> None:
    write = store.put(0, rows, 6)
    end = store.offsets[0].stored.changelog_offset + len(rows)
    store.commit(write, end, 0.0)


def _collect(topic: Any, messages: Any, envelope: Any) -> RecordCollector:
    out = RecordCollector(topic)
    for message in messages:
        out.add(message, envelope)
    return out


def _append(rows: dict[bytes, bytes], out: RecordCollector) -> None:
    batch = BatchBuilder(900 * 2**10, 0, is_transactional=False)
    for key, value in rows.items():
        batch.append(timestamp=None, key=key, value=value, headers=[("version", b"6")])
    for produced in out.records:
        batch.append(
            timestamp=None, key=produced.key, value=produced.value, headers=produced.headers
        )


def microseconds(step: Callable[[], object]) -> float:
    """Return the duration of a step, the best of some tries."""
    return min(Timer(step).repeat(TRIES, REPEATS)) / REPEATS * 1e6


def main() -> None:
    """Measure and print a table."""
    costs: dict[str, dict[str, float]] = {}
    for name, (aggregate, value) in CASES.items():
        with tempfile.TemporaryDirectory() as directory:
            store = StateStore(Path(directory) / "rows", "bench", aggregate.index)
            _store(store, {b"7": b'{"available":{"1":1000000},"reserved":{"1":100}}'})
            for step, do in steps(aggregate, value, store):
                costs.setdefault(step, {})[name] = microseconds(do)
            store.close()
    print(f"{'microseconds':<36}" + "".join(f"{name:>14}" for name in CASES))
    for step, by_name in costs.items():
        print(f"{step:<36}" + "".join(f"{cost:>14.1f}" for cost in by_name.values()))


if __name__ == "__main__":
    main()

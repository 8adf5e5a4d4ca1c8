"""The packed messages, against aiokafka's own schemas."""

from io import BytesIO

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v8, ProduceResponse_v8

from topics.kafka.wire import FetchRequest, ProduceRequest

LIMITS = (500, 1, 2**20, 1)


def test_a_fetch_is_what_aiokafka_would_send():
    topics = {"cart.requests": [(0, 2**40, 2**20), (7, 0, 5)], "größe": [(1, 2, 3)]}
    removed = {"old": [1, 2], "older": [0]}
    packed = FetchRequest(LIMITS, (7, 3), topics, removed).encode()
    expected = [
        (topic, [(number, -1, offset, -1, most) for number, offset, most in partitions])
        for topic, partitions in topics.items()
    ]
    same = FetchRequest_v11(-1, *LIMITS, 7, 3, expected, list(removed.items()), "")
    assert packed == same.encode()


@pytest.mark.parametrize("records", [b"", b"records" * 1000])
def test_a_fetched_response_is_what_aiokafka_would_read(records):
    topics = [
        ("größe", [(3, 0, 2**40, 2**40, 0, [(5, 6), (7, 8)], -1, records)]),
        ("t", [(0, 6, -1, -1, -1, [], 2, records), (1, 0, 9, 9, 1, [], -1, b"x")]),
    ]
    response = FetchResponse_v11(0, 71, 12, topics)
    decoded = FetchRequest.decode(BytesIO(response.encode()))
    assert (decoded.error, decoded.session, decoded.topics) == (71, 12, topics)
    assert decoded.API_VERSION == FetchResponse_v11.API_VERSION


def test_null_arrays_and_records_of_a_fetched_response_are_empty():
    topics = [("t", [(0, 0, 9, 9, 0, None, -1, None)])]
    decoded = FetchRequest.decode(BytesIO(FetchResponse_v11(0, 0, 1, topics).encode()))
    assert decoded.topics == [("t", [(0, 0, 9, 9, 0, [], -1, b"")])]


def test_a_produce_request_is_what_aiokafka_would_send():
    topics = [("größe", [(0, b"batch"), (63, b"")]), ("t", [(1, b"x" * 1000)])]
    packed = ProduceRequest(None, -1, 40_000, topics)
    assert packed.encode() == ProduceRequest_v8(None, -1, 40_000, topics).encode()
    assert packed.required_acks == -1


def test_a_produced_response_is_what_aiokafka_would_read():
    partitions = [
        (0, 0, 2**40, -1, 5, [], None),
        (1, 87, -1, -1, -1, [(0, "größe"), (2, None)], "bad"),
    ]
    response = ProduceResponse_v8([("t", partitions), ("u", partitions[:1])], 0)
    decoded = ProduceRequest.decode(BytesIO(response.encode()))
    [(topic, [good, bad]), (other, _)] = decoded.topics
    assert (topic, other) == ("t", "u")
    assert good[:5] == partitions[0][:5]
    assert bad[:5] + bad[6:] == partitions[1][:5] + partitions[1][6:]
    assert decoded.API_VERSION == ProduceResponse_v8.API_VERSION


def test_a_header_is_what_aiokafka_would_send():
    request = ProduceRequest(None, 1, 1, [])
    header = request.build_request_header(2**31 - 1, "größe")
    assert header.encode() == RequestHeader_v1(request, 2**31 - 1, "größe").encode()
    response = BytesIO((77).to_bytes(4, "big") + b"rest")
    assert request.parse_response_header(response).correlation_id == 77
    assert response.read() == b"rest"


@pytest.mark.parametrize("versions", [{}, {0: (0, 7)}, {0: (9, 12)}])
def test_a_broker_that_lacks_the_version_is_refused(versions):
    with pytest.raises(IncompatibleBrokerVersion):
        ProduceRequest(None, 1, 1, []).prepare(versions)


def test_transactions_are_refused():
    with pytest.raises(ValueError, match="transactions"):
        ProduceRequest("id", 1, 1, [])

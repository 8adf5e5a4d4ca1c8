"""What a broker sends, split into responses."""

import struct
from types import SimpleNamespace
from weakref import ref

import pytest
from aiokafka.conn import CloseReason

from topics.kafka.frames import FrameProtocol

RESPONSES = [b"one", b"", b"x" * 70_000, b"four"]


def framed(*responses: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(response)) + response for response in responses)


class Peer:
    """A connection, and the protocol before."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed: list[tuple[CloseReason, Exception]] = []
        self.lost: list[Exception | None] = []
        self.streams = SimpleNamespace(connection_lost=self.lost.append)
        self.protocol = FrameProtocol(self, self.streams)

    def connected(self) -> bool:
        return not self.closed

    def close(self, reason: CloseReason, exc: Exception) -> None:
        self.closed.append((reason, exc))

    def receive(self, frame: bytes) -> None:
        if frame == b"bad":
            raise ValueError(frame)
        self.frames.append(frame)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.mark.parametrize("size", [1, 3, 4, 5, 65_536, 200_000])
def test_responses_are_split_wherever_the_network_cuts(peer: Peer, size: int):
    sent = framed(*RESPONSES)
    for begin in range(0, len(sent), size):
        peer.protocol.data_received(sent[begin : begin + size])

    assert peer.frames == RESPONSES
    assert not peer.closed


@pytest.mark.parametrize("bad", [framed(b"bad"), struct.pack(">i", -5)])
def test_an_unreadable_response_closes_the_connection(peer: Peer, bad: bytes, caplog):
    peer.protocol.data_received(framed(b"one") + bad + framed(b"two"))

    assert peer.frames[:1] == [b"one"]
    assert b"two" not in peer.frames
    [(reason, _)] = peer.closed
    assert reason is CloseReason.CONNECTION_BROKEN
    assert "event=response-unreadable" in caplog.text


def test_responses_after_a_close_are_ignored(peer: Peer):
    peer.closed.append((CloseReason.SHUTDOWN, EOFError()))
    peer.protocol.data_received(framed(b"one"))

    assert not peer.frames


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
def test_a_lost_connection_is_closed(peer: Peer, error: Exception | None):
    peer.protocol.connection_lost(error)

    [(reason, cause)] = peer.closed
    assert reason is CloseReason.CONNECTION_BROKEN
    assert isinstance(cause, EOFError if error is None else ConnectionResetError)
    assert peer.lost == [error]


def test_a_protocol_does_not_keep_its_connection_alive():
    peer = Peer()
    protocol, connection = peer.protocol, ref(peer)
    del peer
    assert connection() is None

    protocol.data_received(framed(b"one"))
    protocol.connection_lost(None)

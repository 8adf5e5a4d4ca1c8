"""Records that arrive twice, late and out of order, and invalid records."""

from collections.abc import AsyncIterator

from tests.chaos.environment import Environment
from tests.chaos.fault import fault
from tests.e2e.records import Record

COPIES = 3
POISONS = 60
MARK = "poison"

_TOPICS = ("cart.requests", "order.requests", "stock.requests", "product.requests")
_MEANINGLESS = (
    None,
    b"",
    b"\xff\xfe\x00 not JSON",
    b"[]",
    b'{"type":"stocks"',
    b'{"type":"nothing of this topic","user":1}',
    b'{"type":"addToCart","user":1,"sku":1,"count":65536}',
    b'{"type":"addToCart","user":true,"sku":1,"count":1}',
    b'{"type":"listOrder","orderID":9223372036854775808}',
    b'{"type":"stocks","sku":"1"}',
    b'{"type":"priceCart","user":1,"items":[]}',
    b'{"type":"receiveStock","sku":1,"warehouseID":1,"count":1,"more":0}',
    b"x" * 100_000,
)

_KEYS = (None, b"7", b"\xff")  # the client sends no record without a key and a value


@fault("duplicated and reordered requests", lasting=True)
async def duplicate_requests(environment: Environment) -> AsyncIterator[None]:
    """Each record arrives several times, after later ones of the same user, anywhere."""
    environment.topics.copies = COPIES
    yield
    environment.topics.copies = 0
    await environment.topics.silent()


@fault("poison among healthy records", lasting=True)
async def poison(environment: Environment) -> AsyncIterator[None]:
    """In every request topic and partition."""
    for _ in range(POISONS):
        number = str(len(environment.poison)).encode()
        value = environment.random.choice(_MEANINGLESS)
        one = Record(
            environment.random.choice(_TOPICS),
            value,
            environment.random.choice(_KEYS[value is None :]),
            ((MARK, number),),
            environment.random.randrange(environment.shop.partitions),
        )
        environment.poison.append(one)
        await environment.kafka.send(one)
    yield

"""Scalars and base classes of every message, and their JSON schemas.

Numbers are JSON numbers within the ranges below, never strings, floats or booleans. One
class is HTTP body, Kafka value and documented schema.

Compatibility between two releases (golden files in tests/contract enforce these rules):

- A new field has a default with the meaning of its absence. Client requests refuse unknown
  fields, since a typing error must not pass for a request. Messages between services,
  events and replies (`extra="ignore"`) ignore them, so an older worker reads newer ones.
- A new field of a client request (createOrder, and `Item`), a new message type and a new
  value of an enumeration take two releases: first every reader, then the first sender.
- No other property of a field changes, and no field is removed.
- A table row may grow in the same way. An older worker keeps fields that it cannot read,
  so a new field must stay true whatever an older worker does to the others.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import models_json_schema

UserId = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63, description="int64")]
OrderId = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63, description="int64")]
WarehouseId = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63, description="int64")]
Sku = Annotated[int, Field(strict=True, ge=0, lt=2**32, description="uint32")]
Price = Annotated[int, Field(strict=True, ge=0, lt=2**32, description="uint32")]
Count = Annotated[
    int, Field(strict=True, ge=1, lt=2**16, description="uint16, at least one")
]
StockCount = Annotated[
    int, Field(strict=True, ge=1, lt=2**64, description="uint64, at least one")
]

MAX_COUNT = 2**16 - 1
MAX_PRICE = 2**32 - 1
MAX_STOCK = 2**64 - 1
MAX_LINES = 1000

_REFERENCE = "#/components/schemas/{model}"  # in OpenAPI and AsyncAPI documents

SHARDS = 4096
"""The low 12 bits of an order id are its user's shard."""


def shard(number: int) -> int:
    """Return the shard of a user or an order id, 0…4095: a floor modulo."""
    return number % SHARDS


class Contract(BaseModel):
    """An immutable message that refuses unknown fields.

    Attributes:
        deferred: whether the message follows the commands of its batch, as replies do:
            its receiver must find the effects of those commands.
    """

    deferred: ClassVar[bool] = False

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def to_json(self) -> bytes:
        """Return plain JSON, with the names on the wire."""
        return self.__pydantic_serializer__.to_json(self)


class UserMessage(Contract):
    """A message about one user, in that user's partition."""

    user: UserId

    @property
    def shard(self) -> int:
        """The user's shard, 0…4095: a floor modulo, also of negative users."""
        return shard(self.user)


class OrderMessage(Contract):
    """A message about one order; the id's low 12 bits are its user's shard."""

    order_id: OrderId = Field(alias="orderID")

    @property
    def shard(self) -> int:
        """The shard of the order's user, 0…4095."""
        return shard(self.order_id)


class SkuMessage(Contract):
    """A message about one sku's stock, in that sku's partition."""

    sku: Sku


class Item(Contract):
    """A line of a cart or an order: units of one sku."""

    sku: Sku
    count: Count


_ITEMS = TypeAdapter(tuple[Item, ...])


def items_of(counts: Mapping[int, int]) -> tuple[Item, ...]:
    """Return the lines of counts by sku, in ascending sku.

    They are validated together: that takes a third of the time of an `Item(…)` for each.
    """
    lines = [{"sku": sku, "count": count} for sku, count in sorted(counts.items())]
    return _ITEMS.validate_python(lines)


class Code(StrEnum):
    """Codes of refusals."""

    BAD_REQUEST = "bad-request"
    UNKNOWN_ORDER = "unknown-order"
    INSUFFICIENT_STOCK = "insufficient-stock"
    CART_EMPTY = "cart-empty"
    CART_FULL = "cart-full"
    WRONG_STATUS = "wrong-status"
    COUNT_TOO_LARGE = "count-too-large"
    TOTAL_TOO_LARGE = "total-too-large"
    KEY_REUSED = "key-reused"
    UNKNOWN_PRODUCT = "unknown-product"
    PRODUCT_SERVICE = "product-service"
    UNAVAILABLE = "unavailable"


class Done(Contract, extra="ignore"):
    """The reply `{}`: the request has been processed."""

    type: Literal["done"] = "done"


DONE = Done()
"""Immutable, so one is enough: a construction costs as much as a rule."""


class Refused(Contract, extra="ignore"):
    """The reply to a request that was refused; nothing changed."""

    type: Literal["refused"] = "refused"
    code: Code
    text: str


def definitions(contracts: Iterable[type[Contract]]) -> dict[str, Any]:
    """Return the JSON schemas of contracts and of their parts, by name."""
    ordered = sorted(set(contracts), key=lambda contract: contract.__name__)
    _, document = models_json_schema(
        [(contract, "validation") for contract in ordered], ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def reference(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": _REFERENCE.format(model=name)}

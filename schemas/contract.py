"""What every message of the shop has in common.

Numbers are JSON numbers within the ranges below, never strings, floats or booleans
(spec: Types). One class is HTTP body, Kafka value and documented schema at once.

How a contract may change, so that workers and clients of two releases understand each
other (golden files in tests/contract hold everybody to it):

- A field may be added if it has a default that means what was meant without it. What
  people ask refuses fields that it does not know (a typing error must not pass for a
  request); what services say to each other, facts and replies (`extra="ignore"`) are read
  without them, so that a newer worker's words are no dead letters to an older one.
- A field of what clients ask too (createOrder, and `Item`), a type of message and a value
  of an enumeration are added in two releases: all learn to read it before anybody says it.
- Nothing else of a field changes, nor does it go.
- A row of a table may grow likewise. An older worker hands the fields on that it does not
  know; so a new one must stay true whatever an older worker does to the others.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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

SHARDS = 4096
MAX_COUNT = 2**16 - 1
MAX_PRICE = 2**32 - 1
MAX_STOCK = 2**64 - 1
MAX_LINES = 1000
MAX_TIMEOUT_SECONDS = 2**31 - 1
"""68 years: a moment of ours so much later is still one that a clock can show."""


class Contract(BaseModel):
    """An immutable message that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def to_json(self) -> bytes:
        """Write it as it travels: plain JSON under the names of the wire."""
        return self.__pydantic_serializer__.to_json(self)


class UserMessage(Contract):
    """A message about one user; lies in that user's partition."""

    user: UserId

    @property
    def shard(self) -> int:
        """The user's shard, 0…4095: a floor modulo, also of negative users."""
        return self.user % SHARDS


class OrderMessage(Contract):
    """A message about one order; the id's low 12 bits are its user's shard."""

    order_id: OrderId = Field(alias="orderID")

    @property
    def shard(self) -> int:
        """The shard of the order's user, 0…4095."""
        return self.order_id % SHARDS


class SkuMessage(Contract):
    """A message about one sku's stock; lies in that sku's partition."""

    sku: Sku


class Item(Contract):
    """So many pieces of one sku: a line of a cart or an order."""

    sku: Sku
    count: Count


class Code(StrEnum):
    """Why a request was refused (spec: Errors over HTTP)."""

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
    """The reply `{}`: it is done, and there is nothing to tell."""

    type: Literal["done"] = "done"


class Refused(Contract, extra="ignore"):
    """The reply to a request that was not carried out; nothing changed."""

    type: Literal["refused"] = "refused"
    code: Code
    text: str

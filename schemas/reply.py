"""All replies to a caller, over Kafka or HTTP."""

from typing import Annotated

from pydantic import Field

from schemas.cart import CartView
from schemas.contract import Done, Refused
from schemas.order import OrderPlaced, OrderView
from schemas.stock import StocksView

Reply = Annotated[
    Done | Refused | CartView | OrderPlaced | OrderView | StocksView,
    Field(discriminator="type"),
]

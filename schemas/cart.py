"""Contracts of the cart: requests, answers of other services, prices, replies."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.contract import Contract, Count, Item, OrderId, Price, Sku, UserMessage
from schemas.order import Status

# Requests


class AddToCart(UserMessage):
    """Add units of a sku to the user's cart; reserves nothing."""

    type: Literal["addToCart"] = "addToCart"
    sku: Sku
    count: Count


class DeleteFromCart(UserMessage):
    """Take units off a line; at zero or below the line is gone."""

    type: Literal["deleteFromCart"] = "deleteFromCart"
    sku: Sku
    count: Count


class ListCart(UserMessage):
    """Show the cart with current names and prices."""

    type: Literal["listCart"] = "listCart"


class Purchase(UserMessage):
    """Make the whole cart one order. `purchases` is another name of the same request."""

    type: Literal["purchase", "purchases"] = "purchase"


class EraseCart(UserMessage):
    """Erase the cart with its history; for operators."""

    type: Literal["forgetCart"] = "forgetCart"


# Answers of other services


class StockChecked(UserMessage, extra="ignore"):
    """Stock's answer to a checkStock; repeats the addToCart, so the cart keeps nothing."""

    type: Literal["stockChecked"] = "stockChecked"
    sku: Sku
    count: Count
    available: int = Field(strict=True, ge=0, lt=2**16, description="capped at a full line")


class OrderSettled(UserMessage, extra="ignore"):
    """The outcome of the order that a purchase of this cart became."""

    deferred: ClassVar[bool] = True

    type: Literal["orderSettled"] = "orderSettled"
    purchase: str = Field(description="the request id of the purchase")
    order_id: OrderId | None = Field(
        alias="orderID", description="null: the order was refused"
    )
    status: Status | None


CartRequest = Annotated[
    AddToCart
    | DeleteFromCart
    | ListCart
    | Purchase
    | EraseCart
    | StockChecked
    | OrderSettled,
    Field(discriminator="type"),
]

# Requests to the products service


class PriceCart(UserMessage, extra="ignore"):
    """Add names and prices to a cart, and reply to its user."""

    type: Literal["priceCart"] = "priceCart"
    items: tuple[Item, ...] = Field(min_length=1)


ProductRequest = Annotated[PriceCart, Field(discriminator="type")]

# Replies


class PricedItem(Item, extra="ignore"):
    """A line of a cart with name and price, in the currency's smallest unit."""

    name: str
    price: Price


class CartView(Contract, extra="ignore"):
    """The reply to listCart: lines in ascending sku, and their total price."""

    type: Literal["cart"] = "cart"
    items: tuple[PricedItem, ...]
    total_price: Price = Field(alias="totalPrice")

"""Contracts of the cart: what is asked of it, and what others answer to it."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Contract, Count, Item, OrderId, Price, Sku, UserMessage
from schemas.order import Status

# Requests


class AddToCart(UserMessage):
    """Put so many pieces more of a sku into the user's cart; reserves nothing."""

    type: Literal["addToCart"] = "addToCart"
    sku: Sku
    count: Count


class DeleteFromCart(UserMessage):
    """Take so many pieces off a line; at zero or below the line is gone."""

    type: Literal["deleteFromCart"] = "deleteFromCart"
    sku: Sku
    count: Count


class ListCart(UserMessage):
    """Show the cart with the names and prices of this moment."""

    type: Literal["listCart"] = "listCart"


class Purchase(UserMessage):
    """Make the whole cart one order. `purchases` is another name of the same request."""

    type: Literal["purchase", "purchases"] = "purchase"


class EraseCart(UserMessage):
    """Erase the cart and all that it remembers; for whoever runs the shop."""

    type: Literal["forgetCart"] = "forgetCart"


# What others answer to the cart


class StockChecked(UserMessage, extra="ignore"):
    """Stock's answer to an addToCart, which it repeats so that nothing need be kept."""

    type: Literal["stockChecked"] = "stockChecked"
    sku: Sku
    count: Count
    available: int = Field(strict=True, ge=0, lt=2**16, description="capped at a full line")


class OrderSettled(UserMessage, extra="ignore"):
    """How the order ended that a purchase of this cart became."""

    type: Literal["orderSettled"] = "orderSettled"
    purchase: str = Field(description="the request id of the purchase")
    order_id: OrderId | None = Field(alias="orderID", description="null: it was refused")
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

# Replies


class PricedItem(Item, extra="ignore"):
    """A line of a cart as its user sees it; price in the currency's smallest unit."""

    name: str
    price: Price


class CartView(Contract, extra="ignore"):
    """The reply to listCart: lines in ascending sku, and what they cost together."""

    type: Literal["cart"] = "cart"
    items: tuple[PricedItem, ...]
    total_price: Price = Field(alias="totalPrice")

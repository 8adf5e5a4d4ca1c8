"""Contracts of the products agent, the only client of ProductService."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Item, UserMessage


class PriceCart(UserMessage, extra="ignore"):
    """Add names and prices to a cart, and reply to its user."""

    type: Literal["priceCart"] = "priceCart"
    items: tuple[Item, ...] = Field(min_length=1)


ProductRequest = Annotated[PriceCart, Field(discriminator="type")]

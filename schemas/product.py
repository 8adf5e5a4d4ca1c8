"""Contracts of the products agent, which alone talks to ProductService."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Item, UserMessage


class PriceCart(UserMessage, extra="ignore"):
    """A cart on its way to its user, who waits for names and prices."""

    type: Literal["priceCart"] = "priceCart"
    items: tuple[Item, ...] = Field(min_length=1)


ProductRequest = Annotated[PriceCart, Field(discriminator="type")]

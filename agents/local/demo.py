"""The whole way of buying goods, walked against a running shop, with what Kafka saw."""

from agents.local.shop import Shop


async def walk_through(shop: Shop) -> None:
    """Make each call of the story and show its reply and its records."""
    raise NotImplementedError(shop)

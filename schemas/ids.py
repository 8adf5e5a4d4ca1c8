"""Ids derived from requests: the same id however often a request is delivered."""

from hashlib import blake2b

SHARDS = 4096
"""The low 12 bits of an order id are its user's shard."""


def shard(number: int) -> int:
    """Return the shard of a user or an order id, 0…4095: a floor modulo."""
    return number % SHARDS


def order_id(user: int, request_id: str) -> int:
    """Return the order id of a createOrder: 0 … 2^53-1, exact in JavaScript."""
    digest = blake2b(f"{user}/{request_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**41 * SHARDS + shard(user)


def purchase_id(request_id: str) -> str:
    """Return the request id of the createOrder that a purchase becomes."""
    return f"purchase:{request_id}"  # no createOrder of a client has it

"""Carts on Kafka."""

from agents.aggregate import Aggregate
from agents.checkout import cart
from agents.row_serde import RowSerde
from agents.runtime.sweeper import expiry_index
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.cart import CartRequest
from topics.catalog import CART_REQUESTS, CARTS_CHANGELOG

CART_AGGREGATE: Aggregate[cart.Cart | None, CartRequest, cart.CartEvent] = Aggregate(
    requests=CART_REQUESTS,
    changelog=CARTS_CHANGELOG,
    rows=(cart.Cart,),
    identify=cart.identify,
    decide=cart.decide,
    evolve=cart.evolve,
    follow_up=cart.follow_up,
    expires=cart.expires,
    index=expiry_index(RowSerde(cart.Cart), cart.expires, b'"lines":{}', b'"checkouts":{}'),
)


def build(settings: WorkerSettings) -> Service:
    """Build the service."""
    service = Service("checkout", settings)
    service.add_aggregate(CART_AGGREGATE)
    return service

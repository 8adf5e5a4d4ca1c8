"""The pricing service on Kafka: the only one that calls an external service."""

from functools import cached_property

from agents.products.client import ProductClient
from agents.runtime.concurrent_processor import ConcurrentProcessor
from agents.settings import ProductSettings
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.cart import CartView, PriceCart
from schemas.contract import Contract
from topics.catalog import PRODUCT_REQUESTS


class Pricing:
    """Replies to requests for the prices of carts."""

    def __init__(self, settings: ProductSettings) -> None:
        self._settings = settings

    async def handle(self, request: Contract) -> CartView:
        """Return the priced cart; raise a Refusal if it has no prices."""
        if not isinstance(request, PriceCart):
            raise TypeError(f"not a request of {PRODUCT_REQUESTS.name}: {request!r}")
        return await self._client.price(request)

    @cached_property
    def _client(self) -> ProductClient:
        return ProductClient(self._settings)  # its channel needs the running loop


def build(settings: WorkerSettings) -> Service:
    """Return the service.

    Raises:
        ValidationError: a setting of the client is invalid.
    """
    service, pricing = Service("products", settings), Pricing(ProductSettings())
    agent = ConcurrentProcessor(service.app, PRODUCT_REQUESTS, pricing.handle)
    service.add_agent(PRODUCT_REQUESTS, agent.run)
    return service

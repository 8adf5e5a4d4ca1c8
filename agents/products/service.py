"""The pricing service on Kafka: the only one that calls an external service."""

from functools import cached_property

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Refusal
from agents.products.client import ProductClient
from agents.runtime.collector import RecordCollector
from agents.runtime.concurrent_processor import ConcurrentProcessor, Send
from agents.runtime.deserializer import Envelope
from agents.settings import ProductSettings
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.cart import CartView, PriceCart
from schemas.contract import Refused
from topics.catalog import PRODUCT_REQUESTS


class Pricing:
    """Replies to requests for the prices of carts."""

    def __init__(self, settings: ProductSettings) -> None:
        self._settings = settings

    async def handle(self, envelope: Envelope, _: ConsumerRecord, send: Send) -> None:
        """Send the priced cart, or the refusal."""
        request = envelope.request
        if not isinstance(request, PriceCart):
            raise TypeError(f"not a request of {PRODUCT_REQUESTS.name}: {request!r}")
        try:
            reply: CartView | Refused = await self._client.price(request)
        except Refusal as refusal:
            reply = refusal.reply
        out = RecordCollector(PRODUCT_REQUESTS)
        out.add(reply, envelope)
        await send(out)

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

"""The pricing service on Kafka: the only one that calls an external service."""

from functools import cached_property

from aiokafka.structs import ConsumerRecord

from agents.products.client import ProductClient
from agents.products.settings import ProductSettings
from agents.refusal import Refusal
from agents.runtime.collector import RecordCollector
from agents.runtime.concurrent_processor import ConcurrentProcessor, Send
from agents.runtime.deserializer import Envelope
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.cart import CartView
from schemas.contract import Refused
from schemas.product import PriceCart
from topics.catalog import PRODUCT_REQUESTS


class Pricing:
    """Replies to requests for the prices of carts."""

    async def handle(self, envelope: Envelope, _: ConsumerRecord, send: Send) -> None:
        """Send the priced cart, or the refusal."""
        out = RecordCollector(PRODUCT_REQUESTS)
        out.add(await self._priced(envelope), envelope)
        await send(out)

    async def _priced(self, envelope: Envelope) -> CartView | Refused:
        request = envelope.request
        if not isinstance(request, PriceCart):
            raise TypeError(f"not a request of {PRODUCT_REQUESTS.name}: {request!r}")
        try:
            return await self._client.price(request)
        except Refusal as refusal:
            return Refused(code=refusal.code, text=str(refusal))

    @cached_property
    def _client(self) -> ProductClient:
        return ProductClient(
            ProductSettings()
        )  # here, since its channel needs the running loop


def build(settings: WorkerSettings) -> Service:
    """Return the service."""
    service = Service("products", settings)
    agent = ConcurrentProcessor(service.app, PRODUCT_REQUESTS, Pricing().handle)
    service.add_agent(PRODUCT_REQUESTS, agent.run)
    return service

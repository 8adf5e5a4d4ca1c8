"""ProductService over gRPC: bounded in time, in number and in patience.

This is the only waiting that any agent does. Whatever becomes of ProductService, a cart
is priced or refused within `product_budget_seconds`.
"""

import asyncio
import logging
from collections.abc import Iterable
from random import Random
from types import TracebackType
from typing import Self

import grpc

from agents.products import pricing
from agents.products.instrumentation import client_span, count_retry
from agents.products.pricing import Product
from agents.products.rate_limit import TokenBucket
from agents.products.settings import ProductSettings
from agents.refusal import Refusal
from schemas.cart import CartView
from schemas.contract import Code
from schemas.product import PriceCart
from schemas.product_service import product_pb2, product_pb2_grpc

_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 1.0

MAX_UNANSWERED_CALLS = 4
"""After so many calls in a row that nothing was heard of, a new connection is tried."""

RETRYABLE_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

_OPTIONS = (
    # A service that is back must be found at once; grpc's own pause grows to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A peer that vanished without a word: the kernel would believe in it for 15 minutes.
    # Pings go out only while a call waits, which no server minds.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),  # or the timeout above is taken for a minute
    # A new channel has connections of its own, not those that another one left.
    ("grpc.use_local_subchannel_pool", 1),
    # An http_proxy of the environment must not come between us and a local service.
    ("grpc.enable_http_proxy", 0),
    # A name and a price; an answer of another size is none.
    ("grpc.max_receive_message_length", 64 * 2**10),
)

_log = logging.getLogger(__name__)


class ProductClient:
    """Prices carts; one channel for all calls. To be made inside the running loop.

    A ping goes out only if a call waits at that instant, so a peer that vanished without a
    word may go unnoticed. After some silent calls all that follow take a new channel.
    """

    def __init__(self, settings: ProductSettings, random: Random | None = None) -> None:
        self._settings = settings
        self._random = random or Random()
        self._slots = asyncio.Semaphore(settings.calls_at_once)
        rate = settings.calls_per_second
        self._bucket = TokenBucket(rate, settings.product_burst) if rate else None
        self._closing: set[asyncio.Task[None]] = set()
        self._dial()

    def _dial(self) -> None:
        address = self._settings.product_service
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._stub = product_pb2_grpc.ProductServiceStub(self._channel)
        self._silent_calls = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the calls under way, and the channel."""
        await self._channel.close()
        await asyncio.gather(*self._closing)

    async def price(self, request: PriceCart) -> CartView:
        """Show a cart with the names and prices of this moment.

        Raises:
            Refusal: UNKNOWN_PRODUCT, PRODUCT_SERVICE, TOTAL_TOO_LARGE.
        """
        skus = pricing.skus(request)
        self._check_rate_budget(len(skus))
        try:
            async with asyncio.timeout(self._settings.product_budget_seconds):
                products = await self._products(skus)
        except TimeoutError:
            _log.warning("cart not priced in time user=%d skus=%d", request.user, len(skus))
            raise _refusal("did not answer in time") from None
        return pricing.price_cart(request, products)

    def _check_rate_budget(self, calls: int) -> None:
        """Spend no calls on a cart that the rate limit keeps from being priced in time."""
        budget = self._settings.product_budget_seconds
        if self._bucket and self._bucket.seconds_for(calls) > budget:
            raise _refusal(f"may not be asked for {calls} products within {budget:g} s")

    async def _products(self, skus: Iterable[int]) -> dict[int, Product]:
        refused: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                asked = {sku: group.create_task(self._product(sku)) for sku in skus}
        except* Refusal as refusals:
            refused = refusals.exceptions[0]
        if refused:
            raise refused
        return {sku: task.result() for sku, task in asked.items()}

    async def _product(self, sku: int) -> Product:
        """Ask until there is an answer that stands."""
        for attempt in range(1, self._settings.product_attempts + 1):
            try:
                return await self._call(sku)
            except grpc.aio.AioRpcError as error:
                code = error.code()
            if code not in RETRYABLE_CODES:
                break
            if attempt < self._settings.product_attempts:
                count_retry(code)
                await asyncio.sleep(self._pause(attempt))
        raise _answered(sku, code)

    async def _call(self, sku: int) -> Product:
        request = product_pb2.GetProductRequest(
            token=self._settings.product_token.get_secret_value(), sku=sku
        )
        async with self._slots:
            if self._bucket:
                await self._bucket.take()
            timeout = self._settings.product_deadline_seconds
            stub = self._stub
            try:
                with client_span() as said:
                    answer = await stub.GetProduct(request, timeout=timeout, metadata=said)
            except grpc.aio.AioRpcError as error:
                self._note(stub, error.code())
                raise
            self._note(stub, grpc.StatusCode.OK)
        if answer is None:  # what grpc makes of bytes that are no GetProductResponse
            raise _refusal(f"answered about sku {sku} with bytes that can't be read")
        return Product(answer.name, answer.price)

    def _note(
        self, stub: product_pb2_grpc.ProductServiceStub, code: grpc.StatusCode
    ) -> None:
        """Count the calls that nothing was heard of; after some, dial anew."""
        if stub is not self._stub:
            return
        silent = code is grpc.StatusCode.DEADLINE_EXCEEDED
        self._silent_calls = self._silent_calls + 1 if silent else 0
        if self._silent_calls < MAX_UNANSWERED_CALLS:
            return
        _log.warning(
            "nothing heard of ProductService silent_calls=%d", MAX_UNANSWERED_CALLS
        )
        # Calls that are under way there end by their own deadlines before that.
        closing = asyncio.create_task(
            self._channel.close(self._settings.product_deadline_seconds)
        )
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._dial()

    def _pause(self, attempt: int) -> float:
        """Say how many seconds to wait: doubling, and not all at the same moment."""
        longest = min(_MAX_BACKOFF_SECONDS, _MIN_BACKOFF_SECONDS * 2.0 ** (attempt - 1))
        return longest * self._random.uniform(0.5, 1)


def _answered(sku: int, code: grpc.StatusCode) -> Refusal:
    """Turn a final status into an answer. Its details stay out: they may name the token."""
    if code is grpc.StatusCode.NOT_FOUND:
        return Refusal(Code.UNKNOWN_PRODUCT, f"ProductService does not know sku {sku}")
    _log.warning("product not priced sku=%d status=%s", sku, code.name)
    return _refusal(f"answered {code.name} about sku {sku}")


def _refusal(what: str) -> Refusal:
    return Refusal(Code.PRODUCT_SERVICE, f"ProductService {what}")

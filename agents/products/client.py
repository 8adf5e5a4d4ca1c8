"""The gRPC client of ProductService, with limits of time, attempts and concurrency."""

import asyncio
import logging
import random
from collections.abc import Callable
from time import monotonic, perf_counter

import grpc
from prometheus_client import Counter, Histogram

from agents.aggregate import Refusal
from agents.products import pricing
from agents.products.coalescing import Begin, CoalescedCalls
from agents.products.pricing import Product
from agents.runtime.fail_stop import BackgroundTasks
from agents.settings import ProductSettings
from schemas.cart import CartView, PriceCart
from schemas.contract import Code
from schemas.product_service import SERVICE
from schemas.product_service.product_pb2 import GetProductRequest, GetProductResponse
from topics.kafka.headers import LOG_CONTEXT, TRACE
from topics.telemetry import tracing

_METHOD = "GetProduct"
_SPAN = f"{SERVICE}/{_METHOD}"
_ATTRIBUTES = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": _METHOD}
_BY = ("grpc_service", "grpc_method", "grpc_code")

SECONDS = Histogram(
    "grpc_client_handling_seconds",
    "Time from a call to its response, of each attempt.",
    _BY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
RETRIES = Counter(
    "grpc_client_retries_total", "Retried calls, by the status of the failure.", _BY
)

_MIN_DELAY_SECONDS = 0.1
_MAX_DELAY_SECONDS = 1.0

MAX_UNANSWERED_CALLS = 4
RETRYABLE_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

_OPTIONS = (
    # Reconnect soon after an outage; grpc's default delay grows to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Detect a peer that vanished: the kernel would keep the connection for 15 minutes.
    # Pings are sent only while a call waits; servers allow that.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),  # else the timeout above counts as a minute
    # A new channel opens new connections instead of reusing those of an old one.
    ("grpc.use_local_subchannel_pool", 1),
    # An http_proxy of the environment must not redirect calls to a local service.
    ("grpc.enable_http_proxy", 0),
    # A response has a name and a price; a larger one is invalid.
    ("grpc.max_receive_message_length", 64 * 2**10),
)

_log = logging.getLogger(__name__)


class TokenBucket:
    """Allows a number of calls a second, and a burst after a pause.

    Waiting callers are served in order. A cancelled caller uses no token.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds_per_call = 1 / per_second
        self._burst = burst
        self._clock = clock
        self._full_at = clock()  # when all tokens of the burst are there again
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a token and take it."""
        async with self._lock:
            await asyncio.sleep(self.seconds_for(1))
            self._full_at = max(self._full_at, self._clock()) + self._seconds_per_call

    def seconds_for(self, calls: int) -> float:
        """Return the time that a number of calls would wait without other callers."""
        until_full = max(0.0, self._full_at - self._clock())
        return max(0.0, until_full + (calls - self._burst) * self._seconds_per_call)


class ProductClient:
    """Prices carts over one channel; must be created inside the running loop.

    A ping is sent only while a call waits, so a vanished peer may go undetected. After
    `MAX_UNANSWERED_CALLS` in a row the channel is replaced.
    """

    def __init__(self, settings: ProductSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        rate = settings.calls_per_second
        self._bucket = TokenBucket(rate, settings.product_burst) if rate else None
        self._calls = CoalescedCalls(self._product)
        self._closing = BackgroundTasks()
        self._open_channel()

    def _open_channel(self) -> None:
        address = self._settings.product_service
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._request_product = self._channel.unary_unary(
            f"/{_SPAN}",
            request_serializer=GetProductRequest.SerializeToString,
            response_deserializer=GetProductResponse.FromString,
        )
        self._unanswered = 0

    async def aclose(self) -> None:
        """Cancel the calls in flight and close the channel."""
        await self._calls.aclose()
        await self._channel.close()
        await asyncio.gather(*self._closing)

    async def price(self, request: PriceCart) -> CartView:
        """Return a cart with current names and prices.

        Raises:
            Refusal: UNKNOWN_PRODUCT, PRODUCT_SERVICE, TOTAL_TOO_LARGE.
        """
        skus, budget = pricing.skus(request), self._settings.product_budget_seconds
        if self._bucket:
            calls = self._calls.new_calls(skus)
            if self._bucket.seconds_for(calls) > budget:
                text = f"has a rate limit too low for {len(skus)} products in {budget:g} s"
                raise _refusal(text)
        try:
            async with asyncio.timeout(budget):
                products = await self._calls.products(skus)
        except TimeoutError:
            text = "event=cart-not-priced user=%d skus=%d reason=timeout"
            _log.warning(text, request.user, len(skus))
            raise _refusal("did not respond in time") from None
        return pricing.price_cart(request, products)

    async def _product(self, sku: int, begin: Begin) -> Product:
        """Call until the status is final or the attempts are used up."""
        for attempt in range(1, self._settings.product_attempts + 1):
            try:
                return await self._call(sku, begin)
            except grpc.aio.AioRpcError as error:
                code = error.code()
            if code not in RETRYABLE_CODES:
                break
            if attempt < self._settings.product_attempts:
                RETRIES.labels(SERVICE, _METHOD, code.name).inc()
                limit = min(_MAX_DELAY_SECONDS, _MIN_DELAY_SECONDS * 2.0 ** (attempt - 1))
                await asyncio.sleep(limit * random.uniform(0.5, 1))
        raise _final_refusal(sku, code)

    async def _call(self, sku: int, begin: Begin) -> Product:
        async with self._slots:
            if not begin():
                raise _refusal(f"was not called for sku {sku}: no cart waits for it")
            if self._bucket:
                await self._bucket.take()
                begin()
            response = await self._get_product(sku)
        if response is None:  # grpc's result for bytes that are not a GetProductResponse
            raise _refusal(f"sent an unreadable response for sku {sku}")
        return Product(response.name, response.price)

    async def _get_product(self, sku: int) -> GetProductResponse | None:
        """Call once, within a span; measure the time."""
        request = GetProductRequest(
            token=self._settings.product_token.get_secret_value(), sku=sku
        )
        timeout = self._settings.product_deadline_seconds
        channel, began, code = self._channel, perf_counter(), grpc.StatusCode.CANCELLED
        try:
            with tracing.span(_SPAN, "CLIENT", LOG_CONTEXT.get(), _ATTRIBUTES) as headers:
                # Without a tracer they are a client's own, which gRPC may refuse to send.
                trace = headers if tracing.is_on() else ()
                metadata = tuple((n, value.decode()) for n, value in trace if n in TRACE)
                response: GetProductResponse | None = await self._request_product(
                    request, timeout=timeout, metadata=metadata
                )
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise
        finally:
            SECONDS.labels(SERVICE, _METHOD, code.name).observe(perf_counter() - began)
            self._count_unanswered(channel, code)
        return response

    def _count_unanswered(self, channel: grpc.aio.Channel, code: grpc.StatusCode) -> None:
        """Count calls without a response; after some, replace the channel."""
        if channel is not self._channel or code is grpc.StatusCode.CANCELLED:
            return
        unanswered = code is grpc.StatusCode.DEADLINE_EXCEEDED
        self._unanswered = self._unanswered + 1 if unanswered else 0
        if self._unanswered >= MAX_UNANSWERED_CALLS:
            text = "event=product-channel-replaced unanswered_calls=%d"
            _log.warning(text, self._unanswered)
            # Calls in flight on the old channel end by their deadlines before that.
            grace = self._settings.product_deadline_seconds
            self._closing.start(self._channel.close(grace))
            self._open_channel()


def _final_refusal(sku: int, code: grpc.StatusCode) -> Refusal:
    # Without the details of the status, which may have the token.
    if code is grpc.StatusCode.NOT_FOUND:
        return Refusal(Code.UNKNOWN_PRODUCT, f"ProductService has no sku {sku}")
    _log.warning("event=product-not-priced sku=%d status=%s", sku, code.name)
    return _refusal(f"responded {code.name} for sku {sku}")


def _refusal(failure: str) -> Refusal:
    return Refusal(Code.PRODUCT_SERVICE, f"ProductService {failure}")

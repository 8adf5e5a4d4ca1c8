"""A stand-in of ProductService, for machines without the real service.

    python -m agents.ops.product_stand_in --port 8082

It is a gRPC server of the public proto. Its catalogue has samples, edge cases, and some
hundred invented products. It is the same in each run. Samples have a fixed small stock, or
none, so that examples can rely on it.
"""

import asyncio
import logging
import signal
import sys
from itertools import product
from typing import Any

import click
import grpc

from agents.products.pricing import Product
from schemas.product_service import SERVICE, product_pb2

TOKEN = "testtoken"

_GRACE_SECONDS = 2.0  # for calls in progress at SIGTERM

# By default grpc lets two servers share a port.
_OPTIONS = (("grpc.so_reuseport", 0),)

_log = logging.getLogger("product-service")


SAMPLES: dict[int, Product] = {
    773297411: Product("Кроссовки Nike JORDAN", 2202),
    1148162: Product("Кулинар Гуров", 2931),
    2958025: Product("Roxy Music. Stranded. Remastered Edition", 1028),
    1076963: Product("Теория нравственных чувств", 2202),
    1625903: Product("Беспроводные наушники Cloud", 2931),
    2618151: Product("Открытки «Старый город», 24 штуки", 1028),
}

EDGES: dict[int, Product] = {
    sku: Product(f"Edge {sku}", sku) for sku in (65537, 65538, 4294967295)
}

_KINDS: tuple[tuple[str, int], ...] = (
    ("Чайник электрический", 2490),
    ("Кружка керамическая, 350 мл", 390),
    ("Сковорода чугунная, 26 см", 2150),
    ("Кастрюля эмалированная, 3 л", 2290),
    ("Настольная лампа", 1790),
    ("Плед шерстяной", 2890),
    ("Рюкзак городской", 3490),
    ("Футболка хлопковая", 990),
    ("Носки тёплые, 3 пары", 450),
    ("Зонт складной", 1290),
    ("Термос, 1 л", 1690),
    ("Блокнот на пружине", 260),
    ("Гелевые ручки, 12 штук", 340),
    ("Настольная игра", 1990),
    ("Конструктор, 480 деталей", 3790),
    ("Коврик для йоги", 1190),
    ("Гантели, 2 по 5 кг", 2690),
    ("Клавиатура механическая", 5490),
    ("Мышь беспроводная", 1590),
    ("Кабель USB-C, 2 м", 490),
)

_MAKERS: tuple[str, ...] = (
    *("Север", "Полярис", "Тихая гавань", "Мастерская № 5", "Лесной двор", "Орион"),
    *("Белый парус", "Добрый дом", "Вектор", "Сова", "Alba", "Nordwind", "Kaskad"),
    *("Hello, Monday", "Ümlaut & Söhne", "Smörgås"),
)

_FIRST_SKU, _SKU_STEP = 5_210_443, 10_007  # a prime step hides the pattern

# Prices vary by 15 % and end in a nine.
INVENTED: dict[int, Product] = {
    _FIRST_SKU + n * _SKU_STEP: Product(
        f"{kind} «{maker}»", price * (85 + n * 7 % 31) // 1000 * 10 + 9
    )
    for n, ((kind, price), maker) in enumerate(product(_KINDS, _MAKERS))
}
PRODUCTS: dict[int, Product] = SAMPLES | EDGES | INVENTED

_WAREHOUSES = (1, 3, 7, 10, 12)

SampleStock = tuple[int, int, int]  # sku, warehouse, count

# The invented ones: every third product in two warehouses, 5 to 151 units in each.
SAMPLE_STOCKS: tuple[SampleStock, ...] = (
    (1076963, 10, 70),
    (1076963, 7, 45),
    (1148162, 1, 67),
    *(
        (sku, _WAREHOUSES[(n + turn) % 5], 5 + (n * 37 + turn * 61) % 147)
        for n, sku in enumerate(list(INVENTED)[::3])
        for turn in (0, 2)
    ),
)


class ProductStandIn:
    """The service, with products that may change."""

    def __init__(self) -> None:
        self.products = dict(PRODUCTS)

    async def GetProduct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the current name and price."""
        await self.check(request.token, context)
        if request.sku not in self.products:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such sku")
        name, price = self.products[request.sku]
        return product_pb2.GetProductResponse(name=name, price=price)

    async def ListSkus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the next page of skus, in ascending order."""
        await self.check(request.token, context)
        after = sorted(sku for sku in self.products if sku > request.start_after_sku)
        return product_pb2.ListSkusResponse(skus=after[: request.count])

    async def check(self, token: str, context: Any) -> None:
        """Refuse a call with a wrong token."""
        if token != TOKEN:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")


async def start(service: ProductStandIn, host: str, port: int) -> tuple[Any, int]:
    """Start a server; return it and its port.

    Port 0 stands for a free one. A port that is taken raises a RuntimeError.
    """
    server = grpc.aio.server(options=_OPTIONS)
    methods = {
        "GetProduct": grpc.unary_unary_rpc_method_handler(
            service.GetProduct,
            product_pb2.GetProductRequest.FromString,
            product_pb2.GetProductResponse.SerializeToString,
        ),
        "ListSkus": grpc.unary_unary_rpc_method_handler(
            service.ListSkus,
            product_pb2.ListSkusRequest.FromString,
            product_pb2.ListSkusResponse.SerializeToString,
        ),
    }
    handlers = grpc.method_handlers_generic_handler(SERVICE, methods)
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    return server, port


async def serve(service: ProductStandIn, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server, port = await start(service, host, port)
    _log.info("event=listening address=%s:%d", host, port)
    await stopped.wait()
    await server.stop(_GRACE_SECONDS)


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=int, default=8082)
def main(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(serve(ProductStandIn(), host, port))
    except RuntimeError as error:
        sys.exit(f"product-service: {error}")


if __name__ == "__main__":
    main(prog_name="product-service")

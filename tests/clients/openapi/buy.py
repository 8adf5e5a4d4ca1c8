"""Buy two pieces with the client that openapi-python-client made of /openapi.json.

python buy.py URL USER SKU [TOKEN]
"""

import json
import sys

from shop_client import AuthenticatedClient, Client
from shop_client.api.cart import add_to_cart, list_cart, purchase
from shop_client.api.order import list_order
from shop_client.api.stock import stocks
from shop_client.models import AddToCart, ListCart, ListOrder, ListStocks, Purchase


def main(url: str, user: int, sku: int, *token: str) -> None:
    client = AuthenticatedClient(url, *token) if token else Client(url)
    with client:
        there = stocks.sync(client=client, body=ListStocks(sku=sku))
        line = AddToCart(user=user, sku=sku, count=2)
        added = add_to_cart.sync(client=client, body=line)
        problem = list_cart.sync(client=client, body=ListCart(user=user))
        key = f"openapi-{user}"
        bought = [
            purchase.sync(client=client, body=Purchase(user=user), idempotency_key=key)
            for _ in range(2)
        ]
        order = list_order.sync(client=client, body=ListOrder(order_id=bought[0].order_id))
    for one in (there, added, problem, *bought, order):
        print(json.dumps({type(one).__name__: one.to_dict()}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

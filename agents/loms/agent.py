"""Orders and stock on Kafka."""

from agents.aggregate import Aggregate, one_row
from agents.loms import order, saga, stock
from schemas.order import OrderRequest
from schemas.stock import StockRequest
from topics.catalog import ORDER_REQUESTS, ORDERS, STOCK, STOCK_REQUESTS

ORDER: Aggregate[order.Order | None, OrderRequest, order.OrderEvent] = Aggregate(
    requests=ORDER_REQUESTS,
    changelog=ORDERS,
    rows=(order.Order,),
    state=one_row,
    identify=order.identify,
    decide=order.decide,
    evolve=order.evolve,
    follow_up=saga.follow_up,
)
GOODS: Aggregate[stock.Goods, StockRequest, stock.Moved] = Aggregate(
    requests=STOCK_REQUESTS,
    changelog=STOCK,
    rows=(stock.Shelf, stock.Reservation | stock.Receipt),
    state=stock.Goods,
    identify=stock.identify,
    decide=stock.decide,
    evolve=stock.evolve,
    follow_up=stock.follow_up,
)

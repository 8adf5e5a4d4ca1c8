"""One example of each message, byte for byte as it travels.

Who changes one of these changes what clients and stored records look like.
"""

from schemas.cart import (
    AddToCart,
    CartView,
    DeleteFromCart,
    EraseCart,
    ListCart,
    OrderSettled,
    PriceCart,
    Purchase,
    StockChecked,
)
from schemas.contract import Contract, Done, Refused
from schemas.order import (
    AnonymizeOrder,
    CancelOrder,
    CreateOrder,
    DeleteOrder,
    ExpireOrder,
    ListOrder,
    OrderPlaced,
    OrderStatusChanged,
    OrderView,
    PayOrder,
    StockReserved,
)
from schemas.stock import (
    CheckStock,
    ListStocks,
    ReceiveStock,
    Release,
    Reserve,
    Sell,
    StocksView,
)

GOLDENS: dict[type[Contract], str] = {
    AddToCart: '{"user":7,"type":"addToCart","sku":1076963,"count":2}',
    DeleteFromCart: '{"user":7,"type":"deleteFromCart","sku":1076963,"count":2}',
    ListCart: '{"user":7,"type":"listCart"}',
    Purchase: '{"user":7,"type":"purchase"}',
    EraseCart: '{"user":7,"type":"forgetCart"}',
    StockChecked: '{"user":7,"type":"stockChecked","sku":1,"count":2,"available":3}',
    OrderSettled: (
        '{"user":7,"type":"orderSettled","purchase":"key:a","orderID":4103,'
        '"status":"failed"}'
    ),
    CreateOrder: '{"user":7,"type":"createOrder","items":[{"sku":1,"count":2}]}',
    ListOrder: '{"orderID":4103,"type":"listOrder"}',
    PayOrder: '{"orderID":4103,"type":"orderPayed"}',
    CancelOrder: '{"orderID":4103,"type":"cancelOrder"}',
    AnonymizeOrder: '{"orderID":4103,"type":"forgetOrder"}',
    ExpireOrder: '{"orderID":4103,"type":"expireOrder","unpaidSeconds":600}',
    DeleteOrder: '{"orderID":4103,"type":"deleteOrder","retentionDays":365}',
    StockReserved: '{"orderID":4103,"type":"stockReserved","sku":1,"reserved":true}',
    ListStocks: '{"sku":1076963,"type":"stocks"}',
    ReceiveStock: '{"sku":1076963,"type":"receiveStock","warehouseID":10,"count":70}',
    CheckStock: '{"sku":1,"type":"checkStock","user":7,"count":2}',
    Reserve: (
        '{"sku":1,"type":"reserve","orderID":4103,"count":2,"at":"2026-11-23T12:00:00Z"}'
    ),
    Release: '{"sku":1,"type":"release","orderID":4103}',
    Sell: '{"sku":1,"type":"sell","orderID":4103}',
    PriceCart: '{"user":7,"type":"priceCart","items":[{"sku":1,"count":2}]}',
    OrderStatusChanged: (
        '{"orderID":4103,"type":"orderStatusChanged","user":7,"status":"paid",'
        '"items":[{"sku":1,"count":2}],"at":"2026-11-23T16:14:15.123000Z"}'
    ),
    Done: '{"type":"done"}',
    Refused: '{"type":"refused","code":"cart-empty","text":"the cart is empty"}',
    CartView: (
        '{"type":"cart","items":[{"sku":1148162,"count":1,'
        '"name":"Кулинар Гуров","price":2931}],"totalPrice":2931}'
    ),
    OrderPlaced: '{"orderID":4103,"type":"orderPlaced"}',
    OrderView: (
        '{"type":"order","status":"awaiting payment","user":7,'
        '"items":[{"sku":1,"count":2}]}'
    ),
    StocksView: '{"type":"stocks","stocks":[{"warehouseID":7,"count":45}]}',
}

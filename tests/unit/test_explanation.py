"""The reasons of an invalid value: the wrong field, and what is right."""

import gzip

import pytest
from pydantic import ValidationError

from topics.catalog import (
    CART_REQUESTS,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    PRODUCT_REQUESTS,
    STOCK_REQUESTS,
    explain,
)
from topics.topic import Topic

STOCK_TYPES = "it must be one of stocks, receiveStock, checkStock, reserve, release, sell"
INTEGER = "must be an integer, without quotes, fraction or exponent"


def why(topic: Topic, value: bytes) -> str:
    with pytest.raises(ValidationError) as refused:
        topic.decode(value)
    return explain(topic, refused.value, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"sku":1}', f"type is missing; {STOCK_TYPES}"),
        (b'{"type":"x","sku":1}', f"type: x is unknown; {STOCK_TYPES}"),
        (b'{"type":5,"sku":1}', f"type: 5 is unknown; {STOCK_TYPES}"),
        (
            b'{"type":"addToCart","user":1,"sku":1,"count":1}',
            f"type: addToCart is a type of cart.requests, not of this topic; {STOCK_TYPES}",
        ),
        (
            b'{"type":"done"}',
            f"type: done is a type of *.replies, not of this topic; {STOCK_TYPES}",
        ),
        (b'{"type":"stocks"}', "sku is missing"),
        (b'{"type":"stocks","sku":true}', f"sku {INTEGER}"),
        (b'{"type":"stocks","sku":"1"}', f"sku {INTEGER}"),
        (b'{"type":"stocks","sku":1.0}', f"sku {INTEGER}"),
        (b'{"type":"stocks","sku":NaN}', f"sku {INTEGER}"),
        (b'{"type":"stocks","sku":1e999}', f"sku {INTEGER}"),
        (b'{"type":"stocks","sku":-1}', "sku must be at least 0"),
        (b'{"type":"stocks","sku":4294967296}', "sku must be less than 4294967296"),
        (b'{"type":"stocks","sku":1,"x":1}', "x is not a field of this call"),
        (b'{"type":"stocks","sku":1,"sku":1}', "sku is given more than once"),
        (b"", "value is empty"),
        (b"[]", "value must be a JSON object"),
        (b"null", "value must be a JSON object"),
        (b"hello", "value is not JSON: expected value at line 1 column 1"),
        (
            b'{"type":"stocks","sku":1} {}',
            "value is not JSON: more characters follow the JSON value at line 1 column 27",
        ),
        (
            b'\xef\xbb\xbf{"type":"stocks","sku":1}',
            (
                "value is not JSON: it begins with a byte order mark (EF BB BF),"
                " which must be left out"
            ),
        ),
        (
            '{"type":"stocks","sku":1}'.encode("utf-16"),
            "value is not JSON: it is UTF-16 or UTF-32; JSON must be UTF-8",
        ),
        (
            '{"type":"stocks","sku":1}'.encode("utf-16-be"),
            "value is not JSON: it is UTF-16; JSON must be UTF-8",
        ),
        (
            gzip.compress(b'{"type":"stocks","sku":1}', mtime=0),
            "value is not JSON: it is compressed (gzip); compression is not supported",
        ),
        (
            b'\0\0\0\0\x07{"type":"stocks","sku":1}',
            (
                "value is not JSON: it begins with a zero byte,"
                " as written by a schema registry's serializer"
            ),
        ),
        (
            b'{"type":"stocks\xff"}',
            "value is not JSON: a character is not UTF-8 at line 1 column 16",
        ),
        (
            b'{"type":"stocks","sku":' + b"[" * 300,
            "value is not JSON: arrays or objects are nested too deep at line 1 column 224",
        ),
        (
            b'{"type":"stocks","sku":' + b"9" * 5000 + b"}",
            "value is not JSON: a number has too many digits at line 1 column 4325",
        ),
    ],
)
def test_of_stock(value: bytes, text: str):
    assert why(STOCK_REQUESTS, value) == text


@pytest.mark.parametrize(
    ("topic", "value", "text"),
    [
        (
            CART_REQUESTS,
            b'{"user":1}',
            (
                "type is missing; it must be one of addToCart, deleteFromCart, listCart,"
                " purchase, purchases, forgetCart, stockChecked, orderSettled"
            ),
        ),
        (
            ORDER_REQUESTS,
            b'{"type":"createOrder","user":1,"items":[]}',
            "items must not be empty",
        ),
        (
            ORDER_REQUESTS,
            b'{"type":"createOrder","user":1,"items":[{"sku":1,"count":0}]}',
            "items.0.count must be at least 1",
        ),
        (
            ORDER_REQUESTS,
            b'{"type":"createOrder","user":"1","items":[5]}',
            f"user {INTEGER}; items.0 must be a JSON object",
        ),
        (
            ORDER_REQUESTS,
            b'{"type":"stockReserved","orderID":1,"sku":1,"reserved":1}',
            "reserved must be true or false",
        ),
        (
            PRODUCT_REQUESTS,
            b'{"user":1,"items":[{"sku":1,"count":1}]}',
            "type is missing; it must be one of priceCart",
        ),
        (PRODUCT_REQUESTS, b'{"type":"priceCart","user":1}', "items is missing"),
        (
            ORDER_EVENTS,
            b'{"orderID":1,"user":1,"status":"new","items":[],"at":"2026-01-01T00:00Z"}',
            "type is missing; it must be one of orderStatusChanged",
        ),
        (
            ORDER_EVENTS,
            (
                b'{"type":"orderStatusChanged","orderID":1,"user":1,"status":"lost","items":[],'
                b'"at":"soon"}'
            ),
            (
                "status must be 'new', 'awaiting payment', 'failed', 'paid' or 'cancelled';"
                " at must be a date and time as in RFC 3339"
            ),
        ),
    ],
)
def test_of_other_topics(topic: Topic, value: bytes, text: str):
    assert why(topic, value) == text


def test_a_thousand_wrong_fields_are_counted_and_no_text_is_long():
    fields = "".join(f',"{"x" * 90}{n}":1' for n in range(1000))
    text = why(CART_REQUESTS, f'{{"type":"listCart","user":1{fields}}}'.encode())
    assert text.startswith("x" * 90)
    assert text.endswith("; and 996 more")
    assert len(text) < 700
    many = "".join(f',"{n}":1' for n in range(1001))
    text = why(CART_REQUESTS, f'{{"type":"listCart","user":1{many}}}'.encode())
    assert text == "1001 fields are invalid"

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class GetProductRequest(_message.Message):
    __slots__ = ("token", "sku")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    token: str
    sku: int
    def __init__(self, token: _Optional[str] = ..., sku: _Optional[int] = ...) -> None: ...

class GetProductResponse(_message.Message):
    __slots__ = ("name", "price")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    name: str
    price: int
    def __init__(self, name: _Optional[str] = ..., price: _Optional[int] = ...) -> None: ...

class ListSkusRequest(_message.Message):
    __slots__ = ("token", "start_after_sku", "count")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_AFTER_SKU_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    token: str
    start_after_sku: int
    count: int
    def __init__(self, token: _Optional[str] = ..., start_after_sku: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ListSkusResponse(_message.Message):
    __slots__ = ("skus",)
    SKUS_FIELD_NUMBER: _ClassVar[int]
    skus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, skus: _Optional[_Iterable[int]] = ...) -> None: ...

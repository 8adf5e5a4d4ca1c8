"""Headers, keys and values of records, as components of an AsyncAPI document."""

from typing import Any

from schemas.contract import Contract
from schemas.examples import examples_of
from schemas.json_schema import definitions, reference
from topics.catalog import GATEWAY_REPLIES, TOPIC_OF
from topics.kafka import headers as names
from topics.topic import Topic, TopicKind, wire_type

BINDING = {"bindingVersion": "0.5.0"}


def messages_in(topic: Topic) -> list[str]:
    """Return the names of the messages that a topic carries."""
    if topic.kind in _OPAQUE:
        return [_OPAQUE[topic.kind]["name"]]
    return [contract.__name__ for contract in topic.contracts]


def components() -> dict[str, Any]:
    """Return all messages and their schemas, by name."""
    topic_of = dict.fromkeys(GATEWAY_REPLIES.contracts, GATEWAY_REPLIES) | TOPIC_OF
    schemas = definitions(topic_of)
    for contract in topic_of:  # over Kafka `type` selects the message
        schema = schemas[contract.__name__]
        schema["required"] = ["type", *schema.get("required", ())]
    messages = {c.__name__: _message(c, topic) for c, topic in topic_of.items()}
    opaque = {m["name"]: m | _envelope(kind, "") for kind, m in _OPAQUE.items()}
    return {
        "schemas": schemas | dict(_HEADERS.values()),
        "messages": messages | opaque,
        "correlationIds": {
            "correlation-id": {"location": f"$message.header#/{names.CORRELATION_ID}"}
        },
    }


def _message(contract: type[Contract], topic: Topic) -> dict[str, Any]:
    message = {
        "name": wire_type(contract),
        "title": contract.__name__,
        "summary": contract.__doc__,
        "contentType": "application/json",
        "payload": reference(contract.__name__),
        **_envelope(topic.kind, topic.key),
    }
    if examples := examples_of(contract):
        message["examples"] = [{"payload": e.model_dump(mode="json")} for e in examples]
    if topic.kind is not TopicKind.EVENTS:
        message["correlationId"] = {"$ref": "#/components/correlationIds/correlation-id"}
    return message


def _envelope(kind: TopicKind, key: str) -> dict[str, Any]:
    """Return the headers and the key of a message."""
    text = f"{key}, in decimal text" if key else _KEYS[kind]
    headers = {"headers": reference(_HEADERS[kind][0])} if kind in _HEADERS else {}
    return {**headers, "bindings": {"kafka": {"key": _text(text), **BINDING}}}


def _text(description: str, **more: str) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _headers(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return schema | ({"required": [*required]} if required else {})


_KEYS = {
    TopicKind.REPLIES: "the key of the request",
    TopicKind.DEAD_LETTERS: "the key of the record",
    TopicKind.CHANGELOG: "the key of the row",
}
_OPAQUE: dict[TopicKind, dict[str, Any]] = {
    TopicKind.DEAD_LETTERS: {
        "name": "DeadLetter",
        "summary": "A record, byte for byte.",
        "contentType": "application/octet-stream",
        "payload": {},
    },
    TopicKind.CHANGELOG: {
        "name": "Row",
        "summary": "A row of a table as JSON; a record without a value deletes it.",
        "contentType": "application/json",
        "payload": {"type": ["object", "null"]},
    },
}
"""The messages without a contract."""

_TRACE = {name: _text("W3C trace context; propagated.") for name in names.TRACE}
_REPLY_HEADERS = {
    names.CORRELATION_ID: _text("Any bytes, up to 4 KiB; returned unchanged."),
    **_TRACE,
}
_REQUEST_HEADERS = {
    names.REPLY_TOPIC: _text(
        "The topic of the reply; ends in .replies or .reply. The default is a topic of"
        " the shop.",
        pattern=r"\.(replies|reply)$",
    ),
    names.REPLY_PARTITION: _text(
        "The partition of that topic: int32, big endian, or decimal text. Four digits"
        " count as text. All other numbers are decimal text. With text the reply has"
        f" also the header {names.NEST_IS_DISPOSED}.",
        format="binary",
    ),
    names.IDEMPOTENCY_KEY: _text(
        "A request that is repeated with its key has one effect and one reply.",
        pattern="^[!-~]{1,128}$",
    ),
}
_EVENT_ID = {names.EVENT_ID: _text("orderID:status; the same for a repeated event.")}
_DEAD_LETTER = {
    "dlq.reason": _text("The reason for the dead letter."),
    "dlq.topic": _text("The topic of the record."),
    "dlq.partition": _text("Its partition, in decimal text."),
    "dlq.offset": _text("Its offset, in decimal text."),
}
_HEADERS = {
    TopicKind.REQUESTS: ("RequestHeaders", _headers(_REPLY_HEADERS | _REQUEST_HEADERS)),
    TopicKind.REPLIES: ("ReplyHeaders", _headers(_REPLY_HEADERS)),
    TopicKind.EVENTS: ("EventHeaders", _headers(_EVENT_ID | _TRACE, *_EVENT_ID)),
    TopicKind.DEAD_LETTERS: ("DeadLetterHeaders", _headers(_DEAD_LETTER, *_DEAD_LETTER)),
}
"""Rows have no headers; a dead letter also has the headers of its record."""

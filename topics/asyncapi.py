"""The Kafka interface as an AsyncAPI 3.0 document, derived from the catalogue.

The application is the whole shop: it receives the records of request topics, also those
between its services, and sends all others.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.contract import Contract, Refused, definitions, reference
from schemas.examples import examples_of
from topics.catalog import DEFAULT_REPLIES, GATEWAY_REPLIES, TOPIC_OF, TOPICS
from topics.kafka import headers as names
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind, wire_type

INFO = {
    "title": "The shop that never loses an item",
    "version": "1.0.0",
    "contact": {  # of a reserved domain (RFC 2606); a public shop has its operator's
        "name": "The operator of this shop",
        "url": "https://shop.example",
        "email": "operator@shop.example",
    },
    "license": {"name": "Proprietary"},
}
"""The part of the document's information that OpenAPI has, too."""

CLIENT_REPLIES = "replies"  # the channel of all reply topics of clients

Replies = Mapping[type[Contract], type[Contract]]

_ABOUT = """\
A value is plain JSON with its `type`; headers have the correlation id and the reply topic.
A client may use any partitioner and any key: the shop forwards a record to the partition
that its body selects. An invalid record goes to a dead-letter topic, byte for byte.
Delivery is at least once.
"""
_TAGS = [
    {"name": "calls", "description": "Requests that a client may send."},
    {"name": "between services", "description": "Requests that only services send."},
    {"name": "output", "description": "Records that the shop sends."},
]
_BINDING = {"bindingVersion": "0.5.0"}
_CORRELATION_ID = {"location": f"$message.header#/{names.CORRELATION_ID}"}


def _text(description: str, **more: str) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _headers(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required]}


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
        pattern=f"^{names.KEY_PATTERN}$",
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


def _envelope(kind: TopicKind, key: str) -> dict[str, Any]:
    """Return the headers and the key of a message."""
    headers = {"headers": reference(_HEADERS[kind][0])} if kind in _HEADERS else {}
    return {**headers, "bindings": {"kafka": {"key": _text(key), **_BINDING}}}


_WITHOUT_CONTRACT: dict[TopicKind, dict[str, Any]] = {
    TopicKind.DEAD_LETTERS: {
        "name": "DeadLetter",
        "summary": "A record, byte for byte.",
        "contentType": "application/octet-stream",
        "payload": {},
        **_envelope(TopicKind.DEAD_LETTERS, "the key of the record"),
    },
    TopicKind.CHANGELOG: {
        "name": "Row",
        "summary": "A row of a table as JSON; a record without a value deletes it.",
        "contentType": "application/json",
        "payload": {"type": ["object", "null"]},
        **_envelope(TopicKind.CHANGELOG, "the key of the row"),
    },
}


def document(cluster: KafkaSettings, replies: Replies) -> dict[str, Any]:
    """Return the document of a cluster; `replies` are those of the calls, by request."""
    client_replies = {
        "address": None,
        "description": f"A topic of the client, which {names.REPLY_TOPIC} names."
        " Its name ends in .replies or .reply. The client creates it.",
        "messages": _messages(GATEWAY_REPLIES),
    }
    channels = {topic.name: _channel(topic, cluster) for topic in TOPICS}
    return {
        "asyncapi": "3.0.0",
        "info": INFO | {"description": _ABOUT, "tags": _TAGS},
        "defaultContentType": "application/json",
        "servers": _servers(cluster),
        "channels": channels | {CLIENT_REPLIES: client_replies},
        "operations": dict(_operations(replies)),
        "components": _components(),
    }


def _at(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}


def _servers(cluster: KafkaSettings) -> dict[str, Any]:
    encrypted = cluster.kafka_security_protocol.endswith("SSL")
    protocol = "kafka-secure" if encrypted else "kafka"
    return {
        f"kafka-{number}": {"host": address, "protocol": protocol}
        for number, address in enumerate(cluster.kafka.split(","), start=1)
    }


def _channel(topic: Topic, cluster: KafkaSettings) -> dict[str, Any]:
    config = cluster.durability | topic.config(cluster.request_retention)
    # The binding has numbers as numbers, and a list of policies.
    numbers = {n: int(v) for n, v in config.items() if v.removeprefix("-").isdigit()}
    policy = {"cleanup.policy": [config.get("cleanup.policy", "delete")]}
    binding = {
        "partitions": topic.partitions or cluster.partitions,
        "replicas": cluster.kafka_replication,
        "topicConfiguration": {**config, **numbers, **policy},
        **_BINDING,
    }
    return {
        "address": topic.name,
        "description": topic.doc,
        "messages": _messages(topic),
        "bindings": {"kafka": binding},
    }


def _messages(topic: Topic) -> dict[str, Any]:
    return {name: _at(f"components/messages/{name}") for name in _names(topic)}


def _names(topic: Topic) -> list[str]:
    opaque = _WITHOUT_CONTRACT.get(topic.kind)
    return [opaque["name"]] if opaque else [c.__name__ for c in topic.contracts]


def _operations(replies: Replies) -> Iterator[tuple[str, Any]]:
    for contract, topic in TOPIC_OF.items():
        if topic.kind is TopicKind.REQUESTS:
            yield wire_type(contract), _receive(contract, topic, replies.get(contract))
    for topic in TOPICS:
        if topic.kind is not TopicKind.REQUESTS:
            yield (
                f"send.{topic.name}",
                {
                    "action": "send",
                    "summary": topic.doc,
                    "description": f"Records in {topic.name}: {', '.join(_names(topic))}.",
                    "tags": [{"name": "output"}],
                    **_in_channel(topic.name, _names(topic)),
                },
            )


def _receive(
    contract: type[Contract], topic: Topic, reply: type[Contract] | None
) -> dict[str, Any]:
    response = f"The reply is {reply.__name__} or Refused." if reply else "It has no reply."
    return {
        "action": "receive",
        "summary": contract.__doc__,
        "description": f"A record in {topic.name}, keyed by its {topic.key}. {response}",
        "tags": [{"name": "calls" if reply else "between services"}],
        **_in_channel(topic.name, [contract.__name__]),
        **({"reply": _reply(reply, DEFAULT_REPLIES[topic])} if reply else {}),
    }


def _reply(reply: type[Contract], default: Topic) -> dict[str, Any]:
    return {
        "address": {
            "location": f"$message.header#/{names.REPLY_TOPIC}",
            "description": f"Without {names.REPLY_TOPIC} the reply goes to {default.name}.",
        },
        **_in_channel(CLIENT_REPLIES, [reply.__name__, Refused.__name__]),
    }


def _in_channel(channel: str, messages: Iterable[str]) -> dict[str, Any]:
    path = f"channels/{channel}"
    return {
        "channel": _at(path),
        "messages": [_at(f"{path}/messages/{name}") for name in messages],
    }


def _components() -> dict[str, Any]:
    topic_of = dict.fromkeys(GATEWAY_REPLIES.contracts, GATEWAY_REPLIES) | TOPIC_OF
    schemas = definitions(topic_of)
    for contract in topic_of:  # over Kafka `type` selects the message
        schemas[contract.__name__].setdefault("required", []).insert(0, "type")
    messages = {c.__name__: _message(c, topic) for c, topic in topic_of.items()}
    messages |= {message["name"]: message for message in _WITHOUT_CONTRACT.values()}
    return {"schemas": schemas | dict(_HEADERS.values()), "messages": messages}


def _message(contract: type[Contract], topic: Topic) -> dict[str, Any]:
    key = f"{topic.key}, in decimal text" if topic.key else "the key of the request"
    return {
        "name": wire_type(contract),
        "title": contract.__name__,
        "summary": contract.__doc__,
        "contentType": "application/json",
        "payload": reference(contract.__name__),
        "examples": [{"payload": e.model_dump(mode="json")} for e in examples_of(contract)],
        **_envelope(topic.kind, key),
        **({} if topic.kind is TopicKind.EVENTS else {"correlationId": _CORRELATION_ID}),
    }

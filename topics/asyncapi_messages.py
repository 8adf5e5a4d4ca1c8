"""What records are made of, as components of an AsyncAPI document: headers, key, value."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.contract import Contract
from schemas.examples import examples_of
from schemas.json_schema import definitions, reference
from topics.catalog import GATEWAY_REPLIES, TOPIC_OF
from topics.kafka import headers as names
from topics.topic import Topic, TopicKind, wire_type

BINDING = {"bindingVersion": "0.5.0"}

_JSON = "application/json"


def messages_in(topic: Topic) -> list[str]:
    """Return the names of the messages that a topic carries."""
    if topic.kind in _OPAQUE:
        return [_OPAQUE[topic.kind].name]
    return [contract.__name__ for contract in topic.contracts]


def components() -> dict[str, Any]:
    """Return all messages and their schemas, by name."""
    homes = dict.fromkeys(GATEWAY_REPLIES.contracts, GATEWAY_REPLIES) | TOPIC_OF
    schemas = definitions(homes)
    for contract in homes:  # here it tells messages apart; over HTTP the path does
        schema = schemas[contract.__name__]
        schema["required"] = ["type", *schema.get("required", ())]
    messages = {c.__name__: _message(c, topic) for c, topic in homes.items()}
    return {
        "schemas": schemas | dict(_HEADERS.values()),
        "messages": messages | dict(_opaque()),
        "correlationIds": {
            "conversation": {"location": f"$message.header#/{names.CORRELATION_ID}"}
        },
    }


def _message(contract: type[Contract], topic: Topic) -> dict[str, Any]:
    examples = [{"payload": one.model_dump(mode="json")} for one in examples_of(contract)]
    conversation = {"$ref": "#/components/correlationIds/conversation"}
    return {
        "name": wire_type(contract),
        "title": contract.__name__,
        "summary": contract.__doc__,
        "contentType": _JSON,
        "payload": reference(contract.__name__),
        **_around(topic.kind, topic.key),
        **({"examples": examples} if examples else {}),
        **({} if topic.kind is TopicKind.EVENTS else {"correlationId": conversation}),
    }


def _around(kind: TopicKind, key: str) -> dict[str, Any]:
    """Say what is around a value: headers and the record's key."""
    whose = f"{key}, in decimal text" if key else _KEYS[kind]
    bindings = {"kafka": {"key": _text(whose), **BINDING}}
    if kind not in _HEADERS:
        return {"bindings": bindings}
    return {"headers": reference(_HEADERS[kind][0]), "bindings": bindings}


def _text(description: str, **more: str) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_KEYS = {
    TopicKind.REPLIES: "as the request",
    TopicKind.DEAD_LETTERS: "as the record had it",
    TopicKind.CHANGELOG: "the row's",
}


@dataclass(frozen=True, slots=True)
class _Opaque:
    """A message without a contract."""

    name: str
    summary: str
    payload: Any
    media_type: str


_OPAQUE = {
    TopicKind.DEAD_LETTERS: _Opaque(
        "DeadLetter", "A record, byte for byte.", {}, "application/octet-stream"
    ),
    TopicKind.CHANGELOG: _Opaque(
        "Row",
        "A row of a table as readable JSON; without a value: it is gone.",
        {"type": ["object", "null"]},
        _JSON,
    ),
}


def _opaque() -> Iterator[tuple[str, Any]]:
    for kind, one in _OPAQUE.items():
        told = {"name": one.name, "summary": one.summary, "contentType": one.media_type}
        yield one.name, {**told, "payload": one.payload, **_around(kind, "")}


def _headers(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return schema | ({"required": [*required]} if required else {})


_TRACE = {name: _text("W3C trace context; rides along.") for name in names.TRACE}
_ANSWER = {
    names.CORRELATION_ID: _text("Any bytes, up to 4 KiB; returned unchanged."),
    **_TRACE,
}
_ASK = {
    names.REPLY_TOPIC: _text(
        "Where the reply goes; ends in .replies or .reply. Without it: a topic of the"
        " shop's.",
        pattern=r"\.(replies|reply)$",
    ),
    names.REPLY_PARTITION: _text(
        "Of that topic: int32, big endian, or decimal text, as which four digits count."
        " All other numbers are decimal text. The reply to a request with text has a"
        f" header {names.NEST_IS_DISPOSED} besides.",
        format="binary",
    ),
    names.IDEMPOTENCY_KEY: _text(
        "The same key and request again has one effect and the same answer.",
        pattern="^[!-~]{1,128}$",
    ),
}
_EVENT_ID = {names.EVENT_ID: _text("orderID:status; tells a repeat.")}
_DEAD = {
    "dlq.reason": _text("Why it could not be served."),
    "dlq.topic": _text("Where it lay."),
    "dlq.partition": _text("Likewise, in decimal text."),
    "dlq.offset": _text("Likewise."),
}

_HEADERS = {
    TopicKind.REQUESTS: ("RequestHeaders", _headers(_ANSWER | _ASK)),
    TopicKind.REPLIES: ("ReplyHeaders", _headers(_ANSWER)),
    TopicKind.EVENTS: ("EventHeaders", _headers(_EVENT_ID | _TRACE, *_EVENT_ID)),
    TopicKind.DEAD_LETTERS: ("DeadLetterHeaders", _headers(_DEAD, *_DEAD)),
}
"""Rows have none; a dead letter also has those that it came with."""

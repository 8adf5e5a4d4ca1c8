"""The topics and messages of an AsyncAPI document, as the events page shows them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from topics.describe import format_retention

Document = dict[str, Any]

_MEANING = ("format", "description")


@dataclass(frozen=True, slots=True)
class FieldView:
    """A header of a record, or a field of its value."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message that a topic carries.

    Attributes:
        replies: the names of the possible replies; empty for other messages than requests.
        reply_address: the topic of the reply, in a sentence.
        examples: JSON values.
    """

    name: str
    summary: str
    replies: list[str]
    reply_address: str
    fields: list[FieldView]
    examples: list[str]


@dataclass(frozen=True, slots=True)
class TopicView:
    """A section of the page."""

    name: str
    description: str
    headers: list[FieldView]
    messages: list[MessageView]


def topic_views(document: Document) -> list[TopicView]:
    """Return the sections of the page."""
    return [_topic(name, document) for name in document["channels"]]


def _topic(name: str, document: Document) -> TopicView:
    channel = document["channels"][name]
    messages = [document["components"]["messages"][key] for key in channel["messages"]]
    first, *_ = messages  # the messages of a topic share their key and headers
    key = first["bindings"]["kafka"]["key"]["description"]
    description = f"{channel['description']} {_retention(channel)} Key: {key}."
    return TopicView(
        name,
        description,
        _fields(first.get("headers", {}), document),
        [_message(message, name, document) for message in messages],
    )


def _retention(channel: Document) -> str:
    if "bindings" not in channel:
        return ""
    binding = channel["bindings"]["kafka"]
    milliseconds = binding["topicConfiguration"].get("retention.ms")
    time = None if milliseconds is None else timedelta(milliseconds=milliseconds)
    return f"{binding['partitions']} partitions; kept: {format_retention(time)}."


def _message(message: Document, channel: str, document: Document) -> MessageView:
    examples = (example["payload"] for example in message.get("examples", ()))
    return MessageView(
        message["name"],
        message["summary"],
        *_replies(message["name"], channel, document),
        _fields(message["payload"], document),
        [json.dumps(payload, ensure_ascii=False) for payload in examples],
    )


def _replies(name: str, channel: str, document: Document) -> tuple[list[str], str]:
    operation = document["operations"].get(name, {})
    if "reply" not in operation or _target(operation["channel"]) != channel:
        return [], ""
    reply, messages = operation["reply"], document["components"]["messages"]
    names = [messages[_target(reference)]["name"] for reference in reply["messages"]]
    return names, reply["address"]["description"]


def _fields(schema: Document, document: Document) -> list[FieldView]:
    return list(_field_views(_resolved(schema, document), document))


def _field_views(
    schema: Document, document: Document, prefix: str = ""
) -> Iterator[FieldView]:
    """Yield the fields of an object, and those of items in its arrays."""
    required = schema.get("required", ())
    for name, reference in schema.get("properties", {}).items():
        field = _resolved(reference, document)
        meaning = [] if name in required else ["optional"]
        meaning += [field[key] for key in _MEANING if key in field]
        yield FieldView(prefix + name, _type(field), "; ".join(meaning))
        items = _resolved(field.get("items", {}), document)
        yield from _field_views(items, document, f"{prefix}{name}[].")


def _type(schema: Document) -> str:
    match schema:
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": choices}:
            return " | ".join(_target(choice) or _type(choice) for choice in choices)
        case _:
            return str(schema.get("type", "any"))


def _resolved(schema: Document, document: Document) -> Document:
    if name := _target(schema):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**document["components"]["schemas"][name], **rest}
    return schema


def _target(reference: Document) -> str:
    return str(reference.get("$ref", "")).rpartition("/")[2]

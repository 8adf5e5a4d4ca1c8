"""The AsyncAPI document as a page for people: a section for each topic."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from html import escape
from typing import Any

from gateway.docs.html import code, link, page, prose, table
from topics.describe import format_retention

Document = dict[str, Any]

_WORDS = ("format", "description")


def events_page(document: Document) -> str:
    """Return the page of a document."""
    channels = document["channels"]
    contents = " · ".join(link(f"#{name}", name) for name in channels)
    return page(
        "Topics and messages",
        f"<p>{prose(document['info']['description'])}</p>",
        f"<p>For programs: {link('asyncapi.json', 'asyncapi.json')}.</p>",
        f"<p>{contents}</p>",
        *(_section(name, document) for name in channels),
    )


def _section(name: str, document: Document) -> str:
    channel = document["channels"][name]
    messages = [document["components"]["messages"][one] for one in channel["messages"]]
    one, *_ = messages  # they share their key and headers
    key = one["bindings"]["kafka"]["key"]["description"]
    about = f"{channel['description']} {_kept(channel)} Key: {key}."
    return "\n".join(
        (
            f'<h2 id="{escape(name)}">{escape(name)}</h2>',
            f"<p>{escape(about)}</p>",
            _fields("header", one.get("headers", {}), document),
            *(_message(message, name, document) for message in messages),
        )
    )


def _kept(channel: Document) -> str:
    if "bindings" not in channel:
        return ""
    binding = channel["bindings"]["kafka"]
    milliseconds = binding["topicConfiguration"].get("retention.ms")
    time = None if milliseconds is None else timedelta(milliseconds=milliseconds)
    return f"{binding['partitions']} partitions; kept: {format_retention(time)}."


def _message(message: Document, channel: str, document: Document) -> str:
    name, examples = message["name"], message.get("examples", ())
    parts = [
        f"<summary>{code(name)} {prose(message['summary'])}</summary>",
        _answers(name, channel, document),
        _fields("value", message["payload"], document),
        *(_example(one["payload"]) for one in examples),
    ]
    return f"<details>{''.join(parts)}</details>"


def _answers(name: str, channel: str, document: Document) -> str:
    operation = document["operations"].get(name, {})
    if "reply" not in operation or _last(operation["channel"]) != channel:
        return ""
    reply = operation["reply"]
    told = (document["components"]["messages"][_last(one)] for one in reply["messages"])
    names = " or ".join(code(message["name"]) for message in told)
    return f"<p>Answered by {names}. {escape(reply['address']['description'])}</p>"


def _fields(what: str, schema: Document, document: Document) -> str:
    rows = list(_rows(_resolved(schema, document), document))
    return table((what, "type", ""), rows) if rows else ""


def _rows(schema: Document, document: Document, above: str = "") -> Iterator[Iterable[str]]:
    """Yield name, type and meaning of each field, those of items too."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        told = _resolved(field, document)
        words = [] if name in required else ["optional"]
        words += [told[word] for word in _WORDS if word in told]
        yield code(above + name), code(_type(told)), escape("; ".join(words))
        inner = _resolved(told.get("items", {}), document)
        yield from _rows(inner, document, f"{above}{name}[].")


def _type(schema: Document) -> str:
    match schema:
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": choices}:
            return " | ".join(_last(one) or _type(one) for one in choices)
        case _:
            return str(schema.get("type", "any"))


def _resolved(schema: Document, document: Document) -> Document:
    if name := _last(schema):
        rest = {word: value for word, value in schema.items() if word != "$ref"}
        return {**document["components"]["schemas"][name], **rest}
    return schema


def _last(reference: Document) -> str:
    return str(reference.get("$ref", "")).rpartition("/")[2]


def _example(payload: Any) -> str:  # noqa: ANN401
    return f"<pre>{escape(json.dumps(payload, ensure_ascii=False))}</pre>"

"""The Kafka interface as an AsyncAPI 3.0 document, derived from the catalogue.

The application is the shop as a whole. It receives the records of request topics, also
those between its services, and sends replies, events, dead letters and changelogs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.contract import Contract, Refused
from topics.asyncapi_messages import BINDING, components, messages_in
from topics.catalog import DEFAULT_REPLIES, GATEWAY_REPLIES, TOPIC_OF, TOPICS
from topics.kafka import headers as names
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind, wire_type

TITLE, VERSION = "The shop that never loses an item", "1.0.0"
CONTACT = {  # of a reserved domain (RFC 2606); the operator of a public shop replaces it
    "name": "The operator of this shop",
    "url": "https://shop.example",
    "email": "operator@shop.example",
}
LICENSE = {"name": "Proprietary"}
CLIENT_REPLIES = "replies"
"""The channel of all reply topics of clients."""

Replies = Mapping[type[Contract], type[Contract]]

_ABOUT = """\
A value is plain JSON with its `type`; headers have the correlation id and the reply topic.
A client may use any partitioner and any key: the shop forwards a record to the partition
that its body selects. An invalid record goes to a dead-letter topic, byte for byte.
Delivery is at least once.
"""
_TAGS = {
    "calls": "Requests that a client may send.",
    "between services": "Requests that only services of the shop send.",
    "output": "Records that the shop sends.",
}


def document(cluster: KafkaSettings, replies: Replies) -> dict[str, Any]:
    """Return the document of all topics, messages and replies.

    Args:
        cluster: the brokers, partitions, copies and retention of the topics.
        replies: the replies of the calls, by request.
    """
    channels = {topic.name: _channel(topic, cluster) for topic in TOPICS}
    client_replies = {
        "address": None,
        "description": f"A topic of the client, which {names.REPLY_TOPIC} names."
        " Its name ends in .replies or .reply. The client creates it.",
        "messages": _messages(GATEWAY_REPLIES),
    }
    tags = {_slug(tag): {"name": tag, "description": doc} for tag, doc in _TAGS.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": _ABOUT,
            "contact": CONTACT,
            "license": LICENSE,
            "tags": [_tag(name) for name in _TAGS],
        },
        "defaultContentType": "application/json",
        "servers": dict(_servers(cluster)),
        "channels": channels | {CLIENT_REPLIES: client_replies},
        "operations": dict(_operations(replies)),
        "components": components() | {"tags": tags},
    }


def _servers(cluster: KafkaSettings) -> Iterator[tuple[str, Any]]:
    encrypted = cluster.kafka_security_protocol.endswith("SSL")
    protocol = "kafka-secure" if encrypted else "kafka"
    for number, address in enumerate(cluster.kafka.split(","), start=1):
        yield f"kafka-{number}", {"host": address, "protocol": protocol}


def _channel(topic: Topic, cluster: KafkaSettings) -> dict[str, Any]:
    config = cluster.durability | topic.config(cluster.request_retention)
    # The binding has numbers as numbers, and a list of policies.
    numbers = {n: int(v) for n, v in config.items() if v.removeprefix("-").isdigit()}
    policy = {"cleanup.policy": [config.get("cleanup.policy", "delete")]}
    binding = {
        "partitions": topic.partitions or cluster.partitions,
        "replicas": cluster.kafka_replication,
        "topicConfiguration": {**config, **numbers, **policy},
        **BINDING,
    }
    return {
        "address": topic.name,
        "description": topic.doc,
        "messages": _messages(topic),
        "bindings": {"kafka": binding},
    }


def _messages(topic: Topic) -> dict[str, Any]:
    return {name: _at(f"components/messages/{name}") for name in messages_in(topic)}


def _operations(replies: Replies) -> Iterator[tuple[str, Any]]:
    for contract, topic in TOPIC_OF.items():
        if topic.kind is TopicKind.REQUESTS:
            yield wire_type(contract), _receive(contract, topic, replies.get(contract))
    for topic in TOPICS:
        if topic.kind is not TopicKind.REQUESTS:
            yield f"send.{topic.name}", _send(topic)


def _receive(
    contract: type[Contract], topic: Topic, reply: type[Contract] | None
) -> dict[str, Any]:
    response = f"The reply is {reply.__name__} or Refused." if reply else "It has no reply."
    return {
        "action": "receive",
        "channel": _at(f"channels/{topic.name}"),
        "summary": contract.__doc__,
        "messages": [_at(f"channels/{topic.name}/messages/{contract.__name__}")],
        "description": f"A record in {topic.name}, keyed by its {topic.key}. {response}",
        "tags": [_tag("calls" if reply else "between services")],
        **({"reply": _reply(reply, DEFAULT_REPLIES[topic])} if reply else {}),
    }


def _reply(reply: type[Contract], default: Topic) -> dict[str, Any]:
    channel = f"channels/{CLIENT_REPLIES}"
    return {
        "address": {
            "location": f"$message.header#/{names.REPLY_TOPIC}",
            "description": f"Without {names.REPLY_TOPIC} the reply goes to {default.name}.",
        },
        "channel": _at(channel),
        "messages": [_at(f"{channel}/messages/{c.__name__}") for c in (reply, Refused)],
    }


def _send(topic: Topic) -> dict[str, Any]:
    messages, channel = messages_in(topic), f"channels/{topic.name}"
    return {
        "action": "send",
        "channel": _at(channel),
        "summary": topic.doc,
        "description": f"Records in {topic.name}: {', '.join(messages)}.",
        "tags": [_tag("output")],
        "messages": [_at(f"{channel}/messages/{name}") for name in messages],
    }


def _tag(name: str) -> dict[str, str]:
    return _at(f"components/tags/{_slug(name)}")


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _at(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}

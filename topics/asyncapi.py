"""The Kafka surface as an AsyncAPI 3.0 document, derived from the catalogue.

The shop as a whole is the application: it receives what lies in request topics, also what
its own services say to each other there, and sends replies, facts and all the rest.
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
"""The channel that stands for every client's own reply topic."""

Answers = Mapping[type[Contract], type[Contract]]

_ABOUT = """\
A value is plain JSON with its `type`; the conversation is in headers. Any partitioner will
do, and no key at all: a record is passed on to its owner, who follows from its body. What
can't be understood goes to a dead-letter topic, byte for byte. Delivery is at least once.
"""
_TAGS = {
    "calls": "Requests that a client may send.",
    "between services": "Nobody else need send it.",
    "output": "Records that the shop sends.",
}


def document(cluster: KafkaSettings, answers: Answers) -> dict[str, Any]:
    """Describe every topic, what it carries, and who is answered what.

    Args:
        cluster: where the topics are, and how many partitions and copies they have.
        answers: the replies of the calls, by what they ask.
    """
    channels = {topic.name: _channel(topic, cluster) for topic in TOPICS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": _ABOUT,
            "contact": CONTACT,
            "license": LICENSE,
            "tags": [_at(f"components/tags/{name}") for name in map(_slug, _TAGS)],
        },
        "defaultContentType": "application/json",
        "servers": dict(_servers(cluster)),
        "channels": channels | {CLIENT_REPLIES: _client_replies()},
        "operations": dict(_operations(answers)),
        "components": components() | {"tags": _tags()},
    }


def _servers(cluster: KafkaSettings) -> Iterator[tuple[str, Any]]:
    encrypted = cluster.kafka_security_protocol.endswith("SSL")
    protocol = "kafka-secure" if encrypted else "kafka"
    for number, address in enumerate(cluster.kafka.split(","), start=1):
        yield f"kafka-{number}", {"host": address.strip(), "protocol": protocol}


def _channel(topic: Topic, cluster: KafkaSettings) -> dict[str, Any]:
    binding = {
        "partitions": topic.partitions or cluster.partitions,
        "replicas": cluster.kafka_replication,
        "topicConfiguration": _settings(
            cluster.durability | topic.config(cluster.request_retention)
        ),
        **BINDING,
    }
    return {
        "address": topic.name,
        "description": topic.doc,
        "messages": _messages(topic),
        "bindings": {"kafka": binding},
    }


def _client_replies() -> dict[str, Any]:
    return {
        "address": None,
        "description": f"A topic of the client's own, which {names.REPLY_TOPIC} names:"
        " its name ends in .replies or .reply, and the shop does not make it.",
        "messages": _messages(GATEWAY_REPLIES),
    }


def _settings(config: Mapping[str, str]) -> dict[str, Any]:
    """Return a topic's settings as the binding wants them: numbers, and a list."""
    policy = config.get("cleanup.policy", "delete")
    numbers = {n: int(v) for n, v in config.items() if v.removeprefix("-").isdigit()}
    return {**config, **numbers, "cleanup.policy": [policy]}


def _messages(topic: Topic) -> dict[str, Any]:
    return {name: _at(f"components/messages/{name}") for name in messages_in(topic)}


def _operations(answers: Answers) -> Iterator[tuple[str, Any]]:
    for contract, topic in TOPIC_OF.items():
        if topic.kind is TopicKind.REQUESTS:
            yield wire_type(contract), _receive(contract, topic, answers.get(contract))
    for topic in TOPICS:
        if topic.kind is not TopicKind.REQUESTS:
            yield f"send.{topic.name}", _send(topic)


def _receive(
    contract: type[Contract], topic: Topic, answer: type[Contract] | None
) -> dict[str, Any]:
    channel = f"channels/{topic.name}"
    operation = {
        "action": "receive",
        "channel": _at(channel),
        "summary": contract.__doc__,
        "messages": [_at(f"{channel}/messages/{contract.__name__}")],
    }
    about = f"A record in {topic.name}, keyed by its {topic.key}."
    if answer is None:
        told = {
            "description": f"{about} It has no reply.",
            "tags": _tag("between services"),
        }
        return operation | told
    told = {"description": f"{about} Replied with {answer.__name__} or Refused."}
    told["tags"] = _tag("calls")
    return operation | told | {"reply": _reply(answer, DEFAULT_REPLIES[topic])}


def _reply(answer: type[Contract], otherwise: Topic) -> dict[str, Any]:
    channel = f"channels/{CLIENT_REPLIES}"
    return {
        "address": {
            "location": f"$message.header#/{names.REPLY_TOPIC}",
            "description": f"Without {names.REPLY_TOPIC} it goes to {otherwise.name}.",
        },
        "channel": _at(channel),
        "messages": [_at(f"{channel}/messages/{c.__name__}") for c in (answer, Refused)],
    }


def _send(topic: Topic) -> dict[str, Any]:
    channel = f"channels/{topic.name}"
    return {
        "action": "send",
        "channel": _at(channel),
        "summary": topic.doc,
        "description": f"Records in {topic.name}: {', '.join(messages_in(topic))}.",
        "tags": _tag("output"),
        "messages": [_at(f"{channel}/messages/{name}") for name in messages_in(topic)],
    }


def _tags() -> dict[str, Any]:
    return {_slug(name): {"name": name, "description": doc} for name, doc in _TAGS.items()}


def _tag(name: str) -> list[dict[str, str]]:
    return [_at(f"components/tags/{_slug(name)}")]


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _at(place: str) -> dict[str, str]:
    return {"$ref": f"#/{place}"}

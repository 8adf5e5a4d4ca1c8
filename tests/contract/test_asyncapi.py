"""The AsyncAPI document: valid, complete, and of one mind with catalogue and OpenAPI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway import openapi
from gateway.routes import ROUTES
from schemas.contract import Contract
from tests.contract.goldens import GOLDENS
from tests.programs import npm_ci, run
from topics.asyncapi import CLIENT_REPLIES, document
from topics.catalog import TOPIC_OF, TOPICS
from topics.kafka.settings import KafkaSettings
from topics.topic import FOREVER, TopicKind

HERE = Path(__file__).parent
CLUSTER = KafkaSettings(kafka="one:9092,two:9092", partitions=5, kafka_replication=3)
DOCUMENT = json.loads(json.dumps(document(CLUSTER, {r.request: r.reply for r in ROUTES})))
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]
OVER_HTTP = openapi.document()["components"]["schemas"]


def valid(name: str, message: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    return Draft202012Validator(schema).is_valid(message)


def references(tree: Any) -> Iterator[str]:
    match tree:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for inner in tree.values():
                yield from references(inner)
        case list():
            for inner in tree:
                yield from references(inner)


def test_the_official_parser_reports_nothing(tmp_path: Path):
    checker = npm_ci(HERE / "asyncapi", tmp_path)
    text = tmp_path / "asyncapi.json"
    text.write_text(json.dumps(DOCUMENT))
    output = run("node", "check.mjs", text, within=60, here=checker)
    errors = [line for line in output.splitlines() if line.startswith(("error", "warning"))]
    assert errors == []


def test_whatever_is_referred_to_is_there():
    for reference in references(DOCUMENT):
        found = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_is_a_channel_with_its_settings(topic):
    channel = DOCUMENT["channels"][topic.name]
    assert channel["address"] == topic.name
    binding = channel["bindings"]["kafka"]
    assert binding["partitions"] == (topic.partitions or 5)
    assert binding["replicas"] == 3
    settings = binding["topicConfiguration"]
    assert settings["min.insync.replicas"] == 2
    config = {name: str(value) for name, value in settings.items()}
    policy = settings["cleanup.policy"]
    assert topic.config(FOREVER).items() <= (config | {"cleanup.policy": policy[0]}).items()
    if topic.contracts:
        assert channel["messages"].keys() == {c.__name__ for c in topic.contracts}


def test_clients_reply_topics_have_no_address_of_ours():
    assert DOCUMENT["channels"][CLIENT_REPLIES]["address"] is None
    assert DOCUMENT["channels"].keys() - {CLIENT_REPLIES} == {t.name for t in TOPICS}


@pytest.mark.parametrize("contract", GOLDENS, ids=lambda contract: contract.__name__)
def test_a_message_is_described_as_it_travels(contract: type[Contract]):
    name, golden = contract.__name__, json.loads(GOLDENS[contract])
    assert MESSAGES[name]["payload"] == {"$ref": f"#/components/schemas/{name}"}
    assert MESSAGES[name]["name"] == golden["type"]
    assert valid(name, golden)
    assert not valid(name, {n: value for n, value in golden.items() if n != "type"})
    for example in MESSAGES[name].get("examples", ()):
        assert valid(name, example["payload"])


@pytest.mark.parametrize("name", sorted(OVER_HTTP.keys() - {"Problem"}))
def test_a_schema_is_the_same_as_over_http_but_for_the_type(name: str):
    here, there = ({"required": []} | schemas[name] for schemas in (SCHEMAS, OVER_HTTP))
    if name in MESSAGES:
        properties = {n: v for n, v in here["properties"].items() if n != "type"}
        here |= {"properties": properties, "required": here["required"][1:]}
    assert here == there


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_call_is_an_operation_that_is_answered_as_over_http(route):
    name = MESSAGES[route.request.__name__]["name"]
    operation, topic = DOCUMENT["operations"][name], TOPIC_OF[route.request]
    assert operation["action"] == "receive"
    assert operation["channel"] == {"$ref": f"#/channels/{topic.name}"}
    reply = operation["reply"]
    assert reply["address"]["location"] == "$message.header#/kafka_replyTopic"
    answers = [message["$ref"].rpartition("/")[2] for message in reply["messages"]]
    assert answers == [route.reply.__name__, "Refused"]


def test_every_topic_is_received_from_or_sent_to():
    used = {
        o["channel"]["$ref"].rpartition("/")[2] for o in DOCUMENT["operations"].values()
    }
    assert used == {topic.name for topic in TOPICS}


HEADERS = {
    TopicKind.REQUESTS: {
        *("kafka_correlationId", "kafka_replyTopic", "kafka_replyPartition"),
        *("idempotency-key", "traceparent", "tracestate"),
    },
    TopicKind.REPLIES: {"kafka_correlationId", "traceparent", "tracestate"},
    TopicKind.EVENTS: {"event-id", "traceparent", "tracestate"},
    TopicKind.DEAD_LETTERS: {"dlq.reason", "dlq.topic", "dlq.partition", "dlq.offset"},
    TopicKind.CHANGELOG: None,
}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_headers_have_the_names_of_the_wire(topic):
    for name in DOCUMENT["channels"][topic.name]["messages"]:
        headers = MESSAGES[name].get("headers")
        described = (
            headers and SCHEMAS[headers["$ref"].rpartition("/")[2]]["properties"].keys()
        )
        assert described == HEADERS[topic.kind]


def test_passwords_are_not_in_the_document():
    secret = KafkaSettings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_username="shop",
        kafka_sasl_password="hush",
    )
    described = document(secret, {})
    assert described["servers"]["kafka-1"]["protocol"] == "kafka-secure"
    assert "hush" not in json.dumps(described)

"""Permissions: each service has those that its rules need, for kafka-acls.sh."""

import subprocess
import sys

from topics.catalog import TOPICS
from topics.topic import TopicKind
from topics.topology import OPERATOR, SERVICES, Operation, acls


def names(user: str, operation: Operation) -> set[str]:
    return {
        acl.name
        for acl in acls()
        if (acl.user, acl.operation, acl.resource) == (user, operation, "topic")
    }


def test_no_permission_is_listed_twice():
    assert len(acls(["customer"])) == len(set(acls(["customer"])))


def test_each_request_topic_event_topic_and_table_has_exactly_one_reader():
    kinds = (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.CHANGELOG)
    read = [topic for service in SERVICES for topic in (*service.consumes, *service.tables)]
    assert sorted(t.name for t in read) == sorted(t.name for t in TOPICS if t.kind in kinds)


def test_only_its_owner_writes_to_a_table():
    for service in SERVICES:
        tables = {topic.name for topic in service.tables}
        written = names(service.name, "Write")
        assert {name for name in written if name.endswith("-changelog")} == tables


def test_no_user_reads_dead_letters_or_the_replies_of_others():
    readers = {(acl.user, acl.name) for acl in acls() if acl.operation == "Read"}
    ends = (".dlq", ".replies")
    assert {r for r in readers if r[1].endswith(ends)} == {("gateway", "gateway.replies")}


def test_only_the_operator_may_change_topics():
    changes = ("Create", "AlterConfigs", "Describe")
    assert {acl.user for acl in acls() if acl.operation in changes} == {OPERATOR}


def test_a_client_has_the_request_topics_and_a_reply_topic_and_nothing_else():
    mine = {str(acl).split("User:")[1] for acl in acls(["me"]) if acl.user == "me"}
    assert mine == {
        "me --operation Read --group me",
        "me --operation Read --topic me.replies",
        "me --operation Write --topic cart.requests",
        "me --operation Write --topic order.requests",
        "me --operation Write --topic stock.requests",
    }


def test_a_client_of_nest_has_the_names_of_nest():
    mine = {str(acl).split("User:")[1] for acl in acls(["me"], nest=True)}
    assert {line for line in mine if line.startswith("me ")} == {
        "me --operation Read --group me-client",
        "me --operation Read --topic cart.requests.reply",
        "me --operation Read --topic order.requests.reply",
        "me --operation Read --topic stock.requests.reply",
        "me --operation Write --topic cart.requests",
        "me --operation Write --topic order.requests",
        "me --operation Write --topic stock.requests",
    }
    for service in ("checkout", "loms", "products"):
        assert f"{service} --operation Write --topic cart.requests.reply" in mine
    words = [sys.executable, "-m", "topics", "acls", "--nest", "me"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [str(acl) for acl in acls(["me"], nest=True)]


def test_the_command_prints_one_permission_a_line():
    words = [sys.executable, "-m", "topics", "acls", "me"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [str(acl) for acl in acls(["me"])]

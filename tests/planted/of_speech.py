"""Bugs of what workers and the gateway receive and send."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_ROUTER = "tests/component/test_runtime_router.py::test_"
_CONCURRENT = "tests/component/test_concurrent_processor.py::test_"
_NOTIFICATIONS = "tests/component/test_notifications.py::test_"
_CONNECTIONS = "tests/component/test_gateway_connections.py::test_"
_CALLS = "tests/component/test_gateway_calls.py::test_"

BUGS = (
    Bug(
        "the routing guard is off",
        "agents/runtime/router.py",
        "if partition_of(envelope.key, self._partitions) != record.partition:",
        "if False:",
        f"{_ROUTER}a_misrouted_record_is_forwarded_and_changes_nothing_here",
    ),
    Bug(
        "a forwarded record loses its origin",
        "agents/runtime/collector.py",
        "        headers.append((names.ORIGIN, envelope.cause.origin.encode()))\n",
        "",
        f"{_ROUTER}a_record_that_is_forwarded_twice_counts_once",
    ),
    Bug(
        "the idempotency key is ignored",
        "agents/aggregate.py",
        'return self.origin if key is None else f"key:{key}"',
        "return self.origin",
        f"{_ROUTER}requests_with_the_same_key_have_one_effect",
    ),
    Bug(
        "a redelivered record is decided again",
        "agents/runtime/processor.py",
        "if record.offset < source_offset:",
        "if False:",
        f"{_BATCHES}a_refused_record_is_refused_again_when_it_is_redelivered",
    ),
    Bug(
        "replies are sent before the commands are acknowledged",
        "agents/runtime/processor.py",
        "        await settled(before)\n",
        "",
        f"{_BATCHES}no_reply_or_row_is_sent_before_its_commands_are_acknowledged",
    ),
    Bug(
        "replies overtake the commands of the batch before",
        "agents/runtime/processor.py",
        "if self._sent is not None and not self._sent.done():",
        "if False:",
        f"{_BATCHES}replies_do_not_overtake_the_commands_of_the_batch_before",
    ),
    Bug(
        "a frozen worker continues",
        "agents/runtime/fail_stop.py",
        "if self._armed and paused > self._limit:",
        "if False:",
        f"{_BATCHES}a_worker_that_was_frozen_sends_nothing",
    ),
    Bug(
        "a failed send is ignored",
        "agents/worker/app.py",
        "if (error := delivery.exception()) is not None:",
        "if False:",
        f"{_BATCHES}a_record_that_kafka_refuses_ends_the_worker",
    ),
    Bug(
        "an agent that raised is only logged",
        "agents/worker/app.py",
        'fail_stop("agent %s raised %r\\n%s", agent.name, exc, text)',
        'log.error("agent %s raised %r\\n%s", agent.name, exc, text)',
        f"{_BATCHES}an_exception_in_an_agent_ends_the_worker",
    ),
    Bug(
        "batches in flight have no bound",
        "agents/runtime/in_flight.py",
        "self._polls >= MAX_IN_FLIGHT or ",
        "",
        f"{_BATCHES}no_more_batches_are_read_than_may_be_in_flight",
    ),
    Bug(
        "a run of records is not cut to the size of a record batch",
        "agents/runtime/transaction.py",
        "return self._bytes > MAX_BATCH_BYTES",
        "return False",
        f"{_BATCHES}rows_too_many_for_one_record_batch_are_written_in_several",
    ),
    Bug(
        "records are processed before their rows are recovered",
        "agents/runtime/processor.py",
        "if partition not in self.store.active:",
        "if False:",
        f"{_BATCHES}a_batch_of_a_partition_without_rows_is_not_processed",
    ),
    Bug(
        "dead letters lack the bytes",
        "agents/runtime/collector.py",
        "ProducerRecord(topic, key, value, headers))\n\n\ndef _size",
        'ProducerRecord(topic, key, b"", headers))\n\n\ndef _size',
        f"{_ROUTER}an_invalid_record_is_kept_byte_for_byte_and_the_next_one_is_processed",
    ),
    Bug(
        "dead letters lack the reason",
        "agents/runtime/collector.py",
        '            "dlq.reason": reason,\n',
        "",
        f"{_ROUTER}an_invalid_record_is_kept_byte_for_byte_and_the_next_one_is_processed",
    ),
    Bug(
        "an invalid record stops its partition",
        "agents/runtime/router.py",
        "except InvalidRecord as invalid:",
        "except ZeroDivisionError as invalid:",
        f"{_ROUTER}an_invalid_record_is_kept_byte_for_byte_and_the_next_one_is_processed",
    ),
    Bug(
        "replies go to any topic that a header names",
        "agents/runtime/deserializer.py",
        r'r"[A-Za-z0-9._-]{1,241}\.replies|[A-Za-z0-9._-]{1,243}\.reply"',
        r'r"[A-Za-z0-9._-]{1,249}"',
        f"{_ROUTER}an_invalid_reply_topic_is_never_written_to",
    ),
    Bug(
        "a notification that was sent is sent again",
        "agents/notifications/service.py",
        "if key in before or self.sent_log.store.get(record.partition, key):",
        "if False:",
        f"{_NOTIFICATIONS}an_event_that_comes_again_is_delivered_once",
    ),
    Bug(
        "one order's bad address counts as a failure of the transport",
        "agents/notifications/delivery.py",
        "if error.is_of_recipient:",
        "if False:",
        f"{_NOTIFICATIONS}an_orders_bad_address_holds_up_no_other_order",
    ),
    Bug(
        "an open circuit admits all attempts",
        "agents/notifications/backoff.py",
        "(1 if self.is_open else MAX_IN_FLIGHT)",
        "MAX_IN_FLIGHT",
        "tests/unit/test_backoff.py::test_an_open_circuit_admits_one_attempt_after_each_delay",
    ),
    Bug(
        "events of one order overtake each other",
        "agents/notifications/pending.py",
        "                if order in self.orders:\n",
        "                if False:\n",
        "tests/unit/test_pending.py::test_events_of_one_order_come_one_after_the_other",
    ),
    Bug(
        "a webhook's URL is normalised",
        "agents/settings.py",
        "safe=_UNCHANGED), encoded=True",
        "safe=_UNCHANGED), encoded=False",
        "tests/component/test_webhooks.py::test_a_webhooks_url_is_sent_byte_for_byte",
    ),
    Bug(
        "a transient error counts as a permanent one",
        "agents/notifications/delivery.py",
        "        except PermanentError as error:\n",
        "        except (PermanentError, TransientError) as error:\n",
        f"{_NOTIFICATIONS}an_address_that_is_good_again_gets_its_mails_in_order",
    ),
    Bug(
        "batches of revoked partitions count as acknowledged",
        "agents/runtime/concurrent_processor.py",
        "    if batch.revoked:\n        raise asyncio.CancelledError\n",
        "",
        f"{_CONCURRENT}a_batch_of_a_revoked_partition_is_not_acknowledged",
    ),
    Bug(
        "partitions are assigned though a topic is missing",
        "agents/worker/assignor.py",
        "if missing := sorted(topic for topic, count in counts.items() if not count):",
        "if missing := ():",
        "tests/unit/test_assignor.py"
        "::test_an_assignment_without_a_subscribed_topic_is_refused",
    ),
    Bug(
        "the gateway does not propagate the idempotency key",
        "gateway/requests.py",
        "headers.append((IDEMPOTENCY_KEY, _idempotency_key(*keys)))",
        "_idempotency_key(*keys)",
        f"{_CALLS}an_idempotency_key_is_propagated_without_its_quotes",
    ),
    Bug(
        "a reply goes to any waiting caller",
        "gateway/request_reply.py",
        "settings.gateway_index, self._resolve)",
        "settings.gateway_index, lambda _, reply: self._resolve("
        "next(iter(self._waiting), b''), reply))",
        f"{_CALLS}each_caller_gets_the_reply_to_its_own_request",
    ),
    Bug(
        "a worker with a wrong number of partitions runs",
        "agents/worker/app.py",
        "for line in drift:",
        "for line in ():",
        "tests/component/test_workers.py"
        "::test_a_worker_with_a_wrong_number_of_partitions_ends",
    ),
    Bug(
        "the last of duplicate fields counts",
        "schemas/decoder.py",
        "if _may_repeat(value, _field_count(message)):",
        "if False:",
        f"{_ROUTER}a_duplicate_field_makes_a_record_invalid_and_is_named",
    ),
    Bug(
        "a half-closed client gets nothing",
        "gateway/server.py",
        "not self._messages\n        return True\n",
        "not self._messages\n        return False\n",
        f"{_CONNECTIONS}a_half_closed_client_gets_the_response_that_it_waits_for",
    ),
    Bug(
        "a half-closed client gets the first response of a pipeline",
        "gateway/server.py",
        "(self._half_closed and not self._messages)",
        "self._half_closed",
        f"{_CONNECTIONS}a_half_closed_client_gets_each_response_of_a_pipeline",
    ),
    Bug(
        "connections take the files that Kafka needs",
        "gateway/server.py",
        "if len(self._served) < self._max_served:",
        "if self._max_served:",
        f"{_CONNECTIONS}connections_above_the_file_limit_are_refused_and_kafka_keeps_its_files",
    ),
    Bug(
        "readers of committed records stop at the end of a transaction",
        "topics/kafka/compat.py",
        "    def __next__(self) -> Any:\n",
        "    def next(self) -> Any:\n",
        "tests/unit/test_lenient_records.py"
        "::test_aiokafka_reads_a_transactions_marker_as_its_own_batch",
    ),
    Bug(
        "clients connect without what we replace",
        "topics/kafka/settings.py",
        "        compat.apply()\n",
        "",
        "tests/contract/test_compat.py"
        "::test_no_client_of_the_shop_connects_without_the_replacements",
    ),
)

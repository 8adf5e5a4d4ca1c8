"""Bugs of what is read and said, by workers and by the gateway."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_DESK = "tests/component/test_runtime_desk.py::test_"
_ERRANDS = "tests/component/test_errands.py::test_"
_NOTIFICATIONS = "tests/component/test_notifications.py::test_"
_DEADLINES = "tests/unit/test_deadlines.py::test_"
_CONNECTIONS = "tests/component/test_gateway_connections.py::test_"
_CALLS = "tests/component/test_gateway_calls.py::test_"

BUGS = (
    Bug(
        "the routing guard is off",
        "agents/runtime/router.py",
        "if partition_of(envelope.key, self._partitions) != record.partition:",
        "if False:",
        f"{_DESK}a_record_in_anothers_partition_is_passed_on_and_leaves_nothing_here",
    ),
    Bug(
        "a record that is passed on loses its name",
        "agents/runtime/collector.py",
        "        headers.append((names.ORIGIN, envelope.cause.origin.encode()))\n",
        "",
        f"{_DESK}a_record_that_is_passed_on_twice_counts_once",
    ),
    Bug(
        "the idempotency key is ignored",
        "agents/cause.py",
        'return self.origin if key is None else f"key:{key}"',
        "return self.origin",
        f"{_DESK}requests_with_the_same_key_have_one_effect",
    ),
    Bug(
        "a record that comes again is decided again",
        "agents/runtime/processor.py",
        "redelivered = record.offset < source_offset",
        "redelivered = False",
        f"{_BATCHES}a_record_that_was_refused_is_refused_for_ever_though_it_comes_again",
    ),
    Bug(
        "replies are sent before the commands have arrived",
        "agents/runtime/processor.py",
        "        if commands:\n            await asyncio.wait(commands)\n",
        "",
        f"{_BATCHES}nothing_is_told_or_written_before_its_commands_have_arrived",
    ),
    Bug(
        "replies overtake the commands of the batch before",
        "agents/runtime/processor.py",
        "if previous is not None and not previous.done():",
        "if False:",
        f"{_BATCHES}replies_do_not_overtake_the_commands_of_the_batch_before",
    ),
    Bug(
        "a frozen worker goes on",
        "agents/runtime/fail_stop.py",
        "if self._armed and paused > self._limit:",
        "if False:",
        f"{_BATCHES}a_worker_that_was_frozen_says_nothing_any_more",
    ),
    Bug(
        "a record that Kafka did not take is forgotten",
        "agents/worker/app.py",
        "if (error := delivery.exception()) is not None:",
        "if False:",
        f"{_BATCHES}a_record_that_kafka_does_not_take_is_the_end",
    ),
    Bug(
        "an agent that raised is only logged",
        "agents/worker/app.py",
        'fail_stop("agent %s raised %r\\n%s", agent.name, exc, text)',
        'log.error("agent %s raised %r\\n%s", agent.name, exc, text)',
        f"{_BATCHES}a_worker_whose_agent_raised_has_ended",
    ),
    Bug(
        "batches may be open without bounds",
        "agents/runtime/in_flight.py",
        "        await self._capacity.acquire()\n",
        "        await asyncio.sleep(0)\n",
        f"{_BATCHES}no_more_batches_are_begun_than_may_be_open",
    ),
    Bug(
        "a run of records is not cut to the size of a record batch",
        "agents/runtime/transaction.py",
        "return self._bytes > MAX_BATCH_BYTES",
        "return False",
        f"{_BATCHES}rows_too_many_for_one_record_batch_are_written_in_several",
    ),
    Bug(
        "records are served before their rows are recovered",
        "agents/runtime/processor.py",
        "if partition not in self.store.offsets:",
        "if False:",
        f"{_BATCHES}a_batch_of_a_partition_without_rows_is_not_served",
    ),
    Bug(
        "dead letters lack the bytes",
        "agents/runtime/collector.py",
        "ProducerRecord(topic, key, value, headers))\n\n\ndef _size",
        'ProducerRecord(topic, key, b"", headers))\n\n\ndef _size',
        f"{_DESK}poison_is_kept_byte_for_byte_and_the_next_record_is_served",
    ),
    Bug(
        "dead letters lack the reason",
        "agents/runtime/collector.py",
        '            "dlq.reason": reason,\n',
        "",
        f"{_DESK}poison_is_kept_byte_for_byte_and_the_next_record_is_served",
    ),
    Bug(
        "poison stops its partition",
        "agents/runtime/router.py",
        "except InvalidRecord as invalid:",
        "except ZeroDivisionError as invalid:",
        f"{_DESK}poison_is_kept_byte_for_byte_and_the_next_record_is_served",
    ),
    Bug(
        "replies go to whatever topic a header names",
        "agents/runtime/deserializer.py",
        r'r"[A-Za-z0-9._-]{1,241}\.replies|[A-Za-z0-9._-]{1,243}\.reply"',
        r'r"[A-Za-z0-9._-]{1,249}"',
        f"{_DESK}a_reply_topic_that_is_none_is_never_written_to",
    ),
    Bug(
        "a notice that was sent is sent again",
        "agents/notifications/service.py",
        "if key in before or self.sent_log.contains(record.partition, key):",
        "if False:",
        f"{_NOTIFICATIONS}an_event_that_comes_again_is_delivered_once",
    ),
    Bug(
        "one order's bad address counts as a transport that is down",
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
        "agents/notifications/pending_queue.py",
        "            if order in self._orders:\n",
        "            if False:\n",
        "tests/unit/test_pending_queue.py::test_events_of_one_order_come_one_after_the_other",
    ),
    Bug(
        "a webhook's URL is normalised",
        "agents/notifications/urls.py",
        "safe=_UNCHANGED), encoded=True",
        "safe=_UNCHANGED), encoded=False",
        "tests/component/test_webhooks.py::test_a_webhooks_url_is_sent_byte_for_byte",
    ),
    Bug(
        "a receiver that says not now is given up",
        "agents/notifications/delivery.py",
        "        except PermanentError as error:\n",
        "        except (PermanentError, TransientError) as error:\n",
        f"{_NOTIFICATIONS}an_address_that_is_good_again_gets_its_mails_in_order",
    ),
    Bug(
        "errands that were given up count as done",
        "agents/runtime/concurrent_processor.py",
        "        if epoch != self._epoch:\n            raise asyncio.CancelledError\n",
        "",
        f"{_ERRANDS}what_is_given_up_with_its_partition_is_not_settled",
    ),
    Bug(
        "the time to pay runs by the worker's clock",
        "agents/loms/payment_deadlines.py",
        "deadline = (since + self.time_to_pay).timestamp()",
        "deadline = (datetime.now(since.tzinfo) + self.time_to_pay).timestamp()",
        f"{_DEADLINES}the_time_to_pay_runs_from_the_records_own_time",
    ),
    Bug(
        "deadlines are forgotten when the partitions change",
        "agents/loms/service.py",
        "self._deadlines.schedule_at(partition, key.decode(), since)",
        "pass",
        f"{_ERRANDS}orders_that_await_payment_are_asked_after_once_they_are_recovered",
    ),
    Bug(
        "a worker that doesn't know all topics assigns partitions",
        "agents/worker/assignor.py",
        "if missing:",
        "if False:",
        "tests/unit/test_assignor.py"
        "::test_a_broker_that_does_not_know_a_topic_yet_is_not_believed",
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
        "gateway/kafka/request_reply.py",
        "settings.gateway_index, self._resolve)",
        "settings.gateway_index, lambda _, reply: self._resolve("
        "next(iter(self._waiting), b''), reply))",
        f"{_CALLS}each_caller_gets_the_reply_to_its_own_request",
    ),
    Bug(
        "a worker goes by a number of partitions that the topics don't have",
        "agents/worker/startup.py",
        "for line in await partition_drift(cluster):",
        "for line in ():",
        "tests/component/test_workers.py"
        "::test_a_worker_that_was_told_another_number_of_partitions_refuses_to_work",
    ),
    Bug(
        "the last of duplicate fields counts",
        "schemas/decoder.py",
        "if _may_repeat(value, _field_count(message)):",
        "if False:",
        f"{_DESK}a_field_that_is_given_twice_is_poison_and_named",
    ),
    Bug(
        "a half-closed client gets nothing",
        "gateway/connection.py",
        "        self._close_after_last()\n        return True\n",
        "        self._close_after_last()\n        return False\n",
        f"{_CONNECTIONS}a_half_closed_client_gets_the_response_that_it_waits_for",
    ),
    Bug(
        "a half-closed client gets the first response of a pipeline",
        "gateway/connection.py",
        "if self._half_closed and not self._messages:",
        "if self._half_closed:",
        f"{_CONNECTIONS}a_half_closed_client_gets_each_response_of_a_pipeline",
    ),
    Bug(
        "connections take the files that Kafka needs",
        "gateway/connection.py",
        "if self._served < self._max_served:",
        "if self._max_served:",
        f"{_CONNECTIONS}connections_above_the_file_limit_are_refused_and_kafka_keeps_its_files",
    ),
    Bug(
        "a slow batch is logged all the time",
        "agents/runtime/in_flight.py",
        "due[tp, offset] = seconds + REPEAT_SECONDS",
        "due[tp, offset] = seconds",
        "tests/unit/test_slow_batches.py"
        "::test_a_slow_batch_is_logged_after_ten_seconds_and_once_a_minute",
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

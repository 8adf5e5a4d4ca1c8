"""Bugs of a repartition."""

from tests.planted.bug import Bug

_UNIT = "tests/unit/test_repartition.py::test_"
_COMPONENT = "tests/component/test_repartition.py::test_"
_INTERRUPTED = f"{_COMPONENT}a_repartition_goes_on_wherever_it_was_interrupted"
_LOGS = "agents/ops/repartition/logs.py"
_SWAP = "agents/ops/repartition/swap.py"
_FILLING = "agents/ops/repartition/filling.py"
_PLACEMENT = "agents/ops/repartition/placement.py"

BUGS = (
    Bug(
        "new requests have the identity of old ones",
        "topics/kafka/location.py",
        'topic = f"{location.topic}.{generation}" if generation else location.topic',
        "topic = location.topic",
        f"{_UNIT}each_generation_gives_a_location_another_identity",
    ),
    Bug(
        "moved records lose their first location",
        _PLACEMENT,
        'headers += [(names.ORIGIN, origin), (names.MOVED, b"1")]',
        "pass",
        f"{_UNIT}a_record_moves_to_its_owner_and_keeps_its_first_location",
    ),
    Bug(
        "a moved record passes for a forwarded one: the audit expects another receipt",
        _PLACEMENT,
        ', (names.MOVED, b"1")]',
        "]",
        f"{_UNIT}a_record_moves_to_its_owner_and_keeps_its_first_location",
    ),
    Bug(
        "misrouted records count twice, here and in the copy at their owner",
        _PLACEMENT,
        "return not is_owner",
        "return False",
        f"{_UNIT}of_processed_records_those_with_a_copy_elsewhere_are_dropped",
    ),
    Bug(
        "the dead letter of an event is missed at its new location",
        _PLACEMENT,
        "return self._topic not in DEFAULT_REPLIES",
        "return False",
        f"{_UNIT}a_processed_event_that_is_a_dead_letter_is_dropped",
    ),
    Bug(
        "workers process records that are no part of the log",
        "agents/worker/delivery.py",
        "if layout.ignored:",
        "if False:",
        "tests/component/test_commits.py"
        "::test_a_record_that_is_no_part_of_the_log_is_not_delivered",
    ),
    Bug(
        "rows of notifications overtake the dead letters of records before them",
        "agents/notifications/service.py",
        "                await asyncio.wait(commands)\n",
        "                pass\n",
        "tests/component/test_notification_rows.py"
        "::test_rows_are_written_behind_the_dead_letters_of_all_records_before_them",
    ),
    Bug(
        "any record that looks moved may have large headers",
        "agents/runtime/deserializer.py",
        'if headers[-1] == (names.MOVED, b"1") and _origin(dict(headers[-2:])):',
        "if headers[-1][0] == names.MOVED:",
        f"{_UNIT}headers_of_a_client_that_look_moved_are_limited_as_others",
    ),
    Bug(
        "requests that wait lie among processed ones",
        _LOGS,
        "        third[tp] = OffsetRange(known, end)\n",
        "        third[tp] = OffsetRange(known, known)\n"
        "        first[tp] = OffsetRange(begin, end)\n"
        "        second[tp] = OffsetRange(end, end)\n",
        f"{_UNIT}the_three_parts_of_a_log_follow_each_other",
    ),
    Bug(
        "records that wait pass for processed ones in the layout",
        _LOGS,
        "planned.processed = [done[0][tp] for tp in sorted(ranges)]",
        "planned.processed = [ranges[tp] for tp in sorted(ranges)]",
        _INTERRUPTED,
    ),
    Bug(
        "the plan outlives a large layout",
        "agents/ops/repartition/plan.py",
        '{"max_batch_size": _BATCH_BYTES}',
        "{}",
        f"{_COMPONENT}a_large_layout_replaces_its_plan",
    ),
    Bug(
        "partitions are read one after the other",
        "agents/ops/repartition/copying.py",
        "(head.timestamp, tp.partition, head)",
        "(tp.partition, tp.partition, head)",
        f"{_UNIT}partitions_are_merged_by_time_and_each_stays_in_its_order",
    ),
    Bug(
        "the broker's clock stamps moved records",
        _LOGS,
        '    "message.timestamp.type": "CreateTime",\n',
        '    "message.timestamp.type": "LogAppendTime",\n',
        _INTERRUPTED,
    ),
    Bug(
        "a client's write among the past counts as processed",
        _FILLING,
        "        elif filled.count < planned.included[number]:\n",
        "        elif False:\n",
        _INTERRUPTED,
    ),
    Bug(
        "a log without its first records looks whole",
        "agents/ops/repartition/stage.py",
        "planned.fillers = [int(is_cut)] * partitions",
        "planned.fillers = [0] * partitions",
        f"{_COMPONENT}a_log_without_its_first_records_does_not_look_whole",
    ),
    Bug(
        "pending notifications keep offsets of old partitions",
        "agents/ops/repartition/rows.py",
        "            yield pending_key(transport, new, order), value\n",
        "            yield key, value\n",
        _INTERRUPTED,
    ),
    Bug(
        "what came between two stages is not copied",
        _SWAP,
        "                await self.staging.catch_up(topic, advance)\n",
        "                planned.step = Step.FROZEN\n",
        _INTERRUPTED,
    ),
    Bug(
        "workers start in the middle of a repartition",
        "agents/worker/app.py",
        "require_finished(cluster), partition_drift(cluster), cluster_id(cluster)",
        "asyncio.sleep(0, __import__('topics.layout').layout.Layout()),"
        " partition_drift(cluster), cluster_id(cluster)",
        f"{_COMPONENT}until_topics_are_replaced_it_can_be_undone",
    ),
    Bug(
        "rows of an earlier generation count",
        "agents/runtime/changelog.py",
        "_OLDER if written < generation else int(offset)",
        "int(offset)",
        f"{_UNIT}rows_of_an_earlier_generation_are_a_zombies_and_of_a_later_one_an_error",
    ),
    Bug(
        "acknowledged requests are lost that a replica did not have yet",
        _SWAP,
        "            await _accepting(probes, topic, partitions, LAST)\n",
        "",
        "tests/component/test_frozen_one_of_three.py"
        "::test_a_frozen_topic_has_the_records_that_a_replica_lacked",
    ),
    Bug(
        "a topic is deleted for one broker, and still there for another",
        "topics/kafka/topic_admin.py",
        "while not all(map(are_so",
        "while not any(map(are_so",
        "tests/unit/test_topic_admin.py"
        "::test_a_deleted_topic_is_gone_when_no_broker_sees_it_any_more",
    ),
)

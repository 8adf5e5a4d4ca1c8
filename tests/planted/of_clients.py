"""Bugs of the clients of Kafka and of ProductService."""

from tests.planted.bug import Bug

_FETCHES = "tests/unit/test_fetcher.py::test_"
_WIRE = "tests/unit/test_wire.py::test_"
_CARTS = "tests/component/test_coalescing.py::test_"
_FETCHER = "agents/worker/fetcher.py"
_COALESCING = "agents/products/coalescing.py"

BUGS = (
    Bug(
        "a fetch session goes on after a request without a response",
        _FETCHER,
        "            if request.is_pending:\n                self._sessions[node].reset()",
        "            if request.is_pending:\n                pass",
        f"{_FETCHES}a_failed_fetch_ends_its_session",
    ),
    Bug(
        "a broker's error of a fetch session is ignored",
        _FETCHER,
        "        if response.error:\n",
        "        if False:\n",
        f"{_FETCHES}a_broker_that_has_lost_the_session_gets_a_new_one",
    ),
    Bug(
        "a session still fetches partitions that were given up",
        _FETCHER,
        "self.positions.keys() - positions.keys()",
        "self.positions.keys() - self.positions.keys()",
        f"{_FETCHES}a_session_begins_with_all_partitions_and_goes_on_with_changed_ones",
    ),
    Bug(
        "a response is read with its length short by the aborted transactions",
        "topics/kafka/wire.py",
        "                    at = end\n",
        "",
        f"{_WIRE}a_fetched_response_is_what_aiokafka_would_read",
    ),
    Bug(
        "a connection that its broker has closed already counts as open",
        "topics/kafka/connection.py",
        "            if not self.connected() or self._writer.is_closing():\n",
        "            if False:\n",
        "tests/component/test_connection.py::test_"
        "a_connection_that_is_closed_at_once_fails_without_waiting_for_a_timeout",
    ),
    Bug(
        "a topic that the producer knows already is not added to those it refreshes",
        "agents/runtime/producer.py",
        "            producer.client.add_topic(topic)\n",
        "",
        "tests/component/test_producer.py::test_"
        "a_topic_keeps_its_leaders_when_the_producer_learns_of_another",
    ),
    Bug(
        "a refused grant of a permission counts as granted",
        "topics/grants.py",
        "        if code:\n",
        "        if False:\n",
        "tests/component/test_topics.py::test_"
        "rights_can_not_be_granted_by_a_cluster_without_an_authorizer",
    ),
    Bug(
        "replies wait behind any number of records",
        "agents/runtime/in_flight.py",
        "self._records + records > MAX_RECORDS",
        "self._records < 0",
        "tests/component/test_runtime_batches.py::test_"
        "no_more_records_are_read_than_replies_may_wait_for",
    ),
    Bug(
        "a cart joins a call that is in flight: its price may be older than its request",
        _COALESCING,
        "for cart in carts:\n                cart.receive",
        "for cart in carts + self._unsent.pop(sku, []):\n                cart.receive",
        f"{_CARTS}no_price_is_older_than_the_request_of_its_cart",
    ),
    Bug(
        "a call that no cart waits for is sent",
        _COALESCING,
        "return not all(cart.complete.done() for cart in carts)",
        "return True",
        f"{_CARTS}a_cart_that_gave_up_costs_no_call",
    ),
)

"""What tests of all kinds share."""

from collections.abc import Iterator

import pytest

from topics.broker.embedded import EmbeddedKafka, free_place


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker of the tests' own, without any topic."""
    directory = tmp_path_factory.mktemp("kafka")
    broker = EmbeddedKafka(free_place(directory))
    try:
        broker.start_and_wait()
        yield broker.bootstrap
    finally:
        broker.stop()

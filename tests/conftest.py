"""What tests of all kinds share."""

from collections.abc import Iterator

import hypothesis
import pytest

from topics.broker.embedded import EmbeddedKafka, free_place

# How long one example takes says more about the machine than about the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


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

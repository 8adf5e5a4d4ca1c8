"""The producer of Faust's transport."""

import math
from typing import Any

from faust.transport.drivers import aiokafka as driver


class Producer(driver.Producer):
    """Idempotent, and acknowledged by all in-sync replicas."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        """Return a producer that retries for ever."""
        producer = super()._new_producer(transactional_id)
        # Otherwise a partition without a leader fails its records after one request.
        producer._message_accumulator._batch_ttl = math.inf
        return producer

    async def flush(self) -> None:
        """Do nothing: a commit waits for the acknowledgements of its batch."""

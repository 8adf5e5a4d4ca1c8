"""A stand-in for ProductService whose calls tests count and hold."""

import asyncio

from tests.standins.product_service import ControlledStandIn


class GatedStandIn(ControlledStandIn):
    """A stand-in that counts calls in progress; they hang while its gate is clear."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.in_flight = self.most_in_flight = self._total = 0
        self._arrived = asyncio.Condition()

    async def until_calls(self, total: int) -> None:
        """Wait until this number of calls has arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._total >= total)

    async def GetProduct(self, request, context):  # noqa: N802 -- gRPC's name
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            async with self._arrived:
                self._total += 1
                self._arrived.notify_all()
            await self.gate.wait()
            return await super().GetProduct(request, context)
        finally:
            self.in_flight -= 1

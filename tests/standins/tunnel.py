"""A network that loses connections, holds back data, and is slow, as a test sets it."""

import asyncio
from contextlib import suppress


class Tunnel:
    """A forwarded port.

    Attributes:
        seconds: the delay of each piece of data.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[asyncio.Event] = []
        self._whole = asyncio.Event()
        self._whole.set()
        self.seconds = 0.0

    def lose(self) -> None:
        """Drop all further data of the present connections; new ones work."""
        for lost in self._open:
            lost.set()

    def cut(self) -> None:
        """Hold back all data; it arrives late, as over TCP."""
        self._whole.clear()

    def mend(self) -> None:
        """Forward all data again."""
        self._whole.set()

    async def connect(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        """Serve one connection of `asyncio.start_server`."""
        await self._whole.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            far.close()
            return
        lost = asyncio.Event()
        self._open.append(lost)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(self._carry(near, back, lost))
            ways.create_task(self._carry(there, far, lost))
        self._open.remove(lost)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        lost: asyncio.Event,
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(2**16):
                if self.seconds:
                    await asyncio.sleep(self.seconds)
                await self._whole.wait()
                if not lost.is_set():
                    target.write(data)
        target.close()

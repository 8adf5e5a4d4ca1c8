"""A network that can lose a peer without a word, hold back what is said, and be slow."""

import asyncio
from contextlib import suppress


class Tunnel:
    """What lies between two machines.

    Attributes:
        seconds: how long each piece takes on its way.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[asyncio.Event] = []
        self._whole = asyncio.Event()
        self._whole.set()
        self.seconds = 0.0

    def lose(self) -> None:
        """Carry nothing more over the connections there are; new ones work."""
        for lost in self._open:
            lost.set()

    def cut(self) -> None:
        """Carry nothing; what is said meanwhile arrives late, as with TCP it does."""
        self._whole.clear()

    def mend(self) -> None:
        """Carry on."""
        self._whole.set()

    async def connect(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        """Serve one connection; to be given to `asyncio.start_server`."""
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
